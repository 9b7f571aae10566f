//! Asking the provider: discovery, keys, and the code for a token.
//!
//! Refuses redirects, plain HTTP, long answers and long waits. Invariant: this is the only connection that a console opens,
//! and only when its own file names a provider.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::config::{Outside, OutsideFault};
use super::id_token::Keys;

/// Longest answer: a set of keys with certificates takes some tens of kilobytes.
const ANSWER_LIMIT: usize = 256 * 1024;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// What discovery says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Discovered {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

/// What a code was worth.
pub(super) struct Redeemed {
    pub(super) id_token: String,
    /// Not used for anything but to see that it belongs to the ID token.
    pub(super) access_token: Option<String>,
}

/// Host, port and path of an address over TLS.
fn parts_of(url: &str) -> Option<(&str, u16, &str)> {
    let rest = url.strip_prefix("https://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 443),
    };
    let plain = !host.is_empty() && !host.contains(['@', '[', ']']);
    plain.then_some((host, port, if path.is_empty() { "/" } else { path }))
}

impl Outside {
    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(header::HeaderName, String)],
        body: String,
    ) -> Result<Bytes, OutsideFault> {
        let away = |detail: String| OutsideFault::Away {
            url: url.to_owned(),
            detail,
        };
        let answered = |detail: String| OutsideFault::Answer {
            url: url.to_owned(),
            detail,
        };
        let (host, port, path) = parts_of(url).ok_or_else(|| away("not an address over https".to_owned()))?;
        let work = async {
            let stream = TcpStream::connect((host, port))
                .await
                .map_err(|error| away(error.to_string()))?;
            let config = ClientConfig::builder()
                .with_root_certificates(self.roots.clone())
                .with_no_client_auth();
            let name = ServerName::try_from(host.to_owned()).map_err(|error| away(error.to_string()))?;
            let stream = TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
                .map_err(|error| away(error.to_string()))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| away(error.to_string()))?;
            tokio::spawn(connection);
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, format!("{host}:{port}"))
                .header(header::ACCEPT, "application/json");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request
                .body(Full::new(Bytes::from(body)))
                .map_err(|error| away(error.to_string()))?;
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| away(error.to_string()))?;
            if answer.status() != StatusCode::OK {
                return Err(answered(answer.status().to_string()));
            }
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
            Ok(body.map_err(|error| answered(error.to_string()))?.to_bytes())
        };
        tokio::time::timeout(PATIENCE, work)
            .await
            .map_err(|_| away("it takes too long".to_owned()))?
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, OutsideFault> {
        let bytes = self.ask(Method::GET, url, &[], String::new()).await?;
        serde_json::from_slice(&bytes).map_err(|error| OutsideFault::Answer {
            url: url.to_owned(),
            detail: error.to_string(),
        })
    }

    /// Where the provider is asked what.
    pub(super) async fn discover(&self) -> Result<Discovered, OutsideFault> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let found: Discovered = self.json(&url).await?;
        let safe = [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri]
            .into_iter()
            .all(|endpoint| endpoint.starts_with("https://"));
        if found.issuer != self.issuer || !safe {
            let detail = "another issuer, or an address without TLS".to_owned();
            return Err(OutsideFault::Answer { url, detail });
        }
        Ok(found)
    }

    /// The provider's keys, as they are now.
    pub(super) async fn keys(&self, found: &Discovered) -> Result<Keys, OutsideFault> {
        Ok(Keys::of(&self.json::<Value>(&found.jwks_uri).await?))
    }

    /// A code for an ID token.
    pub(super) async fn redeem(
        &self,
        found: &Discovered,
        code: &str,
        verifier: &str,
        back: &str,
    ) -> Result<Redeemed, OutsideFault> {
        let url = &found.token_endpoint;
        let fault = |detail: String| OutsideFault::Answer {
            url: url.clone(),
            detail,
        };
        let body = serde_urlencoded::to_string([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", verifier),
            ("client_id", self.client_id.as_str()),
        ])
        .map_err(|error| fault(error.to_string()))?;
        let mut headers = vec![(header::CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned())];
        if let Some(secret) = &self.client_secret {
            // RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
            let part = |text: &str| {
                let pair = serde_urlencoded::to_string([("", text)]).unwrap_or_default();
                pair.trim_start_matches('=').to_owned()
            };
            let basic = STANDARD.encode(format!("{}:{}", part(&self.client_id), part(secret)));
            headers.push((header::AUTHORIZATION, format!("Basic {basic}")));
        }
        let bytes = self.ask(Method::POST, url, &headers, body).await?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Redeemed {
            id_token: text("id_token").ok_or_else(|| fault("no id token".to_owned()))?,
            access_token: text("access_token"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::parts_of;

    #[test]
    fn addresses_are_taken_apart_and_others_are_refused() {
        assert_eq!(parts_of("https://idp.example/a?b"), Some(("idp.example", 443, "/a?b")));
        assert_eq!(parts_of("https://idp.example:8443"), Some(("idp.example", 8443, "/")));
        for bad in [
            "http://idp.example/",
            "https://",
            "https://user@idp.example/",
            "https://[::1]/",
            "https://a:b/",
        ] {
            assert_eq!(parts_of(bad), None, "{bad}");
        }
    }
}

//! Who asks? API tokens, known by their SHA-256 alone.
//!
//! Refuses to keep, log or compare a token's text. Invariant: every known token is compared, each in constant time, so that
//! the time says nothing about which one was nearly right.

use crate::refusal::GatewayRejection;
use crate::served::Served;
use freehold_protocol::local::{ApiToken, Scope};
use freehold_trust::digest::{ct_eq, sha256};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use std::sync::Arc;

/// Longer ones are not hashed: a token has 43 to 64 characters.
const MAX_TOKEN_BYTES: usize = 512;

/// Finds the token that a request shows.
pub fn authenticate(served: &Served, headers: &HeaderMap, now: i64) -> Result<Arc<ApiToken>, GatewayRejection> {
    let shown = bearer(headers).ok_or(GatewayRejection::Token)?;
    let digest = sha256(shown);
    let mut found = None;
    for token in &served.tokens {
        if ct_eq(digest.as_bytes(), token.sha256.as_bytes()) {
            found = Some(token);
        }
    }
    let token = found.ok_or(GatewayRejection::Token)?;
    if token.not_after.is_some_and(|end| now > end) {
        return Err(GatewayRejection::TokenExpired);
    }
    Ok(Arc::clone(token))
}

/// Refuses a token without the scope.
pub fn require(token: &ApiToken, scope: Scope) -> Result<(), GatewayRejection> {
    if token.scopes.contains(&scope) {
        return Ok(());
    }
    let scope = match scope {
        Scope::Models => "models",
        Scope::Chat => "chat",
        Scope::Embeddings => "embeddings",
    };
    Err(GatewayRejection::Scope { scope })
}

/// Whether the token may use the model of that name.
pub fn may_use(token: &ApiToken, model: &str) -> bool {
    token.models.is_empty() || token.models.iter().any(|name| name == model)
}

/// The text after `Bearer ` (RFC 6750, 2.1; the scheme in any case).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() || value.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_one_bearer_token_is_read() {
        assert_eq!(bearer(&headers(&["Bearer abc"])), Some(&b"abc"[..]));
        assert_eq!(bearer(&headers(&["bearer abc"])), Some(&b"abc"[..]));
        for refused in [
            &[][..],
            &["Basic abc"],
            &["Bearer "],
            &["Bearer a", "Bearer b"],
            &["Bear"],
        ] {
            assert_eq!(bearer(&headers(refused)), None, "{refused:?}");
        }
        assert_eq!(bearer(&headers(&[&format!("Bearer {}", "x".repeat(600))])), None);
    }
}

//! Clients: somebody at the console's people's door, a computer at its boxes' door, an application at a gateway.
//!
//! Refuses servers that are not the pinned ones, as real clients do. Invariant: every question has a limit.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use freehold_channel::{
    Clock, Dates, Protocols, RemoteKey, RemoteSignFailed, ServerPin, TlsIdentity, client_config, self_signed_box,
    server_name,
};
use freehold_dial::Dialer;
use freehold_harness::World;
use freehold_trust::{KeyKind, SigningKey};
use http::Method;
use rustls::ClientConfig;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest answer that is read.
const LIMIT: usize = 16 << 20;

/// A server with what is needed to ask it something.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    config: Arc<ClientConfig>,
    /// `Bearer …`, when the client has something to show.
    pub authorization: Option<String>,
}

fn clock() -> Clock {
    Clock::new(|| OffsetDateTime::now_utc().unix_timestamp())
}

impl Server {
    /// The people's door of a world's console, as the signed-in operator.
    ///
    /// # Errors
    /// When nobody has signed in.
    pub fn people(world: &World) -> Result<Self> {
        let profile: Value = serde_json::from_slice(&std::fs::read(world.at("profile.json"))?)?;
        let session = profile["session"].as_str().context("nobody has signed in")?;
        let pin = ServerPin::FleetAuthority(world.fleet_ca()?);
        Ok(Self {
            address: world.people(),
            config: client_config(pin, Dates::Enforced, None, Protocols::Http1, &clock())?,
            authorization: Some(format!("Bearer {session}")),
        })
    }

    /// The boxes' door, as a computer with a key of its own making.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn boxes(world: &World) -> Result<Self> {
        let key = SigningKey::generate(KeyKind::P256)?;
        let spki = key.public().spki_der().to_vec();
        let remote = RemoteKey::new(&spki, move |message| Ok::<_, RemoteSignFailed>(key.sign(message)))?;
        let day = std::time::Duration::from_secs(86_400);
        let own = self_signed_box(&remote, "stranger", OffsetDateTime::now_utc(), day)?;
        let identity = TlsIdentity::remote(&remote, vec![own])?;
        let pin = ServerPin::FleetAuthority(world.fleet_ca()?);
        Ok(Self {
            address: world.boxes(),
            config: client_config(pin, Dates::Enforced, Some(identity), Protocols::Http1, &clock())?,
            authorization: None,
        })
    }

    /// The gateway of a world's box, with a fresh token of that box.
    ///
    /// # Errors
    /// When the gateway does not listen or the console makes no token.
    pub fn gateway(world: &World, address: SocketAddr) -> Result<Self> {
        let id = world.one.id()?;
        let made = world
            .operate(["box", "token", &id, "--name", "an application"])?
            .yes()?
            .json()?;
        let token = made["token"].as_str().context("no token")?;
        let pin = ServerPin::Key(world.one.gateway_key()?);
        Ok(Self {
            address,
            config: client_config(pin, Dates::Enforced, None, Protocols::Http1, &clock())?,
            authorization: Some(format!("Bearer {token}")),
        })
    }

    /// The same server, asked by somebody with nothing to show.
    #[must_use]
    pub fn as_nobody(&self) -> Self {
        Self {
            authorization: None,
            ..self.clone()
        }
    }

    /// Asks over a new connection; answers status and JSON (`null` when it is none).
    ///
    /// # Errors
    /// When there is no answer within the limits.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        let dialer = Dialer::new(&format!("https://{}", self.address), self.config.clone())?;
        let mut headers = vec![("accept", "application/json")];
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", authorization.as_str()));
        }
        let body = match body {
            Some(body) => {
                headers.push(("content-type", "application/json"));
                Bytes::from(serde_json::to_vec(&body)?)
            }
            None => Bytes::new(),
        };
        let answer = dialer.ask(method, path, &headers, body, LIMIT).await?;
        Ok((
            answer.status.as_u16(),
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        ))
    }

    /// A TLS connection to talk over as one likes.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = server_name(&self.address.ip().to_string())?;
        Ok(TlsConnector::from(self.config.clone()).connect(name, stream).await?)
    }
}

/// The stable code of a refusal, in whichever form the server words it.
#[must_use]
pub fn code_of(answer: &Value) -> String {
    let nested = &answer["error"]["code"];
    let code = if nested.is_string() { nested } else { &answer["code"] };
    code.as_str().unwrap_or_default().to_owned()
}

/// A runtime for a scenario's clients.
///
/// # Panics
/// When the system has no threads left.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("threads")
}

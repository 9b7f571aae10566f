//! Ten thousand connections that say nothing.
//!
//! Refuses to open more than this process may: it says how many it holds. Invariant: all of them are closed when the value
//! is dropped.

use std::net::SocketAddr;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// How many there should be.
pub const CROWD: usize = 10_000;

/// The first bytes of a TLS handshake that is never finished (record header and ClientHello's type).
const HALF: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01];

/// The connections.
#[derive(Debug)]
pub struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Opens up to [`CROWD`] half-open handshakes at `address`; fewer where the limit of open files is lower.
    ///
    /// # Errors
    /// When not even the first one comes about.
    pub async fn at(address: SocketAddr) -> Result<Self> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let room = usize::try_from(most)?.saturating_sub(200).min(CROWD);
        let mut all = Vec::with_capacity(room);
        while all.len() < room {
            let connected = tokio::time::timeout(std::time::Duration::from_secs(20), TcpStream::connect(address)).await;
            match connected {
                Ok(Ok(mut stream)) => {
                    // Every second one begins a handshake. The server may have hung up on it already.
                    if all.len() % 2 == 0 {
                        let _ = stream.write_all(HALF).await;
                    }
                    all.push(stream);
                }
                Ok(Err(error)) if all.is_empty() => return Err(error.into()),
                _ => break,
            }
        }
        Ok(Self(all))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

//! HTTPS to one known server: what the supervisor and the command line use to reach a console or a gateway.
//!
//! Refuses redirects, proxies, name lookups and plain HTTP: the address is an IP address and a port, the server is known by
//! its pin. Invariant: every wait has a limit, so a peer that stops answering costs a limit, not a program.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use freehold_channel::{PinRejected, pin_rejected_in, server_name};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Time to connect and to finish the TLS handshake; bounds a peer that accepts and then says nothing.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Time until the head of an answer, and between two pieces of it; verification of evidence at a busy console fits in it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The slowest line on which an answer still arrives, in bytes a second (half a megabit): a chunk of 4 MiB may take its
/// minute, and a peer that trickles costs no more than that.
const SLOWEST: u64 = 64 << 10;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is not `https://IP:PORT`.
    #[error("`{url}` is not of the form https://ADDRESS:PORT")]
    Address {
        /// What was given.
        url: String,
    },
    /// Nobody answers at the address.
    #[error("no connection to `{address}`")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server is not the one that is pinned.
    #[error("the server at `{address}` is not the one that was confirmed")]
    Pin {
        /// Where.
        address: SocketAddr,
        /// What differs.
        #[source]
        source: PinRejected,
    },
    /// A limit of time passed.
    #[error("`{address}` did not answer within {seconds} s")]
    Slow {
        /// Where.
        address: SocketAddr,
        /// The limit.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to `{address}` broke")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The body is longer than the caller's limit.
    #[error("the answer of `{address}` is longer than {limit} bytes")]
    TooLong {
        /// Where.
        address: SocketAddr,
        /// The limit.
        limit: usize,
    },
    /// The request itself could not be built.
    #[error("the request cannot be written")]
    Request(#[source] http::Error),
}

/// A whole answer in memory.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, at most as long as the caller's limit.
    pub body: Bytes,
}

/// One server and a kept-alive connection to it. Requests of one `Dialer` go one after the other.
pub struct Dialer {
    address: SocketAddr,
    host: String,
    config: Arc<ClientConfig>,
    kept: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Reads `https://IP:PORT` (a path behind it is refused).
///
/// # Errors
/// [`DialError::Address`] for anything else: names are not looked up.
pub fn address_of(url: &str) -> Result<SocketAddr, DialError> {
    url.strip_prefix("https://")
        .and_then(|rest| rest.trim_end_matches('/').parse().ok())
        .ok_or_else(|| DialError::Address {
            url: url.chars().take(120).flat_map(char::escape_debug).collect(),
        })
}

impl Dialer {
    /// A dialler for `url` that checks the server by `config`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`DialError::Address`] when `url` is not `https://IP:PORT`.
    pub fn new(url: &str, config: Arc<ClientConfig>) -> Result<Self, DialError> {
        let address = address_of(url)?;
        Ok(Self {
            address,
            host: address.ip().to_string(),
            config,
            kept: Mutex::new(None),
        })
    }

    /// The address that is dialled.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, DialError> {
        let address = self.address;
        let slow = |_| DialError::Slow {
            address,
            seconds: CONNECT_LIMIT.as_secs(),
        };
        let connecting = async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|source| DialError::Connect { address, source })?;
            // Small messages both ways: waiting to fill a segment would only add latency.
            let _ = stream.set_nodelay(true);
            let name = server_name(&self.host).map_err(|_| DialError::Address { url: self.host.clone() })?;
            TlsConnector::from(self.config.clone())
                .connect(name, stream)
                .await
                .map_err(|source| match pin_rejected_in(&source) {
                    Some(rejected) => DialError::Pin {
                        address,
                        source: rejected.clone(),
                    },
                    None => DialError::Connect { address, source },
                })
        };
        let stream = timeout(CONNECT_LIMIT, connecting).await.map_err(slow)??;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|source| DialError::Broken { address, source })?;
        tokio::spawn(async move {
            // A broken connection shows itself at the next request; there is nobody to tell here.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Sends a request and returns the answer's head with its body still to be read.
    ///
    /// # Errors
    /// [`DialError`], see its variants.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, DialError> {
        let address = self.address;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(DialError::Request)?;
        let mut kept = self.kept.lock().await;
        let mut sender = match kept.take() {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect().await?,
        };
        let answer = timeout(ANSWER_LIMIT, sender.send_request(request))
            .await
            .map_err(|_| DialError::Slow {
                address,
                seconds: ANSWER_LIMIT.as_secs(),
            })?
            .map_err(|source| DialError::Broken { address, source })?;
        *kept = Some(sender);
        Ok(answer)
    }

    /// Reads a body piece by piece; each has to come within a limit of its own.
    async fn read(&self, mut body: Limited<Incoming>, limit: usize) -> Result<Bytes, DialError> {
        let address = self.address;
        let mut bytes = BytesMut::new();
        loop {
            let piece = timeout(ANSWER_LIMIT, body.frame()).await.map_err(|_| DialError::Slow {
                address,
                seconds: ANSWER_LIMIT.as_secs(),
            })?;
            let Some(piece) = piece else {
                return Ok(bytes.freeze());
            };
            let piece = piece.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(source) => DialError::Broken {
                    address,
                    source: *source,
                },
                Err(other) => {
                    debug_assert!(other.is::<LengthLimitError>());
                    DialError::TooLong { address, limit }
                }
            })?;
            if let Some(data) = piece.data_ref() {
                bytes.extend_from_slice(data);
            }
        }
    }

    /// Sends a request and reads the whole answer, `limit` bytes at most.
    ///
    /// # Errors
    /// [`DialError`], see its variants.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        limit: usize,
    ) -> Result<Answer, DialError> {
        let address = self.address;
        let (head, body) = self.open(method, path, headers, body).await?.into_parts();
        let whole = ANSWER_LIMIT + Duration::from_secs(u64::try_from(limit).unwrap_or(u64::MAX) / SLOWEST);
        let reading = self.read(Limited::new(body, limit), limit);
        let body = timeout(whole, reading).await.map_err(|_| DialError::Slow {
            address,
            seconds: whole.as_secs(),
        })??;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

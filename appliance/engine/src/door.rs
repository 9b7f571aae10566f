//! The one way to an engine: HTTP/1.1 over its Unix socket, with connections kept for the next request.
//!
//! Refuses any other kind of address, and more requests at once than the engine has threads for. Invariant: a connection
//! goes back to the pool only after its answer was read to the end; dropping an unfinished answer closes it, which ends the
//! engine's work for it.

use crate::error::EngineError;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests that one engine has at once, waiting ones included. The launcher gives llama-server a few HTTP threads more, so
/// that a health check always finds one.
pub const MAX_REQUESTS: usize = 32;

/// Connections kept for later. Each holds one of the engine's threads while it is idle (it closes them after five seconds).
const MAX_IDLE: usize = 16;

/// `sun_path` has 108 bytes with its final zero (unix(7)); longer paths go through `/proc/self/fd`.
const MAX_SOCKET_PATH: usize = 107;

type Sender = SendRequest<Full<Bytes>>;

/// A pool of connections to one engine.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("socket", &self.inner.socket)
            .finish_non_exhaustive()
    }
}

struct Inner {
    socket: PathBuf,
    idle: Mutex<Vec<Sender>>,
    permits: Arc<Semaphore>,
}

/// An engine's answer whose body is still to be read.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    body: Incoming,
    lease: Option<Lease>,
}

/// A connection in use.
struct Lease {
    sender: Sender,
    door: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
}

impl Door {
    /// A door at the path of a Unix socket; nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                socket: socket.into(),
                idle: Mutex::new(Vec::new()),
                permits: Arc::new(Semaphore::new(MAX_REQUESTS)),
            }),
        }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.inner.socket
    }

    /// Sends a request and waits for the head of the answer. A kept connection that the engine closed meanwhile is replaced
    /// once: asking a model has no effect that doing it twice would double.
    pub async fn send(&self, method: Method, path: &'static str, body: Bytes) -> Result<Reply, EngineError> {
        let busy = |_| EngineError::Busy { limit: MAX_REQUESTS };
        let permit = Arc::clone(&self.inner.permits).try_acquire_owned().map_err(busy)?;
        if let Some(mut sender) = self.kept()
            && let Ok(response) = sender.send_request(request(&method, path, body.clone())?).await
        {
            return Ok(self.reply(response, sender, permit));
        }
        let mut sender = self.connect().await?;
        let response = sender
            .send_request(request(&method, path, body)?)
            .await
            .map_err(broken)?;
        Ok(self.reply(response, sender, permit))
    }

    fn reply(&self, response: Response<Incoming>, sender: Sender, permit: OwnedSemaphorePermit) -> Reply {
        let lease = Lease {
            sender,
            door: Arc::clone(&self.inner),
            _permit: permit,
        };
        Reply {
            status: response.status(),
            body: response.into_body(),
            lease: Some(lease),
        }
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Sender, EngineError> {
        let stream = connect_unix(&self.inner.socket)
            .await
            .map_err(|error| EngineError::Missing {
                reason: error.kind().to_string(),
            })?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to an engine ended");
            }
        });
        Ok(sender)
    }
}

/// Connects to a Unix socket, by way of its folder's descriptor where the path is too long for a socket address.
pub async fn connect_unix(socket: &Path) -> std::io::Result<UnixStream> {
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(socket).await;
    }
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let folder = std::fs::File::open(folder)?;
    UnixStream::connect(
        Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(name),
    )
    .await
}

fn request(method: &Method, path: &'static str, body: Bytes) -> Result<Request<Full<Bytes>>, EngineError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "engine")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .map_err(|_| EngineError::Unsupported { what: "this path" })
}

fn broken(error: hyper::Error) -> EngineError {
    EngineError::BrokenOff {
        reason: error.to_string(),
    }
}

impl Reply {
    /// The next piece of the body; `None` at its end, when the connection has gone back to the pool.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, EngineError> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(broken(error)),
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.give_back();
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body, refused above `limit` bytes.
    pub async fn whole(mut self, limit: usize) -> Result<Vec<u8>, EngineError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await? {
            if all.len().saturating_add(piece.len()) > limit {
                return Err(EngineError::AnswerTooLarge { limit });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

impl Lease {
    fn give_back(self) {
        let mut idle = self.door.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE && !self.sender.is_closed() {
            idle.push(self.sender);
        }
    }
}

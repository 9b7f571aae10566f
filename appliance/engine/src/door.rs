//! The one way to an engine: HTTP/1.1 over its Unix socket, with connections kept for the next request.
//!
//! Refuses any other kind of address, and more requests at once than the engine has threads for. Invariant: a connection
//! goes back to the pool only after its answer was read to the end; dropping an unfinished answer closes it, which ends the
//! engine's work for it. Where the engine closes a connection after its answer, as llama-server does after a streamed one, a
//! new one takes its place at once: the next question finds it open.

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
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests that one engine has at once, waiting ones included. The launcher gives llama-server a few HTTP threads more, so
/// that a health check always finds one.
pub const MAX_REQUESTS: usize = 32;

/// Connections kept for later. Each holds one of the engine's threads while it is idle (it closes them after five seconds).
const MAX_IDLE: usize = 16;

/// A connection that ends so soon after an answer was closed by the engine for that answer's sake, not because it was idle (five
/// seconds): questions are being asked, and the next one is spared the opening.
const ENDED_BY_ANSWER: Duration = Duration::from_secs(1);

/// `sun_path` has 108 bytes with its final zero (unix(7)); longer paths go through `/proc/self/fd`.
const MAX_SOCKET_PATH: usize = 107;

/// An open connection.
struct Sender {
    requests: SendRequest<Full<Bytes>>,
    life: Arc<Mutex<Life>>,
}

/// What is known of a connection, here and in the task that drives it.
#[derive(Default)]
struct Life {
    /// When its last answer was read to the end.
    answered: Option<Instant>,
    /// Whether a new one took its place already: its end and the end of its answer are seen in either order.
    replaced: bool,
}

impl Life {
    /// Whether a new connection is to take its place now; true once.
    fn ask_to_be_replaced(&mut self) -> bool {
        let by_answer = self.answered.is_some_and(|last| last.elapsed() < ENDED_BY_ANSWER);
        by_answer && !std::mem::replace(&mut self.replaced, true)
    }
}

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
            && let Ok(response) = (sender.requests)
                .send_request(request(&method, path, body.clone())?)
                .await
        {
            return Ok(self.reply(response, sender, permit));
        }
        let mut sender = connect(&self.inner).await?;
        let response = sender
            .requests
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

    /// How many open connections wait for a question.
    #[must_use]
    pub fn kept_open(&self) -> usize {
        let idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().filter(|sender| !sender.requests.is_closed()).count()
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.requests.is_ready() {
                return Some(sender);
            }
        }
        None
    }
}

impl Inner {
    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| !kept.requests.is_closed());
        if idle.len() < MAX_IDLE && !sender.requests.is_closed() {
            idle.push(sender);
        }
    }
}

/// Opens a connection and drives it; one that the engine closes for its answer's sake leaves a new one in the pool. One that was
/// closed because nobody used it does not, so a door at rest holds no thread of the engine.
async fn connect(door: &Arc<Inner>) -> Result<Sender, EngineError> {
    let stream = connect_unix(&door.socket).await.map_err(|error| EngineError::Missing {
        reason: error.kind().to_string(),
    })?;
    let (requests, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let life = Arc::new(Mutex::new(Life::default()));
    let (ours, door) = (Arc::clone(&life), Arc::downgrade(door));
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an engine ended");
        }
        let wanted = ours.lock().unwrap_or_else(PoisonError::into_inner).ask_to_be_replaced();
        if let (true, Some(door)) = (wanted, door.upgrade()) {
            tokio::spawn(reopen(door));
        }
    });
    Ok(Sender { requests, life })
}

/// Puts a new connection into the pool. Boxed, because opening one and replacing it later call each other.
fn reopen(door: Arc<Inner>) -> futures::future::BoxFuture<'static, ()> {
    Box::pin(async move {
        match connect(&door).await {
            Ok(sender) => door.keep(sender),
            Err(error) => tracing::debug!(%error, "no connection ahead of the next question"),
        }
    })
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
        let mut life = self.sender.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.answered = Some(Instant::now());
        if self.sender.requests.is_closed() && life.ask_to_be_replaced() {
            tokio::spawn(reopen(Arc::clone(&self.door)));
        }
        drop(life);
        self.door.keep(self.sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    /// Reads a head and its body of two bytes, answers, closes: what llama-server does after a streamed answer.
    async fn answer_and_close(mut stream: UnixStream) {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n{}") {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "the question broke off");
        }
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_ends_with_its_answer_is_replaced_before_the_next_question() {
        let world = tempfile::tempdir().unwrap();
        let socket = world.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let door = Door::new(&socket);
        let asked = door.send(Method::POST, "/ask", Bytes::from_static(b"{}"));
        let (reply, ()) = tokio::join!(asked, async {
            answer_and_close(listener.accept().await.unwrap().0).await;
        });
        assert_eq!(reply.unwrap().whole(16).await.unwrap(), b"ok");
        let (next, _) = listener.accept().await.unwrap();
        while door.kept_open() == 0 {
            tokio::task::yield_now().await;
        }
        let asked = door.send(Method::POST, "/ask", Bytes::from_static(b"{}"));
        let (reply, ()) = tokio::join!(asked, answer_and_close(next));
        assert_eq!(reply.unwrap().whole(16).await.unwrap(), b"ok");
    }

    #[tokio::test]
    async fn a_connection_that_nobody_used_is_not_replaced() {
        let world = tempfile::tempdir().unwrap();
        let socket = world.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let door = Door::new(&socket);
        let (opened, accepted) = tokio::join!(connect(&door.inner), listener.accept());
        door.inner.keep(opened.unwrap());
        drop(accepted);
        while door.kept_open() > 0 {
            tokio::task::yield_now().await;
        }
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "a door at rest opened a connection");
    }
}

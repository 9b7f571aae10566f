//! The socket on which the machine's own administrator asks for an import.
//!
//! Refuses everybody but the supervisor's own user and root, and more than one wish in a connection's frame. Invariant: a wish is
//! answered between two rounds, never in the middle of one.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_protocol::local::{FrameRejection, HEADER_BYTES, decode, encode, frame_length};
use freehold_protocol::stick::{StickAnswer, StickWish};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::fault::Fault;

/// Name of the socket in the runtime folder.
pub(crate) const SOCKET: &str = "stick.sock";
/// Askers at once; a person has one.
const MAX_ASKERS: usize = 8;

/// Something that was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) wish: StickWish,
    pub(crate) answer: oneshot::Sender<StickAnswer>,
}

/// The open socket. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    asked: mpsc::Receiver<Asked>,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    /// Listens in the runtime folder.
    pub(crate) fn open(runtime: &Path) -> Result<Self, Fault> {
        let path = runtime.join(SOCKET);
        let fault = |error: io::Error| Fault::State {
            path: path.clone(),
            detail: error.to_string(),
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(fault)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(fault)?;
        let (wishes, asked) = mpsc::channel(MAX_ASKERS);
        let task = tokio::spawn(accept(listener, wishes));
        Ok(Self { path, asked, task })
    }

    /// The next wish.
    pub(crate) async fn next(&mut self) -> Option<Asked> {
        self.asked.recv().await
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, wishes: mpsc::Sender<Asked>) {
    let room = Arc::new(tokio::sync::Semaphore::new(MAX_ASKERS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                    continue;
                };
                let wishes = wishes.clone();
                tokio::spawn(async move {
                    if let Err(error) = talk(stream, wishes).await {
                        tracing::warn!(%error, "an import's connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the stick's socket does not accept");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn bad(rejection: FrameRejection) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rejection)
}

async fn talk(mut stream: UnixStream, wishes: mpsc::Sender<Asked>) -> io::Result<()> {
    loop {
        let mut header = [0; HEADER_BYTES];
        match stream.read_exact(&mut header).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let mut frame = vec![0; frame_length(header).map_err(bad)?];
        stream.read_exact(&mut frame).await?;
        let wish: StickWish = decode(&frame).map_err(bad)?;
        let (answer, told) = oneshot::channel();
        if wishes.send(Asked { wish, answer }).await.is_err() {
            return Ok(());
        }
        let Ok(answer) = told.await else { return Ok(()) };
        stream.write_all(&encode(&answer).map_err(bad)?).await?;
    }
}

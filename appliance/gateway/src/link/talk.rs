//! The conversation itself: connect, hello, configuration, entries and their acknowledgements; and again after a break.
//!
//! Refuses frames that the protocol refuses, by ending the connection. Invariant: `connected` is true only between the first
//! configuration of a connection and its end.

use super::Outgoing;
use crate::quota::Quotas;
use crate::served::Served;
use freehold_engine::door::connect_unix;
use freehold_protocol::local::{
    FrameRejection, HEADER_BYTES, ToGateway, ToSupervisor, VERSION, check_version, decode, encode, frame_length,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

/// Between two tries to connect; a local socket is there or it is not.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Frames read ahead of their handling.
const READ_AHEAD: usize = 64;

#[derive(Debug, Error)]
enum Break {
    #[error("the supervisor cannot be reached")]
    Io(#[from] std::io::Error),
    #[error("the supervisor sent what is not taken")]
    Frame(#[from] FrameRejection),
    #[error("the supervisor closed the connection")]
    Closed,
    #[error("the gateway ends")]
    End,
}

pub(super) struct Talk {
    socket: PathBuf,
    quotas: Quotas,
    served: watch::Sender<Arc<Served>>,
    connected: watch::Sender<bool>,
    stopped: watch::Sender<Option<String>>,
    waiting: BTreeMap<u64, Outgoing>,
    next: u64,
}

impl Talk {
    pub(super) fn new(
        socket: PathBuf,
        quotas: Quotas,
        served: watch::Sender<Arc<Served>>,
        connected: watch::Sender<bool>,
        stopped: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            socket,
            quotas,
            served,
            connected,
            stopped,
            waiting: BTreeMap::new(),
            next: 1,
        }
    }

    pub(super) async fn run(mut self, mut entries: mpsc::Receiver<Outgoing>) {
        let mut quiet = false;
        loop {
            let ended = self.converse(&mut entries).await;
            let was_connected = self.connected.send_replace(false);
            match ended {
                Err(Break::End) => return,
                Err(error) if was_connected || !quiet => {
                    let cause = std::error::Error::source(&error)
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    tracing::warn!(%error, cause, "supervisor away");
                    quiet = true;
                }
                _ => {}
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    async fn converse(&mut self, entries: &mut mpsc::Receiver<Outgoing>) -> Result<(), Break> {
        let (reader, mut writer) = connect_unix(&self.socket).await?.into_split();
        let program = env!("CARGO_PKG_VERSION").to_owned();
        send(&mut writer, &ToSupervisor::Hello { v: VERSION, program }).await?;
        let (frames_in, mut frames) = mpsc::channel(READ_AHEAD);
        let reading = tokio::spawn(read_frames(reader, frames_in));
        let _reading = AbortOnDrop(reading);
        loop {
            // The supervisor's words first: an acknowledgement frees an answer that is waiting for it.
            tokio::select! {
                biased;
                frame = frames.recv() => {
                    let message = frame.ok_or(Break::Closed)??;
                    self.hear(message, &mut writer).await?;
                }
                entry = entries.recv() => {
                    let Some(outgoing) = entry else { return Err(Break::End) };
                    let id = self.next;
                    self.next = self.next.saturating_add(1);
                    let message = ToSupervisor::Record { id, entry: outgoing.entry.clone() };
                    self.waiting.insert(id, outgoing);
                    send(&mut writer, &message).await?;
                }
            }
        }
    }

    async fn hear(&mut self, message: ToGateway, writer: &mut OwnedWriteHalf) -> Result<(), Break> {
        match message {
            ToGateway::Config(config) => {
                check_version(config.v)?;
                let next = self.served.borrow().next(config);
                if let Some(next) = next {
                    self.quotas.keep_only(&next.tokens);
                    tracing::info!(
                        generation = next.generation,
                        models = next.models.len(),
                        "configuration"
                    );
                    self.served.send_replace(Arc::new(next));
                }
                if !self.connected.send_replace(true) {
                    self.send_again(writer).await?;
                }
            }
            ToGateway::Recorded { id, index } => self.acknowledge(id, Ok(index)),
            ToGateway::NotRecorded { id, code } => self.acknowledge(id, Err(code)),
            ToGateway::Stop { reason } => {
                self.stopped.send_replace(Some(reason));
            }
        }
        Ok(())
    }

    async fn send_again(&mut self, writer: &mut OwnedWriteHalf) -> Result<(), Break> {
        for (id, outgoing) in &self.waiting {
            send(
                writer,
                &ToSupervisor::Record {
                    id: *id,
                    entry: outgoing.entry.clone(),
                },
            )
            .await?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, id: u64, answer: super::Acknowledgement) {
        if let Some(done) = self.waiting.remove(&id).and_then(|outgoing| outgoing.done) {
            // Nobody waits any more where the client went away meanwhile.
            let _ = done.send(answer);
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(writer: &mut OwnedWriteHalf, message: &ToSupervisor) -> Result<(), Break> {
    writer.write_all(&encode(message)?).await?;
    Ok(())
}

/// Reading has a task of its own: half a frame must not be lost when an entry is sent meanwhile.
async fn read_frames(mut reader: OwnedReadHalf, frames: mpsc::Sender<Result<ToGateway, Break>>) {
    loop {
        let message = read_frame(&mut reader).await;
        let broken = message.is_err();
        if frames.send(message).await.is_err() || broken {
            return;
        }
    }
}

async fn read_frame(reader: &mut OwnedReadHalf) -> Result<ToGateway, Break> {
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header).await?;
    let mut frame = vec![0; frame_length(header)?];
    reader.read_exact(&mut frame).await?;
    Ok(decode(&frame)?)
}

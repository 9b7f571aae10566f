//! The supervisor's end of the gateway's socket: it says what is served, and makes entries durable.
//!
//! Refuses frames of another form, and to answer an entry before it is on the disk. Invariant: what a gateway sends can
//! become an entry of the record and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use freehold_protocol::health::Requests;
use freehold_protocol::local::{
    Config, FrameRejection, HEADER_BYTES, Outcome, RequestEntry, ToGateway, ToSupervisor, check_version, decode,
    encode, frame_length,
};
use freehold_record::{Entry, RefusalNote};
use freehold_record_files::Recorder;
use freehold_trust::Sha256Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::fault::Fault;
use crate::salts::Salts;

/// Connections at once: one gateway, and its successor while it restarts.
const MAX_CONNECTIONS: usize = 4;
/// Answers that wait for the socket; a gateway that does not read its answers is not read either.
const MAX_ANSWERS: usize = 1024;

/// Models whose requests are counted: bounds what a gateway that was taken over can make us hold.
const MAX_COUNTED: usize = 256;

/// How requests went, by model. Counted since the supervisor started; the record has them all.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<Sha256Digest, Requests>>>);

impl Counts {
    fn add(&self, request: &RequestEntry) {
        let Some(model) = request.model else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_COUNTED && !all.contains_key(&model) {
            return;
        }
        let one = all.entry(model).or_default();
        match &request.outcome {
            Outcome::Answered => one.served = one.served.saturating_add(1),
            // What a client asked wrongly, or broke off, says nothing about the model.
            Outcome::Refused { code } if code.starts_with("engine.") => one.failed = one.failed.saturating_add(1),
            _ => {}
        }
    }
}

/// The open socket. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    config: watch::Sender<Arc<Config>>,
    book: Book,
    task: tokio::task::JoinHandle<()>,
}

/// What a request's entry says beside the request: how the box stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// The console's last verdict.
    pub(crate) verdict: String,
    /// The policy in force, its target name.
    pub(crate) policy: Option<String>,
}

/// Where requests are written down.
#[derive(Debug, Clone)]
struct Book {
    recorder: Recorder,
    salts: Salts,
    standing: Arc<Mutex<Standing>>,
    counts: Counts,
}

impl Door {
    /// Listens at `path`, for the folder's group.
    pub(crate) fn open(path: &Path, recorder: Recorder, salts: Salts, first: Config) -> Result<Self, Fault> {
        let fault = |error: io::Error| Fault::State {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(fault)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(fault)?;
        let (config, configs) = watch::channel(Arc::new(first));
        let book = Book {
            recorder,
            salts,
            standing: Arc::default(),
            counts: Counts::default(),
        };
        let task = tokio::spawn(accept(listener, book.clone(), configs));
        Ok(Self {
            path: path.to_owned(),
            config,
            book,
            task,
        })
    }

    /// How the box stands from now on, for the entries of requests.
    pub(crate) fn stands(&self, standing: Standing) {
        *self.book.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// How requests for a model went since the supervisor started.
    pub(crate) fn requests(&self, model: &Sha256Digest) -> Requests {
        let all = self.book.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(model).copied().unwrap_or_default()
    }

    /// Says what is served now, when it is something else than before.
    pub(crate) fn serve(&self, mut next: Config) {
        self.config.send_if_modified(|now| {
            next.generation = now.generation;
            if **now == next {
                return false;
            }
            next.generation = now.generation.saturating_add(1);
            *now = Arc::new(next);
            true
        });
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, book: Book, configs: watch::Receiver<Arc<Config>>) {
    let room = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    let mut talks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                    let (book, configs) = (book.clone(), configs.clone());
                    talks.spawn(async move {
                        if let Err(error) = talk(stream, book, configs).await {
                            tracing::warn!(%error, "the gateway's connection ended");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the gateway's socket does not accept");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_) = talks.join_next() => {}
        }
    }
}

fn bad(rejection: FrameRejection) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rejection)
}

async fn next(stream: &mut OwnedReadHalf) -> io::Result<Option<ToSupervisor>> {
    let mut header = [0; HEADER_BYTES];
    match stream.read_exact(&mut header).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut frame = vec![0; frame_length(header).map_err(bad)?];
    stream.read_exact(&mut frame).await?;
    decode(&frame).map(Some).map_err(bad)
}

async fn say(stream: &mut OwnedWriteHalf, message: &ToGateway) -> io::Result<()> {
    stream.write_all(&encode(message).map_err(bad)?).await
}

async fn talk(stream: UnixStream, book: Book, mut configs: watch::Receiver<Arc<Config>>) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    match next(&mut read).await? {
        Some(ToSupervisor::Hello { v, program }) => {
            check_version(v).map_err(bad)?;
            tracing::info!(program = %program.escape_debug(), "the gateway is here");
        }
        Some(ToSupervisor::Record { .. }) => return Err(io::Error::new(io::ErrorKind::InvalidData, "no hello")),
        None => return Ok(()),
    }
    let (answers, mut answered) = mpsc::channel::<ToGateway>(MAX_ANSWERS);
    let speaking = async {
        let first = configs.borrow_and_update().clone();
        say(&mut write, &ToGateway::Config((*first).clone())).await?;
        loop {
            tokio::select! {
                changed = configs.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let config = configs.borrow_and_update().clone();
                    say(&mut write, &ToGateway::Config((*config).clone())).await?;
                }
                answer = answered.recv() => match answer {
                    Some(answer) => say(&mut write, &answer).await?,
                    None => return Ok(()),
                },
            }
        }
    };
    let listening = async {
        while let Some(message) = next(&mut read).await? {
            let ToSupervisor::Record { id, entry } = message else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a second hello"));
            };
            let standing = book.standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let pending = book.recorder.submit(&as_entry(&entry, &standing));
            if let Some(commitments) = &entry.commitments {
                book.salts.keep(&entry.request, &commitments.salt);
            }
            book.counts.add(&entry);
            let answers = answers.clone();
            // Entries become durable in groups; each is answered when its own group is.
            tokio::spawn(async move {
                let outcome = match pending {
                    Ok(pending) => pending.await,
                    Err(fault) => Err(fault),
                };
                let answer = match outcome {
                    Ok(receipt) => ToGateway::Recorded {
                        id,
                        index: receipt.index,
                    },
                    Err(fault) => ToGateway::NotRecorded {
                        id,
                        code: fault.code().to_owned(),
                    },
                };
                let _ = answers.send(answer).await;
            });
        }
        Ok(())
    };
    tokio::select! {
        ended = speaking => ended,
        ended = listening => ended,
    }
}

/// A request as an entry of the record: who, what, when, how much, how it ended.
fn as_entry(request: &RequestEntry, standing: &Standing) -> Entry {
    let who = request
        .token
        .as_ref()
        .map_or_else(|| "client:unknown".to_owned(), |token| format!("client:{token}"));
    let route = serde_json::to_value(request.route)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned));
    let (what, code) = match &request.outcome {
        Outcome::Answered => ("request.answered", None),
        Outcome::Abandoned => ("request.abandoned", None),
        Outcome::Refused { code } => ("request.refused", Some(code)),
    };
    let ended = request.began.saturating_add(request.total_ms.into());
    let mut entry = Entry::new(ended, who, what)
        .with("request", request.request.as_str())
        .with("route", route.unwrap_or_default())
        .with("model", request.model)
        .with("first_token_ms", request.first_token_ms)
        .with("total_ms", request.total_ms)
        .with("prompt_tokens", request.prompt_tokens)
        .with("answer_tokens", request.answer_tokens)
        .with("verdict", standing.verdict.as_str())
        .with("policy", standing.policy.clone());
    if let Some(commitments) = &request.commitments {
        entry = entry
            .with("prompt_commitment", commitments.prompt)
            .with("reply_commitment", commitments.reply);
    }
    if let Some(code) = code {
        let message = "a request was refused".to_owned();
        entry = entry.refused(RefusalNote {
            code: code.clone(),
            message,
            expected: None,
            found: None,
        });
    }
    entry
}

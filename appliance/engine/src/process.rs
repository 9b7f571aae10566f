//! One running engine: started, watched by a thread of its own, ended within two seconds of being told.
//!
//! Refuses to outlive whoever holds it: dropping it ends it, and bubblewrap ends with our process. Invariant: after
//! [`EngineProcess::stop`] none of its processes is left, and its control groups are gone.

#[cfg(feature = "systemd")]
mod unit;
mod watch;

use crate::bounds::Bounds;
use crate::engine::{Engine as _, Health};
use crate::error::EngineError;
use crate::journal::LastWords;
use crate::launch::{LaunchSpec, SpecError, UserNamespace, prepare_socket_folder, probe_user_namespace};
use crate::llama::LlamaServer;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How often a starting engine is asked for its health.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// How an engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was told to.
    Stopped,
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal, not ours.
    Signal(i32),
    /// It wanted more memory than its bound.
    MemoryBound {
        /// The bound in bytes.
        bound: u64,
    },
    /// The system bus went away, so nobody can say what became of it.
    BusGone,
    /// The system said something else about it.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("it was stopped"),
            Self::Code(code) => write!(f, "it ended with code {code}"),
            Self::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            Self::MemoryBound { bound } => write!(f, "it wanted more than its {bound} bytes of memory"),
            Self::BusGone => f.write_str("the system bus went away, and what became of it is not known"),
            Self::Unknown => f.write_str("it ended"),
        }
    }
}

/// Whether an engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessState {
    /// It does.
    Running,
    /// It does not any more.
    Ended(Exit),
}

/// Why an engine did not start.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The specification was refused.
    #[error("the engine's specification is refused")]
    Spec(#[from] SpecError),
    /// The engine's root is not there.
    #[error("no engine at `{root}`")]
    NoEngine {
        /// The root.
        root: PathBuf,
    },
    /// A file of the model is not there.
    #[error("the model's file `{path}` cannot be opened")]
    NoModelFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A folder, a thread or a program of the start failed.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("the engine was not ready: {exit}; it said: {}", last.join(" | "))]
    Ended {
        /// How.
        exit: Exit,
        /// Its last lines.
        last: Vec<String>,
    },
    /// systemd did not start it.
    #[cfg(feature = "systemd")]
    #[error(transparent)]
    Unit(#[from] crate::unit::UnitFault),
    /// It was not ready in time.
    #[error("the engine was not ready after {} ms", limit.as_millis())]
    NotReady {
        /// The time it was given.
        limit: Duration,
    },
}

impl LaunchError {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "engine.specification",
        "engine.missing",
        "engine.model_file",
        "engine.start",
        "engine.ended",
        "engine.not_ready",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spec(_) => "engine.specification",
            Self::NoEngine { .. } => "engine.missing",
            Self::NoModelFile { .. } => "engine.model_file",
            Self::Io { .. } => "engine.start",
            Self::Ended { .. } => "engine.ended",
            Self::NotReady { .. } => "engine.not_ready",
            #[cfg(feature = "systemd")]
            Self::Unit(fault) => fault.code(),
        }
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoEngine { .. } => Some("`make engine` brings it"),
            Self::Io { .. } => Some("bubblewrap and util-linux must be installed"),
            Self::Ended {
                exit: Exit::MemoryBound { .. },
                ..
            } => Some("give the engine more memory, or choose a smaller model"),
            _ => None,
        }
    }
}

/// What an engine's thread holds on to; dropping it tells the thread to end the engine.
#[derive(Debug)]
#[allow(dead_code, reason = "what counts is that it is dropped")]
enum Leash {
    Thread(mpsc::Sender<()>),
    #[cfg(feature = "systemd")]
    Unit(tokio::sync::oneshot::Sender<()>),
}

/// A running engine.
#[derive(Debug)]
pub struct EngineProcess {
    stop: Option<Leash>,
    state: tokio::sync::watch::Receiver<ProcessState>,
    thread: Option<std::thread::JoinHandle<()>>,
    bounds: Bounds,
    namespace: UserNamespace,
    pid: u32,
    socket: PathBuf,
    last: LastWords,
}

impl EngineProcess {
    /// Starts an engine; answers when its sandbox runs, not when its model is loaded ([`EngineProcess::ready`]). Takes some
    /// 20 ms of the calling thread.
    pub fn start(spec: &LaunchSpec) -> Result<Self, LaunchError> {
        prepare(spec, &spec.root.join("usr/bin/llama-server"))?;
        let namespace = probe_user_namespace();
        let last = LastWords::default();
        let (stop, stopped) = mpsc::channel();
        let (started, starting) = mpsc::channel();
        let (state, states) = tokio::sync::watch::channel(ProcessState::Running);
        let (watched, words) = (spec.clone(), last.clone());
        // The sandbox dies with the thread that made it (PR_SET_PDEATHSIG), so that thread must live as long as the engine.
        let thread = std::thread::Builder::new()
            .name(format!("engine-{}", spec.name))
            .spawn(move || watch::run(&watched, namespace, &words, &started, &stopped, &state))
            .map_err(|source| LaunchError::Io {
                what: "start the engine's thread",
                source,
            })?;
        let gone = || std::io::Error::other("the engine's thread ended");
        let (pid, bounds) = starting
            .recv()
            .unwrap_or_else(|_| Err(gone()))
            .map_err(|source| LaunchError::Io {
                what: "start bubblewrap",
                source,
            })?;
        Ok(Self {
            stop: Some(Leash::Thread(stop)),
            state: states,
            thread: Some(thread),
            bounds,
            namespace,
            pid,
            socket: spec.socket(),
            last,
        })
    }

    /// Starts an engine as a unit of systemd; answers when systemd says that it was executed. Blocks the calling thread until then.
    #[cfg(feature = "systemd")]
    pub fn start_unit(spec: &LaunchSpec, options: &crate::unit::UnitOptions) -> Result<Self, LaunchError> {
        let root = crate::unit::Root::find(&spec.root)?;
        let program = match &root {
            crate::unit::Root::Directory(folder) => folder.join("usr/bin/llama-server"),
            crate::unit::Root::Image { image, .. } => image.clone(),
        };
        prepare(spec, &program)?;
        if let Some((_, group)) = &options.user {
            open_folder(&spec.socket_folder, group).map_err(|source| LaunchError::Io {
                what: "give the socket's folder to the engine's group",
                source,
            })?;
        }
        let last = LastWords::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (started, starting) = mpsc::channel();
        let (state, states) = tokio::sync::watch::channel(ProcessState::Running);
        let order = unit::Order {
            spec: spec.clone(),
            root,
            options: options.clone(),
            last: last.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("engine-{}", spec.name))
            .spawn(move || unit::run(&order, &started, stopped, &state))
            .map_err(|source| LaunchError::Io {
                what: "start the engine's thread",
                source,
            })?;
        let (pid, bounds) = starting.recv().map_err(|source| LaunchError::Io {
            what: "start the engine's thread",
            source: std::io::Error::other(source),
        })??;
        Ok(Self {
            stop: Some(Leash::Unit(stop)),
            state: states,
            thread: Some(thread),
            bounds,
            namespace: UserNamespace::Own,
            pid,
            socket: spec.socket(),
            last,
        })
    }

    /// Waits until the engine answers that its model is loaded.
    pub async fn ready(&mut self, limit: Duration) -> Result<LlamaServer, LaunchError> {
        let server = LlamaServer::new(self.socket.clone());
        let begun = Instant::now();
        loop {
            if let ProcessState::Ended(exit) = self.state() {
                return Err(LaunchError::Ended {
                    exit,
                    last: self.last.lines(),
                });
            }
            match server.health().await {
                Ok(Health::Ready) => return Ok(server),
                Ok(Health::Starting) | Err(EngineError::Missing { .. } | EngineError::BrokenOff { .. }) => {}
                Err(error) => tracing::debug!(code = error.code(), "an engine's health"),
            }
            if begun.elapsed() >= limit {
                return Err(LaunchError::NotReady { limit });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Whether it runs.
    pub fn state(&self) -> ProcessState {
        self.state.borrow().clone()
    }

    /// Waits until it ended, and says how.
    pub async fn ended(&mut self) -> Exit {
        let ended = self.state.wait_for(|state| *state != ProcessState::Running).await;
        match ended.as_deref() {
            Ok(ProcessState::Ended(exit)) => exit.clone(),
            _ => Exit::Unknown,
        }
    }

    /// Ends it and everything below it, and waits until that is so: at most two seconds.
    pub async fn stop(mut self) -> Exit {
        self.stop = None;
        let exit = self.ended().await;
        if let Some(thread) = self.thread.take() {
            // The thread has said its last word; what is left of it is removing control groups.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        exit
    }

    /// Who bounds memory and processor.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether it has a user namespace of its own.
    pub fn user_namespace(&self) -> UserNamespace {
        self.namespace
    }

    /// The sandbox's outermost process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The engine's socket on the host.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its last messages, oldest first.
    pub fn last_words(&self) -> Vec<String> {
        self.last.lines()
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The engine comes by its group, and makes its socket there; so does the gateway, and uses it.
#[cfg(feature = "systemd")]
fn open_folder(folder: &Path, group: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let unknown = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("no group `{group}`"));
    let id = crate::unit::group_id(group).ok_or_else(unknown)?;
    // The image's supervisor has that group as its own, and may not give things away.
    if std::fs::metadata(folder)?.gid() != id {
        std::os::unix::fs::chown(folder, None, Some(id))?;
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o770))
}

/// What both ways of starting need: a specification that can be started, its files, and an empty folder for its socket.
fn prepare(spec: &LaunchSpec, program: &Path) -> Result<(), LaunchError> {
    spec.check()?;
    if !program.exists() {
        return Err(LaunchError::NoEngine {
            root: spec.root.clone(),
        });
    }
    for file in &spec.files {
        let opened = std::fs::File::open(&file.source);
        opened.map_err(|source| LaunchError::NoModelFile {
            path: file.source.clone(),
            source,
        })?;
    }
    prepare_socket_folder(&spec.socket_folder).map_err(|source| LaunchError::Io {
        what: "prepare the socket's folder",
        source,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_launch_error_has_its_code() {
        let io = || std::io::Error::other("x");
        let all = [
            (
                LaunchError::Spec(SpecError::Number { what: "slots" }),
                "engine.specification",
            ),
            (LaunchError::NoEngine { root: PathBuf::new() }, "engine.missing"),
            (
                LaunchError::NoModelFile {
                    path: PathBuf::new(),
                    source: io(),
                },
                "engine.model_file",
            ),
            (
                LaunchError::Io {
                    what: "start bubblewrap",
                    source: io(),
                },
                "engine.start",
            ),
            (
                LaunchError::Ended {
                    exit: Exit::Code(1),
                    last: vec![],
                },
                "engine.ended",
            ),
            (
                LaunchError::NotReady {
                    limit: Duration::from_secs(1),
                },
                "engine.not_ready",
            ),
        ];
        let codes: Vec<&str> = all
            .iter()
            .map(|(error, code)| {
                assert_eq!(error.code(), *code);
                *code
            })
            .collect();
        assert_eq!(codes, LaunchError::CODES);
    }
}

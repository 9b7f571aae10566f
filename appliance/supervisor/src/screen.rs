//! The supervisor's end of the box's own screen: it shows how the box is, and does the few things that a person there asks.
//!
//! Refuses a console whose fingerprint was not compared, settings after the first, and everything that its protocol does not
//! name. Invariant: the socket is its own, for its owner alone; the gateway, which meets hostile bytes, cannot reach it.

mod attend;
mod desk;
mod stick;
mod view;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freehold_protocol::local::{FrameRejection, HEADER_BYTES, check_version, decode, encode, frame_length};
use freehold_protocol::screen::{Deed, FromScreen, ToScreen, VERSION, View};
use freehold_verify::RefusalReport;
use freehold_verify::rejection::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::fault::Fault;

pub(crate) use attend::{Attendant, attended};

/// Screens at once: the one in front of the machine, some serial lines, and their successors while they restart.
const MAX_SCREENS: usize = 8;
/// Wishes that wait; a screen asks for one thing at a time.
const MAX_WISHES: usize = 8;

/// Why a wish is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScreenRejection {
    /// There is nothing to confirm.
    #[error("no console was named")]
    NothingOffered,
    /// Another fingerprint.
    #[error("this is another console than the one that was named or typed")]
    OtherConsole {
        /// The one that is offered, or was typed before.
        expected: String,
        /// The one at hand.
        found: String,
    },
    /// Settings are there already.
    #[error("settings were taken before")]
    SettingsLocked,
    /// No document of ours.
    #[error("the settings cannot be used: {why}")]
    SettingsMalformed {
        /// What is wrong.
        why: String,
    },
    /// Nothing to import.
    #[error("there is no stick with a pairing file")]
    NoStick,
    /// Nothing to show.
    #[error("there is no recovery key to show")]
    NoRecoveryKey,
    /// Mistyped.
    #[error("this is not the last block of the recovery key")]
    RecoveryBlock,
    /// systemd did not do it.
    #[error("systemd does not shut the machine down: {why}")]
    Power {
        /// What it said.
        why: String,
    },
}

impl ScreenRejection {
    /// Every code of this enum.
    pub(crate) const CODES: &[&str] = &[
        "screen.nothing_offered",
        "screen.other_console",
        "screen.settings_locked",
        "screen.settings_malformed",
        "screen.no_stick",
        "screen.no_recovery_key",
        "screen.recovery_block",
        "screen.power",
    ];
}

impl Refusal for ScreenRejection {
    fn code(&self) -> &'static str {
        let place = match self {
            Self::NothingOffered => 0,
            Self::OtherConsole { .. } => 1,
            Self::SettingsLocked => 2,
            Self::SettingsMalformed { .. } => 3,
            Self::NoStick => 4,
            Self::NoRecoveryKey => 5,
            Self::RecoveryBlock => 6,
            Self::Power { .. } => 7,
        };
        Self::CODES.get(place).copied().unwrap_or_default()
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::OtherConsole { expected, .. } => Some(expected.clone()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::OtherConsole { found, .. } => Some(found.clone()),
            _ => None,
        }
    }
}

/// What a wish led to.
#[derive(Debug)]
pub(crate) enum Granted {
    /// Done; a sentence for the person.
    Said(String),
    /// The recovery key.
    RecoveryKey(Vec<String>),
}

/// Something that a person at the machine asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) deed: Deed,
    pub(crate) answer: oneshot::Sender<Result<Granted, RefusalReport>>,
}

/// The open socket. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    views: watch::Sender<Arc<View>>,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    /// Listens at `path`; answers the door and what is asked through it.
    pub(crate) fn open(path: &Path) -> Result<(Self, mpsc::Receiver<Wish>), Fault> {
        let fault = |error: io::Error| Fault::State {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(fault)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fault)?;
        let first = View {
            v: VERSION,
            ..View::default()
        };
        let (views, shown) = watch::channel(Arc::new(first));
        let (wishes, asked) = mpsc::channel(MAX_WISHES);
        let task = tokio::spawn(accept(listener, shown, wishes));
        let path = path.to_owned();
        Ok((Self { path, views, task }, asked))
    }

    /// Shows a view, when it is another one than before; its time alone is no difference.
    pub(crate) fn show(&self, mut next: View) {
        self.views.send_if_modified(|now| {
            let at = std::mem::replace(&mut next.at, now.at);
            next.generation = now.generation;
            // The first one stands for nothing yet.
            if now.generation > 0 && **now == next && at.saturating_sub(now.at) < 60 {
                return false;
            }
            next.at = at;
            next.generation = now.generation.saturating_add(1);
            *now = Arc::new(std::mem::take(&mut next));
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

async fn accept(listener: UnixListener, views: watch::Receiver<Arc<View>>, wishes: mpsc::Sender<Wish>) {
    let room = Arc::new(tokio::sync::Semaphore::new(MAX_SCREENS));
    let mut talks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                    let (views, wishes) = (views.clone(), wishes.clone());
                    talks.spawn(async move {
                        if let Err(error) = talk(stream, views, wishes).await {
                            tracing::warn!(%error, "a screen's connection ended");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the screen's socket does not accept");
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

async fn next(stream: &mut OwnedReadHalf) -> io::Result<Option<FromScreen>> {
    let mut header = [0; HEADER_BYTES];
    match stream.read_exact(&mut header).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut frame = vec![0; frame_length(header).map_err(bad)?];
    stream.read_exact(&mut frame).await?;
    decode(&frame).map(Some).map_err(bad)
}

async fn talk(stream: UnixStream, mut views: watch::Receiver<Arc<View>>, wishes: mpsc::Sender<Wish>) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    match next(&mut read).await? {
        Some(FromScreen::Hello { v, program }) => {
            check_version(v).map_err(bad)?;
            tracing::info!(program = %program.escape_debug(), "a screen is here");
        }
        Some(FromScreen::Do { .. }) => return Err(io::Error::new(io::ErrorKind::InvalidData, "no hello")),
        None => return Ok(()),
    }
    let (answers, mut answered) = mpsc::channel::<ToScreen>(MAX_WISHES);
    let speaking = async {
        loop {
            let view = views.borrow_and_update().clone();
            if view.generation > 0 {
                let view = Box::new((*view).clone());
                write.write_all(&encode(&ToScreen::View { view }).map_err(bad)?).await?;
            }
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return Ok(()) },
                answer = answered.recv() => match answer {
                    Some(answer) => write.write_all(&encode(&answer).map_err(bad)?).await?,
                    None => return Ok(()),
                },
            }
        }
    };
    let listening = async {
        while let Some(message) = next(&mut read).await? {
            let FromScreen::Do { id, deed } = message else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a second hello"));
            };
            let (answer, granted) = oneshot::channel();
            if wishes.send(Wish { deed, answer }).await.is_err() {
                return Ok(());
            }
            let said = match granted.await {
                Ok(Ok(Granted::Said(said))) => ToScreen::Done { id, said },
                Ok(Ok(Granted::RecoveryKey(blocks))) => ToScreen::RecoveryKey { id, blocks },
                Ok(Err(report)) => ToScreen::Refused { id, report },
                Err(_) => return Ok(()),
            };
            if answers.send(said).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = speaking => ended,
        ended = listening => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::milestones::Milestones;
    use crate::network::Network;
    use crate::notify::Notify;
    use crate::options::{Arguments, Command, Settings};
    use clap::Parser as _;
    use freehold_protocol::V1;
    use freehold_protocol::enrol::Pairing;
    use freehold_protocol::screen::Stage;
    use freehold_trust::sha256;
    use freehold_verify::document::Settings as Document;

    fn settings(world: &Path) -> Settings {
        let at = |name: &str| world.join(name).display().to_string();
        let bus = format!("unix:path={}", at("no-bus"));
        let words = [
            "x",
            "run",
            "--screen",
            "--state",
            &at("state"),
            "--runtime",
            &at("run"),
            "--stick",
            &at("stick"),
        ];
        let arguments = Arguments::parse_from(words.iter().copied().chain(["--bus", &bus]));
        match arguments.command {
            Command::Run(settings) | Command::Once(settings) => *settings,
            Command::Forget { .. } | Command::Healthy(_) | Command::ReadRoot(_) => panic!("`run` was parsed"),
        }
    }

    /// A screen as another program would write it: frames on a socket.
    struct Other {
        stream: UnixStream,
        view: View,
        id: u64,
    }

    impl Other {
        async fn say(&mut self, message: &FromScreen) {
            self.stream.write_all(&encode(message).unwrap()).await.unwrap();
        }

        async fn hear(&mut self) -> Option<ToScreen> {
            let mut header = [0; HEADER_BYTES];
            self.stream.read_exact(&mut header).await.ok()?;
            let mut frame = vec![0; frame_length(header).unwrap()];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(decode(&frame).unwrap())
        }

        async fn open(path: &Path, v: u32) -> Self {
            let stream = loop {
                match UnixStream::connect(path).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            let mut other = Self {
                stream,
                view: View::default(),
                id: 0,
            };
            let program = "test".to_owned();
            other.say(&FromScreen::Hello { v, program }).await;
            other
        }

        /// Asks, and answers the sentence or the code.
        async fn ask(&mut self, deed: Deed) -> String {
            self.id += 1;
            self.say(&FromScreen::Do { id: self.id, deed }).await;
            loop {
                match self.hear().await.unwrap() {
                    ToScreen::View { view } => self.view = *view,
                    ToScreen::Done { said, .. } => return said,
                    ToScreen::RecoveryKey { blocks, .. } => return blocks.join("-"),
                    ToScreen::Refused { report, .. } => return report.code,
                }
            }
        }
    }

    fn nowhere() -> Network {
        Network::new(None, None, Milestones::new(None, Path::new("/")))
    }

    fn typed(fleet_ca: &str) -> Deed {
        let mut values = serde_json::Map::new();
        values.insert(
            "console".to_owned(),
            serde_json::json!({ "address": "", "fleet_ca": fleet_ca }),
        );
        let (v, fleet) = (1, String::new());
        Deed::Settings {
            settings: Document { v, fleet, values },
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_console_is_taken_only_when_a_screen_confirms_it_and_wishes_are_refused_by_code() {
        let world = tempfile::tempdir().unwrap();
        let settings = settings(world.path());
        let socket = world.path().join("run/screen.sock");
        let attending = tokio::spawn({
            let settings = settings.clone();
            async move { attended(&settings, &nowhere(), &Notify::from_environment()).await }
        });
        // Another version hears nothing: its connection is closed.
        let mut other = Other::open(&socket, 2).await;
        assert!(other.hear().await.is_none());

        let mut screen = Other::open(&socket, VERSION).await;
        let confirm = |name: &str| Deed::ConfirmConsole {
            fingerprint: sha256(name.as_bytes()).to_hex(),
        };
        assert_eq!(screen.ask(confirm("ca")).await, "screen.nothing_offered");
        assert_eq!(screen.view.stage, Stage::Unpaired);
        assert_eq!(screen.ask(Deed::Import {}).await, "screen.no_stick");
        assert_eq!(screen.ask(Deed::RecoveryKey {}).await, "screen.no_recovery_key");
        assert_eq!(screen.ask(Deed::ShutDown {}).await, "screen.power");
        assert_eq!(screen.ask(typed("no digest")).await, "screen.settings_malformed");
        assert_eq!(
            screen.ask(typed(&sha256(b"ca").to_hex())).await,
            "The settings are taken, and locked."
        );
        assert_eq!(
            screen.ask(typed(&sha256(b"other").to_hex())).await,
            "screen.settings_locked"
        );

        let key = "cbdefg-hijkln-rtuvcb-defghi-jklnrt-uvcbde-fghijk-lnrtuv";
        std::fs::write(world.path().join("run/recovery-key"), key).unwrap();
        assert_eq!(screen.ask(Deed::RecoveryKey {}).await, key);
        let last_block = "cbdefg".to_owned();
        assert_eq!(
            screen.ask(Deed::RecoveryKeyWritten { last_block }).await,
            "screen.recovery_block"
        );

        std::fs::create_dir(world.path().join("stick")).unwrap();
        let stick = |name: &str| {
            let pairing = Pairing {
                v: V1,
                fleet: "ward".to_owned(),
                site: "here".to_owned(),
                console: "https://192.0.2.1:1".to_owned(),
                fleet_ca: sha256(name.as_bytes()).to_hex(),
                tuf_root: sha256(b"root").to_hex(),
                director: sha256(b"director").to_hex(),
            };
            let bytes = serde_json::to_vec(&pairing).unwrap();
            std::fs::write(world.path().join("stick/pairing.json"), bytes).unwrap();
        };
        stick("other");
        assert_eq!(screen.ask(Deed::Import {}).await, "screen.other_console");
        stick("ca");
        assert!(screen.ask(Deed::Import {}).await.contains("ward"));
        assert_eq!(screen.ask(confirm("other")).await, "screen.other_console");
        assert_eq!(screen.view.stage, Stage::Offered);
        assert!(
            !attending.is_finished(),
            "the supervisor goes on only with a console of its own"
        );
        assert!(screen.ask(confirm("ca")).await.contains("is now the console"));
        let attendant = attending.await.unwrap().unwrap().unwrap();
        assert!(world.path().join("state/pairing.json").exists());
        drop(attendant);
        assert!(!socket.exists(), "the socket goes with its door");
        // The next start does not ask again.
        assert!(
            attended(&settings, &nowhere(), &Notify::from_environment())
                .await
                .unwrap()
                .is_some()
        );
    }
}

//! The operating system under the supervisor: which image runs, what lies ready for the other slot, what is on trial.
//!
//! Refuses to write partitions and to raise the floor itself: two small units of the image do that, started over D-Bus, and it
//! believes systemd's word on how they ended. Refuses to be anything on a box that is a program on somebody's system.
//! Invariant: what was ordered is written down before the machine restarts, and whichever image runs next compares.

mod health;
mod note;
mod rejection;
mod root_read;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use freehold_engine::unit::Bus;
use freehold_execute::{StepFailed, Store, sync_folder};
use freehold_plan::{ObservedSystem, Place, SystemStanding};
use freehold_protocol::health::ReleaseHealth;
use freehold_trust::Sha256Digest;
use freehold_trust::digest::Sha256Hasher;
use freehold_verify::release::{MAX_SYSTEM, Release, SYSTEM_FILES, SYSTEM_NAME, SystemRelease};
use freehold_verify::{Refusal as _, Verified};
use serde::Deserialize;

use crate::fault::Fault;
use crate::options::Settings;
use crate::state::State;

use health::{ATTEMPT, is_healthy};
pub(crate) use health::{Alive, say_alive};
pub use health::{HealthCheck, healthy};
use note::{Attempt, Note, Slot, Trial, Woke};
pub use rejection::UpdateRejection;
pub use root_read::{ReadRoot, RootRead, read_root};

const NOTE: &str = "system.json";
/// Writing a root of some hundred megabytes to a slow disk takes minutes.
const WRITE: Duration = Duration::from_secs(900);
/// A TPM may take seconds for an NV write.
const RAISE: Duration = Duration::from_secs(60);
/// Where the background read of the root says how far it is.
const ROOT_READ: &str = "/run/freehold-root";
/// The kernel's identifier of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Which image this is (os-release(5)); in the verified root.
const OS_RELEASE: &str = "usr/lib/os-release";

/// What the initial RAM disk says about the volume that it opened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Opened {
    level: u8,
    floor: u8,
}

/// The system.
#[derive(Debug)]
pub(crate) struct System {
    /// Where files are laid ready; `None` on a box that is a program on somebody's system.
    ready: Option<PathBuf>,
    runtime: PathBuf,
    bus: Option<String>,
    name: String,
    version: String,
    boot: String,
    level: u8,
    floor: u8,
    note: Note,
    /// What the note said when this process started.
    woke: Woke,
    /// A restart was asked for: nothing else happens any more.
    pub(crate) restarting: bool,
}

/// News about a trial, for record and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It works.
    Confirmed {
        release: Sha256Digest,
        name: String,
        version: String,
        counter: u64,
    },
    /// It did not.
    WentBack {
        release: Sha256Digest,
        rejection: UpdateRejection,
    },
}

/// `IMAGE_ID` and `IMAGE_VERSION` of the system whose root is `root`; empty where it is no image.
pub(crate) fn image(root: &Path) -> (String, String) {
    crate::boot::image_of(&fs::read_to_string(root.join(OS_RELEASE)).unwrap_or_default())
}

impl System {
    pub(crate) fn open(state: &State, settings: &Settings) -> Result<Self, Fault> {
        let note: Note = state.json(NOTE)?.unwrap_or_default();
        let (name, version) = image(Path::new("/"));
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Ok(Self::of(note, settings, (name, version), boot))
    }

    fn of(note: Note, settings: &Settings, (name, version): (String, String), boot: String) -> Self {
        let ready = settings.system.clone().filter(|_| !version.is_empty());
        let read = |path: PathBuf| fs::read(path).ok().filter(|bytes| bytes.len() < 65_536);
        let opened: Opened = read(settings.runtime.join("volume.json"))
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let attempt: Option<Attempt> = ready
            .as_ref()
            .and_then(|ready| read(ready.join(ATTEMPT)))
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let woke = match &ready {
            Some(_) => note.wake(&version, &boot, attempt.as_ref()),
            None => Woke::Steady,
        };
        Self {
            ready,
            runtime: settings.runtime.clone(),
            bus: settings.bus.clone(),
            name,
            version,
            boot,
            level: opened.level,
            floor: opened.floor,
            note,
            woke,
            restarting: false,
        }
    }

    /// Whether this box is an operating system that can be updated.
    pub(crate) fn is_ours(&self) -> bool {
        self.ready.is_some()
    }

    /// Whether the running image is on trial: then the engine is tested, and the health check decides.
    pub(crate) fn is_trying(&self) -> bool {
        self.woke == Woke::Trying
    }

    /// For the planner.
    pub(crate) fn observe(&self) -> Option<ObservedSystem> {
        let ready = self.ready.as_ref()?;
        let staged = fs::read_to_string(ready.join("release")).ok();
        let trial = self.note.trial.as_ref();
        Some(ObservedSystem {
            name: self.name.clone(),
            version: self.version.clone(),
            standing: if self.is_trying() {
                SystemStanding::Trying
            } else {
                SystemStanding::Confirmed
            },
            staged: staged.and_then(|text| text.trim().parse().ok()),
            written: trial
                .filter(|trial| trial.version != self.version)
                .map(|trial| trial.release),
            floor_due: self.note.floor_due(&self.version, self.floor),
        })
    }

    /// What became of a trial, once: the image that runs now keeps it or says why not.
    pub(crate) fn settle(&mut self, state: &State) -> Result<Option<News>, Fault> {
        let news = match &self.woke {
            Woke::WentBack(rejection) => {
                let rejection = rejection.clone();
                let trial = self.note.ended(Some(&rejection));
                trial.map(|trial| News::WentBack {
                    release: trial.release,
                    rejection,
                })
            }
            Woke::Trying if is_healthy(&self.runtime) => self.note.ended(None).map(|trial| News::Confirmed {
                release: trial.release,
                name: trial.name,
                version: trial.version,
                counter: trial.counter,
            }),
            _ => return Ok(None),
        };
        state.put_json(NOTE, &self.note)?;
        if let Some(ready) = &self.ready {
            let _ = fs::remove_file(ready.join(ATTEMPT));
        }
        self.woke = Woke::Steady;
        Ok(news)
    }

    /// For the reports.
    pub(crate) fn health(&self) -> Vec<ReleaseHealth> {
        self.note.health(&self.version)
    }

    /// How far the background read of the root is, where there is one.
    pub(crate) fn root_read() -> Option<RootRead> {
        let bytes = fs::read(Path::new(ROOT_READ).join(root_read::PROGRESS)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Says that the supervisor lives.
    pub(crate) fn alive(&self, alive: &Alive) {
        if self.is_ours() {
            say_alive(&self.runtime, alive);
        }
    }

    /// Checks the fetched files of a release as a whole, and lays them ready under the names that systemd-sysupdate knows.
    pub(crate) fn stage(&self, store: &Store, release: &Verified<Release>) -> Result<(), StepFailed> {
        let Some(ready) = &self.ready else {
            return Err(StepFailed::away(
                "plan.system",
                "this box is not an operating system of ours",
            ));
        };
        let system = self.described(store, release)?;
        let failed = |error: std::io::Error| StepFailed::away("store.io", format!("`{}`: {error}", ready.display()));
        for file in release
            .descriptor
            .files
            .iter()
            .filter(|file| SYSTEM_FILES.contains(&file.path.as_str()))
        {
            let path = store.staged_file(&release.digest, Place::Files, &file.path);
            if digest_of(&path).map_err(failed)? != file.sha256 {
                let file = file.path.clone();
                return Err(StepFailed::away(
                    "update.changed",
                    UpdateRejection::Changed { file }.to_string(),
                ));
            }
        }
        // Whatever lies there is of another release, or a part of this one.
        match fs::remove_dir_all(ready) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::create_dir_all(ready).map_err(failed)?;
        for file in SYSTEM_FILES {
            let Some(name) = system.handed_name(file) else { continue };
            fs::hard_link(store.staged_file(&release.digest, Place::Files, file), ready.join(name)).map_err(failed)?;
        }
        fs::write(ready.join(SYSTEM_NAME), system.to_json()).map_err(failed)?;
        // The name last: a folder without it counts for nothing.
        let named = freehold_execute::write_atomic(&ready.join("release"), release.digest.to_hex().as_bytes(), 0o644);
        named.and_then(|()| sync_folder(ready)).map_err(StepFailed::from)?;
        store.discard(&release.digest).map_err(StepFailed::from)
    }

    /// What the release says about itself, judged for this box.
    fn described(&self, store: &Store, release: &Verified<Release>) -> Result<SystemRelease, StepFailed> {
        let path = store.staged_file(&release.digest, Place::Files, SYSTEM_NAME);
        let bytes = fs::read(&path).map_err(|error| StepFailed::away("store.io", error.to_string()))?;
        let bytes = bytes
            .get(..bytes.len().min(MAX_SYSTEM.saturating_add(1)))
            .unwrap_or_default();
        let system = SystemRelease::parse(bytes, &release.descriptor)
            .map_err(|rejection| StepFailed::Refused(rejection.report()))?;
        let (level, floor) = (system.level.number(), self.floor.max(self.note.floor));
        if level < floor {
            return Err(StepFailed::Refused(
                UpdateRejection::BelowFloor { level, floor }.report(),
            ));
        }
        Ok(system)
    }

    /// Has the files that lie ready written into the other slot.
    pub(crate) async fn write(&mut self, state: &State, release: &Verified<Release>) -> Result<(), StepFailed> {
        let version = &release.descriptor.version;
        let ready = self.ready.clone().unwrap_or_default();
        let bytes =
            fs::read(ready.join(SYSTEM_NAME)).map_err(|error| StepFailed::away("store.io", error.to_string()))?;
        let system = SystemRelease::parse(&bytes, &release.descriptor)
            .map_err(|rejection| StepFailed::Refused(rejection.report()))?;
        // The slot that is written over holds nothing from now on, whatever comes of it.
        self.note.v = 1;
        let running = self.note.slots.remove(&self.version).unwrap_or(Slot {
            level: self.level,
            floor: 0,
            release: None,
        });
        self.note.slots = [(self.version.clone(), running)].into();
        self.keep(state)?;
        self.unit(&format!("freehold-update@{version}.service"), WRITE)
            .await
            .map_err(|why| StepFailed::away("update.write", UpdateRejection::Write { why }.to_string()))?;
        self.note.slots.insert(
            version.clone(),
            Slot {
                level: system.level.number(),
                floor: system.floor.number(),
                release: Some(release.digest),
            },
        );
        self.note.trial = Some(Trial {
            release: release.digest,
            name: system.name,
            version: system.version,
            counter: release.descriptor.counter,
            from: self.version.clone(),
            ordered: None,
        });
        self.keep(state)?;
        self.woke = Woke::ToRestart;
        let _ = fs::remove_dir_all(&ready);
        Ok(())
    }

    /// Restarts the machine into what was written.
    pub(crate) async fn restart(&mut self, state: &State) -> Result<(), StepFailed> {
        if self.restarting {
            return Ok(());
        }
        if let Some(trial) = &mut self.note.trial {
            trial.ordered = Some(self.boot.clone());
        }
        self.keep(state)?;
        let failed = |why: String| StepFailed::away("update.restart", UpdateRejection::Restart { why }.to_string());
        let bus = Bus::connect(self.bus.as_deref())
            .await
            .map_err(|fault| failed(fault.to_string()))?;
        bus.restart_machine().await.map_err(|fault| failed(fault.to_string()))?;
        self.restarting = true;
        Ok(())
    }

    /// Has the floor raised.
    pub(crate) async fn raise(&mut self, state: &State, level: u8) -> Result<(), StepFailed> {
        self.unit(&format!("freehold-floor@{level}.service"), RAISE)
            .await
            .map_err(|why| StepFailed::away("update.floor", UpdateRejection::Floor { why }.to_string()))?;
        self.note.floor = self.note.floor.max(level);
        self.keep(state)
    }

    async fn unit(&self, unit: &str, limit: Duration) -> Result<(), String> {
        let bus = Bus::connect(self.bus.as_deref())
            .await
            .map_err(|fault| fault.to_string())?;
        bus.run(unit, limit).await.map_err(|fault| fault.to_string())
    }

    fn keep(&self, state: &State) -> Result<(), StepFailed> {
        state
            .put_json(NOTE, &self.note)
            .map_err(|fault| StepFailed::away(fault.code(), fault.to_string()))
    }
}

fn digest_of(path: &Path) -> std::io::Result<Sha256Digest> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

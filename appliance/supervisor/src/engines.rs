//! The host of engines: units of systemd on the OS, bubblewrap on a process box.
//!
//! Refuses to start a model whose stored files are not those that its signed release names: the kernel says so by fs-verity, or
//! they are hashed before every start, and the status says which; and one that could not be measured before. Invariant: an engine
//! that ended is forgotten only after its pause.

mod questions;
mod start;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freehold_engine::backoff::backoff;
use freehold_engine::bounds::MemoryBound;
use freehold_engine::launch;
use freehold_engine::unit::{Root, UnitOptions, probe, sweep};
use freehold_engine::{EngineProcess, LaunchSpec, LlamaServer, ModelFile, ProcessState};
use freehold_execute::{Admitted, AdmittedFile, Host, Reading, StepFailed, VerityUse};
use freehold_plan::{EngineState, Purpose, RunningEngine, Step};
use freehold_trust::Sha256Digest;
use freehold_verify::milestone::{Milestone, MilestoneKind};
use freehold_verify::release::{Release, SELF_TEST};
use freehold_verify::{Refusal as _, Verified};
use questions::{ask_all, read_self_test};
use start::{Came, Start};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::fault::Fault;
use crate::judge::signed_files;
use crate::milestones::Milestones;
use crate::options::{EngineHost, Settings};

/// Ends in a row are forgotten after an engine has run this long.
const STEADY: Duration = Duration::from_secs(60);

type Key = (Sha256Digest, Purpose);

/// What a check measured, and how it ended.
pub(crate) type Checked = (Reading, Result<(), StepFailed>);

/// A start that goes on beside the rounds: hashing, measuring and loading a large model take minutes.
#[derive(Debug)]
struct Starting {
    came: oneshot::Receiver<Came>,
    /// Dropped, it ends the start.
    cancel: oneshot::Sender<()>,
    /// What the plan called it.
    step: Step,
}

/// A model's own questions, asked beside the rounds. Dropped, nobody waits for the answers any more.
#[derive(Debug)]
struct Checking {
    asked: JoinHandle<Checked>,
    /// How it ended, once that was waited for.
    ended: Option<Checked>,
    /// What the plan called it.
    step: Step,
}

impl Drop for Checking {
    fn drop(&mut self) {
        self.asked.abort();
    }
}

/// One engine.
#[derive(Debug)]
struct Slot {
    process: Option<EngineProcess>,
    starting: Option<Starting>,
    checking: Option<Checking>,
    started: Instant,
    failures: u32,
    rest_until: Option<Instant>,
    reason: Option<String>,
    memory_bound: &'static str,
}

/// The engines of this box.
#[derive(Debug)]
pub(crate) struct Engines {
    root: Option<PathBuf>,
    runtime: PathBuf,
    logs: PathBuf,
    threads: u32,
    memory_bytes: u64,
    context: u32,
    slots_each: u32,
    units: Option<UnitOptions>,
    slots: BTreeMap<Key, Slot>,
    milestones: Milestones,
    verity: VerityUse,
    /// What the signed releases of the moment say of their files, by release.
    signed: BTreeMap<Sha256Digest, Vec<AdmittedFile>>,
    /// Starts that failed since the last look.
    broken: Vec<(Step, StepFailed)>,
    /// Told when a start has ended.
    wake: Arc<Notify>,
}

/// What an engine is like, for status and reports.
#[derive(Debug, Clone)]
pub(crate) struct EngineView {
    /// Whether it is loading.
    pub(crate) starting: bool,
    /// Whether it answers.
    pub(crate) socket: Option<PathBuf>,
    /// Why it does not.
    pub(crate) reason: Option<String>,
    /// `cgroup`, `watched` or empty.
    pub(crate) memory_bound: &'static str,
}

impl Engines {
    pub(crate) fn new(settings: &Settings, milestones: Milestones, wake: Arc<Notify>) -> Self {
        Self {
            milestones,
            verity: settings.verity(),
            signed: BTreeMap::new(),
            broken: Vec::new(),
            wake,
            root: settings.engine_root.clone(),
            runtime: settings.runtime.clone(),
            logs: settings.state.join("logs"),
            threads: settings.threads,
            memory_bytes: settings.memory.saturating_mul(1 << 20),
            context: settings.context,
            slots_each: settings.slots,
            units: None,
            slots: BTreeMap::new(),
        }
    }

    /// What the signed releases say of their files: what is stored is believed only as far as it agrees.
    pub(crate) fn know(&mut self, releases: &BTreeMap<Sha256Digest, Verified<Release>>) {
        self.signed = releases
            .iter()
            .map(|(digest, release)| (*digest, signed_files(release)))
            .collect();
    }

    /// Finds out who starts engines, and ends what an earlier supervisor left with systemd: nobody watches it, and what should
    /// run is started again by the plan. Answers who it is, for the status.
    pub(crate) async fn settle(&mut self, settings: &Settings) -> Result<String, Fault> {
        let own = own_unit(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        if settings.host == EngineHost::Bubblewrap || (settings.host == EngineHost::Auto && own.is_none()) {
            return Ok("bubblewrap".to_owned());
        }
        let mut options = UnitOptions {
            address: settings.bus.clone(),
            user: settings.engine_user.clone(),
            bound_to: own,
            version: 0,
        };
        let fault = |fault: freehold_engine::unit::UnitFault| Fault::of(fault.code(), fault.to_string());
        match probe(&options).await {
            Ok(version) => options.version = version,
            Err(missing) if settings.host == EngineHost::Auto => {
                tracing::warn!(code = missing.code(), %missing, "engines run under bubblewrap");
                return Ok("bubblewrap".to_owned());
            }
            Err(missing) => return Err(fault(missing)),
        }
        for unit in sweep(&options).await.map_err(fault)? {
            tracing::warn!(unit, "ended an engine that an earlier supervisor left");
        }
        let version = options.version;
        self.units = Some(options);
        Ok(format!("systemd {version}"))
    }

    /// Looks at every engine: one that ended by itself rests, one that has rested may be started again.
    pub(crate) fn observe(&mut self) -> Vec<RunningEngine> {
        let now = Instant::now();
        self.arrivals();
        for ((root, purpose), slot) in &mut self.slots {
            if let Some(process) = &slot.process
                && let ProcessState::Ended(exit) = process.state()
            {
                slot.failures = if slot.started.elapsed() > STEADY {
                    1
                } else {
                    slot.failures.saturating_add(1)
                };
                slot.rest_until = Some(now + backoff(slot.failures));
                slot.reason = Some(exit.to_string());
                slot.process = None;
                tracing::warn!(model = %root, %purpose, %exit, "an engine ended");
            }
        }
        self.slots
            .iter()
            .filter_map(|((root, purpose), slot)| {
                let state = match (&slot.process, &slot.starting, slot.rest_until) {
                    (Some(_), ..) if slot.checking.is_some() => EngineState::Checking,
                    (Some(_), ..) => EngineState::Running,
                    (None, Some(_), _) => EngineState::Starting,
                    (None, None, Some(until)) if until > now => EngineState::Resting,
                    (None, None, _) => return None,
                };
                Some(RunningEngine {
                    root: *root,
                    purpose: *purpose,
                    state,
                })
            })
            .collect()
    }

    /// Starts the engine with a small model that comes with the system, and ends it. An error is the code of why it does not
    /// start; a model that runs already says nothing about the next start.
    pub(crate) async fn self_test(&mut self, folder: &Path) -> Result<(), String> {
        let files = folder.join("files");
        let unreadable = |_| "engine.model_file".to_owned();
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(&files).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let bytes = std::fs::read(&path).map_err(unreadable)?;
            listed.push(freehold_execute::AdmittedFile {
                path: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                sha256: freehold_trust::sha256(&bytes),
                fs_verity: None,
            });
        }
        let root = freehold_trust::sha256(b"freehold self-test");
        self.signed.insert(root, listed.clone());
        // It is part of the verified root: nothing of it is admitted, and nothing of it is served.
        let model = Admitted {
            v: 1,
            release: root,
            target: String::new(),
            name: "self-test".to_owned(),
            version: String::new(),
            counter: 0,
            root,
            signer: String::new(),
            embeddings: false,
            files: listed,
            at: 0,
            because: Vec::new(),
        };
        let begun = self.start_engine(&model, folder, Purpose::Chat).await;
        self.started().await;
        let of_it = |step: &Step| matches!(step, Step::StartEngine { release, .. } if *release == root);
        let ended = (self.broken.iter()).position(|(step, _)| of_it(step));
        let ended = ended.map_or(Ok(()), |at| Err(self.broken.remove(at).1));
        let _ = self.stop_engine(&root, Purpose::Chat).await;
        self.signed.remove(&root);
        begun.and(ended).map_err(|failed| failed.report().code.clone())
    }

    /// One engine for status and reports.
    pub(crate) fn view(&self, root: &Sha256Digest, purpose: Purpose) -> EngineView {
        let slot = self.slots.get(&(*root, purpose));
        let process = slot.and_then(|slot| slot.process.as_ref());
        EngineView {
            starting: slot.is_some_and(|slot| slot.starting.is_some()),
            socket: process.map(|process| process.socket().to_owned()),
            reason: slot.and_then(|slot| slot.reason.clone()),
            memory_bound: slot.map_or("", |slot| slot.memory_bound),
        }
    }

    /// Root digests of the models that an engine runs.
    pub(crate) fn models(&self) -> Vec<Sha256Digest> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.process.is_some())
            .map(|((root, _), _)| *root)
            .collect()
    }

    /// The context that engines are started with.
    pub(crate) fn context(&self) -> u32 {
        self.context
    }

    /// Whether something goes on beside the rounds: a start, or a model's answers to its own questions.
    pub(crate) fn busy(&self) -> bool {
        (self.slots.values()).any(|slot| slot.starting.is_some() || slot.checking.is_some())
    }

    /// Takes in the starts that have ended.
    fn arrivals(&mut self) {
        let ended: Vec<(Key, Came)> = (self.slots.iter_mut())
            .filter_map(|(key, slot)| match slot.starting.as_mut()?.came.try_recv() {
                Ok(came) => Some((*key, came)),
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(oneshot::error::TryRecvError::Closed) => Some((*key, Err(lost()))),
            })
            .collect();
        for (key, came) in ended {
            self.arrived(key, came);
        }
    }

    fn arrived(&mut self, key: Key, came: Came) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let starting = slot.starting.take();
        match came {
            Ok(process) => {
                slot.memory_bound = match process.bounds().memory {
                    MemoryBound::Systemd => "systemd cgroup",
                    MemoryBound::Cgroup => "cgroup",
                    MemoryBound::Watched => "watched",
                };
                slot.process = Some(process);
                slot.started = Instant::now();
                slot.rest_until = None;
                slot.reason = None;
            }
            Err((code, message)) => {
                let failed = self.failed(key, &code, message);
                self.broken.extend(starting.map(|starting| (starting.step, failed)));
            }
        }
    }

    /// Starts that failed since the last look.
    pub(crate) fn broken(&mut self) -> Vec<(Step, StepFailed)> {
        self.arrivals();
        std::mem::take(&mut self.broken)
    }

    /// How checks ended since the last look.
    pub(crate) async fn checked(&mut self) -> Vec<(Step, Checked)> {
        let mut all = Vec::new();
        for slot in self.slots.values_mut() {
            let done = |checking: &mut Checking| checking.ended.is_some() || checking.asked.is_finished();
            let Some(mut checking) = slot.checking.take_if(done) else {
                continue;
            };
            let ended = match checking.ended.take() {
                Some(ended) => ended,
                None => answers(&mut checking.asked).await,
            };
            all.push((checking.step.clone(), ended));
        }
        all
    }

    /// Waits until every start and every check has ended. Answers whether there was one, and no start failed.
    pub(crate) async fn settled(&mut self) -> bool {
        let mut any = self.started().await;
        for checking in self.slots.values_mut().filter_map(|slot| slot.checking.as_mut()) {
            any = true;
            if checking.ended.is_none() {
                checking.ended = Some(answers(&mut checking.asked).await);
            }
        }
        any && self.broken.is_empty()
    }

    /// Waits until every start has ended. Answers whether there was one, and all ended well.
    async fn started(&mut self) -> bool {
        let keys: Vec<Key> = (self.slots.iter())
            .filter(|(_, slot)| slot.starting.is_some())
            .map(|(key, _)| *key)
            .collect();
        for key in &keys {
            let Some(starting) = self.slots.get_mut(key).and_then(|slot| slot.starting.as_mut()) else {
                continue;
            };
            let came = (&mut starting.came).await.unwrap_or_else(|_| Err(lost()));
            self.arrived(*key, came);
        }
        !keys.is_empty() && self.broken.is_empty()
    }

    /// Ends all engines at once.
    pub(crate) async fn stop_all(&mut self) {
        let ends = std::mem::take(&mut self.slots)
            .into_values()
            .map(|slot| tokio::spawn(ended(slot)))
            .collect::<Vec<_>>();
        for end in ends {
            let _ = end.await;
        }
    }

    fn slot(&mut self, key: Key) -> &mut Slot {
        self.slots.entry(key).or_insert_with(|| Slot {
            process: None,
            starting: None,
            checking: None,
            started: Instant::now(),
            failures: 0,
            rest_until: None,
            reason: None,
            memory_bound: "",
        })
    }

    fn failed(&mut self, key: Key, code: &str, message: String) -> StepFailed {
        let slot = self.slot(key);
        slot.process = None;
        slot.failures = slot.failures.saturating_add(1);
        slot.rest_until = Some(Instant::now() + backoff(slot.failures));
        slot.reason = Some(format!("{code}: {message}"));
        StepFailed::away(code, message)
    }

    fn spec(&self, root: PathBuf, admitted: &Admitted, model: &Path, purpose: Purpose) -> Option<LaunchSpec> {
        let files: Vec<ModelFile> = admitted
            .files
            .iter()
            .filter(|file| !file.path.contains('/'))
            .map(|file| ModelFile {
                source: model.join("files").join(&file.path),
                name: file.path.clone(),
            })
            .collect();
        // The first weights file by name: of a split model that is part 1.
        let open = files
            .iter()
            .map(|file| &file.name)
            .filter(|name| name.ends_with(".gguf"))
            .min()?
            .clone();
        let short: String = admitted.root.to_hex().chars().take(12).collect();
        let name = format!("{short}-{purpose}");
        Some(LaunchSpec {
            root,
            files,
            open,
            purpose: match purpose {
                Purpose::Chat => launch::Purpose::Chat,
                Purpose::Embeddings => launch::Purpose::Embeddings,
            },
            socket_folder: self.runtime.join(format!("engine-{name}")),
            context: self.context,
            slots: self.slots_each,
            threads: self.threads,
            memory_bytes: self.memory_bytes,
            devices: Vec::new(),
            log: self.logs.join(format!("engine-{name}.log")),
            name,
        })
    }
}

/// The service of systemd that this process is, by its control group (`/proc/self/cgroup`, both versions).
fn own_unit(groups: &str) -> Option<String> {
    groups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let service = path.strip_prefix("/system.slice/")?.split('/').next()?;
        service.ends_with(".service").then(|| service.to_owned())
    })
}

/// Ends what is in a slot; answers when nothing is left of it.
async fn ended(slot: Slot) {
    if let Some(Starting { came, cancel, .. }) = slot.starting {
        drop(cancel);
        if let Ok(Ok(process)) = came.await {
            process.stop().await;
        }
    }
    if let Some(process) = slot.process {
        process.stop().await;
    }
}

async fn answers(asked: &mut JoinHandle<Checked>) -> Checked {
    let lost = |error: tokio::task::JoinError| StepFailed::away("engine.start", error.to_string());
    asked
        .await
        .unwrap_or_else(|error| (Reading::default(), Err(lost(error))))
}

fn lost() -> (String, String) {
    ("engine.start".to_owned(), "its start was lost".to_owned())
}

impl Host for Engines {
    /// Begins; [`Engines::observe`] says when it answers, [`Engines::broken`] why it does not.
    async fn start_engine(&mut self, admitted: &Admitted, model: &Path, purpose: Purpose) -> Result<(), StepFailed> {
        let key = (admitted.root, purpose);
        let there = |slot: &Slot| slot.process.is_some() || slot.starting.is_some();
        if self.slots.get(&key).is_some_and(there) {
            return Ok(());
        }
        // What the release says counts, not what was written down when it was admitted.
        let Some(files) = self.signed.get(&admitted.release).cloned() else {
            return Err(self.failed(key, "store.order", "its signed release is not at hand".to_owned()));
        };
        let admitted = &Admitted {
            files,
            ..admitted.clone()
        };
        let Some(root) = self.root.clone() else {
            return Err(self.failed(key, "engine.missing", "the box has no engine".to_owned()));
        };
        let mut reached = Vec::new();
        if let Ok(Root::Image { image, root_hash, .. }) = Root::find(&root)
            && let Some(digest) = Sha256Digest::from_slice(&root_hash)
        {
            let name = image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            reached.push(Milestone::new(MilestoneKind::Engine, &name, digest));
        }
        let name = format!("{} {}", admitted.name, admitted.version);
        reached.push(Milestone::new(MilestoneKind::Model, &name, admitted.root));
        let Some(spec) = self.spec(root, admitted, model, purpose) else {
            return Err(self.failed(
                key,
                "engine.model_file",
                "the model has no `.gguf` file at its top".to_owned(),
            ));
        };
        if let Err(error) = std::fs::create_dir_all(&self.logs) {
            return Err(self.failed(key, "engine.start", error.to_string()));
        }
        let start = Start {
            files: admitted.files.clone(),
            model: model.to_owned(),
            verity: self.verity,
            reached,
            milestones: self.milestones.clone(),
            spec,
            units: self.units.clone(),
        };
        let (cancel, cancelled) = oneshot::channel();
        let (tell, came) = oneshot::channel();
        let wake = self.wake.clone();
        tokio::spawn(async move {
            let outcome = start.run(cancelled).await;
            if let Err(Ok(process)) = tell.send(outcome) {
                // Nobody waits for it any more.
                process.stop().await;
            }
            wake.notify_one();
        });
        let step = Step::StartEngine {
            release: admitted.release,
            root: admitted.root,
            name: admitted.name.clone(),
            purpose,
        };
        let slot = self.slot(key);
        slot.rest_until = None;
        slot.starting = Some(Starting { came, cancel, step });
        Ok(())
    }

    /// Begins; [`Engines::checked`] says how it ended.
    async fn check_health(&mut self, admitted: &Admitted, model: &Path) -> Result<(), StepFailed> {
        let key = (admitted.root, Purpose::Chat);
        let wake = self.wake.clone();
        let slot = self.slots.get_mut(&key);
        let Some((slot, socket)) = slot.and_then(|slot| {
            let socket = slot.process.as_ref()?.socket().to_owned();
            Some((slot, socket))
        }) else {
            return Err(StepFailed::away(
                "engine.missing",
                "the engine to be asked is not there",
            ));
        };
        let brings = admitted.files.iter().any(|file| file.path == SELF_TEST);
        let path = model.join("files").join(SELF_TEST);
        let name = admitted.name.clone();
        let asked = tokio::spawn(async move {
            let ended = match brings.then(|| read_self_test(&name, &path)) {
                None => (Reading::default(), Ok(())),
                Some(Err(failed)) => (Reading::default(), Err(failed)),
                Some(Ok(test)) => {
                    let (right, reading) = ask_all(&LlamaServer::new(socket), &test).await;
                    let outcome = test.judge(&name, right);
                    (
                        reading,
                        outcome.map_err(|rejection| StepFailed::Refused(rejection.report())),
                    )
                }
            };
            wake.notify_one();
            ended
        });
        slot.checking = Some(Checking {
            asked,
            ended: None,
            step: Step::CheckHealth {
                release: admitted.release,
                root: admitted.root,
                name: admitted.name.clone(),
            },
        });
        Ok(())
    }

    async fn stop_engine(&mut self, root: &Sha256Digest, purpose: Purpose) -> Result<(), StepFailed> {
        if let Some(slot) = self.slots.remove(&(*root, purpose)) {
            ended(slot).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_knows_its_own_name_and_a_terminal_has_none() {
        let service = "0::/system.slice/freehold-supervisor.service\n";
        assert_eq!(own_unit(service).as_deref(), Some("freehold-supervisor.service"));
        let older = "4:memory:/system.slice/a.service/x\n1:name=systemd:/system.slice/a.service\n";
        assert_eq!(own_unit(older).as_deref(), Some("a.service"));
        for other in [
            "0::/user.slice/user-0.slice/session-1.scope\n",
            "0::/\n",
            "",
            "4:memory:/docker/abc\n",
        ] {
            assert_eq!(own_unit(other), None, "{other}");
        }
    }
}

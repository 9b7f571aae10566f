//! The host of engines: units of systemd on the OS, bubblewrap on a process box.
//!
//! Refuses to start a model whose stored files are not those that its signed release names: the kernel says so by fs-verity, or
//! they are hashed before every start, and the status says which; and one that could not be measured before. Invariant: an engine
//! that ended is forgotten only after its pause.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freehold_engine::ask::{Chat, Message, Role, Sampling};
use freehold_engine::backoff::backoff;
use freehold_engine::bounds::MemoryBound;
use freehold_engine::launch;
use freehold_engine::unit::{Root, UnitOptions, probe, sweep};
use freehold_engine::{Answer, Engine as _, EngineProcess, LaunchSpec, LlamaServer, ModelFile, ProcessState};
use freehold_execute::verity::{Held, measure};
use freehold_execute::{Admitted, AdmittedFile, Host, Reading, StepFailed, VerityUse};
use freehold_model_files::{Watch, hash_files};
use freehold_plan::{EngineState, HealthRejection, MAX_SELF_TEST, Purpose, RunningEngine, SelfTest, Step};
use freehold_trust::Sha256Digest;
use freehold_verify::milestone::{Milestone, MilestoneKind};
use freehold_verify::release::{Release, SELF_TEST};
use freehold_verify::{Refusal as _, Verified};
use tokio::sync::{Notify, oneshot};

use crate::fault::Fault;
use crate::judge::signed_files;
use crate::milestones::Milestones;
use crate::options::{EngineHost, Settings};

/// How long an engine may take to load its model; a large one from a slow disk takes minutes.
const READY_LIMIT: Duration = Duration::from_secs(600);
/// How long one answer of a self-test may take: a large model on a processor writes a token in a few seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);
/// Bounds what an engine can make us hold of one answer.
const MAX_ANSWER: usize = 64 << 10;
/// Ends in a row are forgotten after an engine has run this long.
const STEADY: Duration = Duration::from_secs(60);

type Key = (Sha256Digest, Purpose);

/// What became of a start: the engine, or the code and the message of what was in the way.
type Came = Result<EngineProcess, (String, String)>;

/// A start that goes on beside the rounds: hashing, measuring and loading a large model take minutes.
#[derive(Debug)]
struct Starting {
    came: oneshot::Receiver<Came>,
    /// Dropped, it ends the start.
    cancel: oneshot::Sender<()>,
    /// What the plan called it.
    step: Step,
}

/// One engine.
#[derive(Debug)]
struct Slot {
    process: Option<EngineProcess>,
    starting: Option<Starting>,
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

    /// Waits until every start has ended. Answers whether there was one, and all ended well.
    pub(crate) async fn started(&mut self) -> bool {
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

/// Lets the group of the runtime folder, the gateway's, through to the engine's socket, and nobody else.
fn open_to_group(socket: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
    let folder = socket.parent().unwrap_or(Path::new("."));
    let group = std::fs::metadata(folder.parent().unwrap_or(folder))?.gid();
    for (path, mode) in [(folder, 0o710), (socket, 0o660)] {
        lchown(path, None, Some(group))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Whether the stored files are the signed ones: by the kernel's word where it holds them, else by hashing.
async fn unchanged(files: &[AdmittedFile], model: &Path, verity: VerityUse) -> Result<(), String> {
    let folder = model.join("files");
    let files = files.to_vec();
    let work = move || {
        let mut to_hash: Vec<(String, u64)> = Vec::new();
        let mut wanted: Vec<Sha256Digest> = Vec::new();
        for file in &files {
            let path = folder.join(&file.path);
            let held = measure(&path).map_err(|error| format!("`{}`: {error}", file.path))?;
            match (held, file.fs_verity) {
                (Held::To(found), Some(expected)) if found == expected => continue,
                (Held::To(_), Some(_)) => return Err(format!("`{}` is not the file that was admitted", file.path)),
                (Held::NotYet | Held::Unsupported, _) if verity == VerityUse::Required => {
                    return Err(format!("`{}` is not held by fs-verity", file.path));
                }
                // A release of the version before names no such digest.
                _ => {}
            }
            to_hash.push((file.path.clone(), file.length));
            wanted.push(file.sha256);
        }
        let hashed = hash_files(&folder, &to_hash, Watch::nobody()).map_err(|error| error.to_string())?;
        match hashed
            .iter()
            .zip(&wanted)
            .find(|(found, wanted)| found.sha256 != **wanted)
        {
            Some((found, _)) => Err(format!("`{}` is not the file that was admitted", found.path)),
            None => Ok(()),
        }
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())?
}

/// Everything that starting one engine needs; it outlives the round that began it.
struct Start {
    files: Vec<AdmittedFile>,
    model: PathBuf,
    verity: VerityUse,
    reached: Vec<Milestone>,
    milestones: Milestones,
    spec: LaunchSpec,
    units: Option<UnitOptions>,
}

impl Start {
    /// Checks, measures, starts, waits until it answers; nothing is left of it when it was cancelled.
    async fn run(self, mut cancel: oneshot::Receiver<()>) -> Came {
        let cancelled = || ("engine.start".to_owned(), "it is not wanted any more".to_owned());
        let Self {
            files,
            model,
            verity,
            reached,
            milestones,
            spec,
            units,
        } = self;
        let first = async {
            unchanged(&files, &model, verity)
                .await
                .map_err(|message| ("store.changed".to_owned(), message))?;
            for milestone in reached {
                let measured = milestones.reach(milestone).await;
                measured.map_err(|refused| (refused.code().to_owned(), refused.to_string()))?;
            }
            Ok::<(), (String, String)>(())
        };
        tokio::select! {
            done = first => done?,
            _ = &mut cancel => return Err(cancelled()),
        }
        let by_systemd = units.is_some();
        let start = move || match &units {
            Some(options) => EngineProcess::start_unit(&spec, options),
            None => EngineProcess::start(&spec),
        };
        let mut process = match tokio::task::spawn_blocking(start).await {
            Ok(Ok(process)) => process,
            Ok(Err(error)) => return Err((error.code().to_owned(), said(&error))),
            Err(error) => return Err(("engine.start".to_owned(), error.to_string())),
        };
        let answers = tokio::select! {
            ready = process.ready(READY_LIMIT) => ready.map(drop).map_err(|error| (error.code().to_owned(), said(&error))),
            _ = &mut cancel => Err(cancelled()),
        };
        // Under systemd the engine's own group is the gateway's way in.
        let open = answers.and_then(|()| match by_systemd {
            true => Ok(()),
            false => open_to_group(process.socket())
                .map_err(|error| ("engine.start".to_owned(), format!("its socket: {error}"))),
        });
        match open {
            Ok(()) => Ok(process),
            Err(failed) => {
                process.stop().await;
                Err(failed)
            }
        }
    }
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

    async fn check_health(&mut self, admitted: &Admitted, model: &Path) -> (Reading, Result<(), StepFailed>) {
        let socket = self.view(&admitted.root, Purpose::Chat).socket;
        let Some(socket) = socket else {
            let missing = StepFailed::away("engine.missing", "the engine to be asked is not there");
            return (Reading::default(), Err(missing));
        };
        if !admitted.files.iter().any(|file| file.path == SELF_TEST) {
            return (Reading::default(), Ok(()));
        }
        let path = model.join("files").join(SELF_TEST);
        let test = match read_self_test(&admitted.name, &path) {
            Ok(test) => test,
            Err(failed) => return (Reading::default(), Err(failed)),
        };
        let (right, reading) = ask_all(&LlamaServer::new(socket), &test).await;
        let outcome = test.judge(&admitted.name, right);
        (
            reading,
            outcome.map_err(|rejection| StepFailed::Refused(rejection.report())),
        )
    }

    async fn stop_engine(&mut self, root: &Sha256Digest, purpose: Purpose) -> Result<(), StepFailed> {
        if let Some(slot) = self.slots.remove(&(*root, purpose)) {
            ended(slot).await;
        }
        Ok(())
    }
}

/// The questions that a release brings; its bytes were found to be the admitted ones when its engine was started.
fn read_self_test(name: &str, path: &Path) -> Result<SelfTest, StepFailed> {
    let refused = |rejection: HealthRejection| StepFailed::Refused(rejection.report());
    let length = std::fs::metadata(path).map(|file| file.len());
    let read = match length {
        Ok(length) if length > u64::try_from(MAX_SELF_TEST).unwrap_or(u64::MAX) => {
            return Err(refused(HealthRejection::Malformed {
                name: name.to_owned(),
                detail: format!("{length} bytes"),
            }));
        }
        Ok(_) => std::fs::read(path),
        Err(error) => Err(error),
    };
    let bytes = read.map_err(|error| StepFailed::away("store.io", format!("`{}`: {error}", path.display())))?;
    SelfTest::parse(name, &bytes).map_err(refused)
}

/// Asks every question in a conversation of its own; answers how many answers were as expected. What was asked and answered
/// is not kept.
async fn ask_all(engine: &LlamaServer, test: &SelfTest) -> (u32, Reading) {
    let (mut right, mut tokens, mut took) = (0_u32, 0_u64, Duration::ZERO);
    for question in &test.questions {
        let chat = Chat {
            messages: vec![Message {
                role: Role::User,
                content: question.prompt.clone(),
            }],
            sampling: Sampling {
                max_tokens: Some(test.max_tokens),
                temperature: Some(0.0),
                ..Sampling::default()
            },
        };
        let begun = Instant::now();
        let answer = tokio::time::timeout(ANSWER_LIMIT, async {
            Answer::collect(engine.chat(chat).await?, MAX_ANSWER).await
        });
        match answer.await {
            Ok(Ok(answer)) => {
                took += begun.elapsed();
                tokens = tokens.saturating_add(answer.usage.answer_tokens.into());
                right = right.saturating_add(u32::from(question.holds(&answer.text)));
            }
            // No answer is a wrong one.
            Ok(Err(error)) => tracing::warn!(code = error.code(), %error, "a question of the self-test got no answer"),
            Err(_) => tracing::warn!("a question of the self-test got no answer in time"),
        }
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let speed = tokens.saturating_mul(1_000_000_000).checked_div(micros);
    let total = u32::try_from(test.questions.len()).unwrap_or(u32::MAX);
    let reading = Reading {
        answers: Some((right, total)),
        speed: speed.filter(|speed| *speed > 0),
    };
    (right, reading)
}

fn said(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
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

//! The host of engines: units of systemd on the OS, bubblewrap on a process box.
//!
//! Refuses to start a model whose stored files are not the admitted ones: without fs-verity they are hashed before every
//! start, and the status says so. Invariant: an engine that ended is forgotten only after its pause.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use freehold_engine::backoff::backoff;
use freehold_engine::bounds::MemoryBound;
use freehold_engine::launch;
use freehold_engine::unit::{UnitOptions, probe, sweep};
use freehold_engine::{EngineProcess, LaunchSpec, ModelFile, ProcessState};
use freehold_execute::{Admitted, Host, StepFailed};
use freehold_model_files::{Watch, hash_files};
use freehold_plan::{EngineState, Purpose, RunningEngine};
use freehold_trust::Sha256Digest;

use crate::fault::Fault;
use crate::options::{EngineHost, Settings};

/// How long an engine may take to load its model; a large one from a slow disk takes minutes.
const READY_LIMIT: Duration = Duration::from_secs(600);
/// Ends in a row are forgotten after an engine has run this long.
const STEADY: Duration = Duration::from_secs(60);

type Key = (Sha256Digest, Purpose);

/// One engine.
#[derive(Debug)]
struct Slot {
    process: Option<EngineProcess>,
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
}

/// What an engine is like, for status and reports.
#[derive(Debug, Clone)]
pub(crate) struct EngineView {
    /// Whether it answers.
    pub(crate) socket: Option<PathBuf>,
    /// Why it does not.
    pub(crate) reason: Option<String>,
    /// `cgroup`, `watched` or empty.
    pub(crate) memory_bound: &'static str,
}

impl Engines {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
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
                let state = match (&slot.process, slot.rest_until) {
                    (Some(_), _) => EngineState::Running,
                    (None, Some(until)) if until > now => EngineState::Resting,
                    (None, _) => return None,
                };
                Some(RunningEngine {
                    root: *root,
                    purpose: *purpose,
                    state,
                })
            })
            .collect()
    }

    /// One engine for status and reports.
    pub(crate) fn view(&self, root: &Sha256Digest, purpose: Purpose) -> EngineView {
        let slot = self.slots.get(&(*root, purpose));
        let process = slot.and_then(|slot| slot.process.as_ref());
        EngineView {
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

    /// Ends all engines at once.
    pub(crate) async fn stop_all(&mut self) {
        let ends = std::mem::take(&mut self.slots)
            .into_values()
            .filter_map(|slot| slot.process)
            .map(|process| tokio::spawn(process.stop()))
            .collect::<Vec<_>>();
        for end in ends {
            let _ = end.await;
        }
    }

    fn failed(&mut self, key: Key, code: &str, message: String) -> StepFailed {
        let slot = self.slots.entry(key).or_insert_with(|| Slot {
            process: None,
            started: Instant::now(),
            failures: 0,
            rest_until: None,
            reason: None,
            memory_bound: "",
        });
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

/// Whether the stored files are the admitted ones.
async fn unchanged(admitted: &Admitted, model: &Path) -> Result<(), String> {
    let folder = model.join("files");
    let files: Vec<(String, u64)> = admitted
        .files
        .iter()
        .map(|file| (file.path.clone(), file.length))
        .collect();
    let wanted: Vec<Sha256Digest> = admitted.files.iter().map(|file| file.sha256).collect();
    let hashed = tokio::task::spawn_blocking(move || hash_files(&folder, &files, Watch::nobody()))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    match hashed
        .iter()
        .zip(&wanted)
        .find(|(found, wanted)| found.sha256 != **wanted)
    {
        Some((found, _)) => Err(format!("`{}` is not the file that was admitted", found.path)),
        None => Ok(()),
    }
}

impl Host for Engines {
    async fn start_engine(&mut self, admitted: &Admitted, model: &Path, purpose: Purpose) -> Result<(), StepFailed> {
        let key = (admitted.root, purpose);
        if self.slots.get(&key).is_some_and(|slot| slot.process.is_some()) {
            return Ok(());
        }
        if let Err(message) = unchanged(admitted, model).await {
            return Err(self.failed(key, "store.changed", message));
        }
        let Some(root) = self.root.clone() else {
            return Err(self.failed(key, "engine.missing", "the box has no engine".to_owned()));
        };
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
        let units = self.units.clone();
        let start = move || match &units {
            Some(options) => EngineProcess::start_unit(&spec, options),
            None => EngineProcess::start(&spec),
        };
        let started = tokio::task::spawn_blocking(start).await;
        let mut process = match started {
            Ok(Ok(process)) => process,
            Ok(Err(error)) => return Err(self.failed(key, error.code(), said(&error))),
            Err(error) => return Err(self.failed(key, "engine.start", error.to_string())),
        };
        if let Err(error) = process.ready(READY_LIMIT).await {
            return Err(self.failed(key, error.code(), said(&error)));
        }
        // Under systemd the engine's own group is the gateway's way in.
        if self.units.is_none()
            && let Err(error) = open_to_group(process.socket())
        {
            return Err(self.failed(key, "engine.start", format!("its socket: {error}")));
        }
        let memory_bound = match process.bounds().memory {
            MemoryBound::Systemd => "systemd cgroup",
            MemoryBound::Cgroup => "cgroup",
            MemoryBound::Watched => "watched",
        };
        let failures = self.slots.get(&key).map_or(0, |slot| slot.failures);
        let slot = Slot {
            process: Some(process),
            started: Instant::now(),
            failures,
            rest_until: None,
            reason: None,
            memory_bound,
        };
        self.slots.insert(key, slot);
        Ok(())
    }

    async fn stop_engine(&mut self, root: &Sha256Digest, purpose: Purpose) -> Result<(), StepFailed> {
        if let Some(process) = self.slots.remove(&(*root, purpose)).and_then(|slot| slot.process) {
            process.stop().await;
        }
        Ok(())
    }
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

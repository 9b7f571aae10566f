//! One engine's start, from its files on disk to its first answer.
//!
//! Refuses files that are not the signed release's: the kernel says so by fs-verity, or they are hashed. Invariant: a start that was
//! cancelled leaves nothing behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use freehold_engine::unit::UnitOptions;
use freehold_engine::{EngineProcess, LaunchSpec};
use freehold_execute::verity::{Held, measure};
use freehold_execute::{AdmittedFile, VerityUse};
use freehold_model_files::{Watch, hash_files};
use freehold_trust::Sha256Digest;
use freehold_verify::Refusal as _;
use freehold_verify::milestone::Milestone;
use tokio::sync::oneshot;

use crate::milestones::Milestones;

/// How long an engine may take to load its model; a large one from a slow disk takes minutes.
const READY_LIMIT: Duration = Duration::from_secs(600);

/// What became of a start: the engine, or the code and the message of what was in the way.
pub(super) type Came = Result<EngineProcess, (String, String)>;

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
pub(super) struct Start {
    pub(super) files: Vec<AdmittedFile>,
    pub(super) model: PathBuf,
    pub(super) verity: VerityUse,
    pub(super) reached: Vec<Milestone>,
    pub(super) milestones: Milestones,
    pub(super) spec: LaunchSpec,
    pub(super) units: Option<UnitOptions>,
}

impl Start {
    /// Checks, measures, starts, waits until it answers; nothing is left of it when it was cancelled.
    pub(super) async fn run(self, mut cancel: oneshot::Receiver<()>) -> Came {
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

fn said(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

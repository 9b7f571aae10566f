//! An import is killed twenty times with SIGKILL: nothing half admitted, no acknowledged entry lost.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use freehold_harness::wait_for;

use crate::acts::ask::{self, VERSION};
use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::World;

/// The box whose supervisor is killed.
const VICTIM: usize = 0;
/// How often.
const KILLS: u32 = 20;

/// Plays the case.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.step("An import is killed twenty times with SIGKILL", || {
        // Without its store the box has to import again; the assignment stands.
        world.boxes[VICTIM].supervisor = None;
        let models = world.boxes[VICTIM].state().join("models");
        fs::remove_dir_all(&models).with_context(|| format!("clearing {}", models.display()))?;
        let mut acknowledged = 0;
        for kill in 0..KILLS {
            world.start_supervisor(VICTIM)?;
            // Later each time, so that the whole import is swept.
            let after = Duration::from_millis(40 + u64::from(kill) * 45);
            let began = Instant::now();
            wait_for("the moment to kill", Duration::from_secs(10), || {
                Ok((began.elapsed() >= after).then_some(()))
            })?;
            acknowledged = acknowledged.max(entries(world)?);
            if let Some(mut supervisor) = world.boxes[VICTIM].supervisor.take() {
                supervisor.kill();
            }
            half_admitted(world)?;
        }
        world.start_supervisor(VICTIM)?;
        world.wait_seen(VICTIM, "the model to serve", ask::serving)?;
        let found = entries(world)?;
        summary.audit.lost = acknowledged.saturating_sub(found);
        ensure!(
            summary.audit.lost == 0,
            "{acknowledged} entries were acknowledged, {found} are there"
        );
        Ok((
            format!("{VERSION} serves again; {found} entries in the record, 0 lost; nothing half admitted"),
            (),
        ))
    })
}

/// Size of the box's record by its last signed checkpoint: what was acknowledged.
fn entries(world: &World) -> anyhow::Result<u64> {
    let checkpoint = world.boxes[VICTIM].state().join("record/checkpoint");
    let text = fs::read_to_string(&checkpoint).with_context(|| format!("reading {}", checkpoint.display()))?;
    text.lines()
        .nth(1)
        .and_then(|line| line.parse().ok())
        .context("a checkpoint without a size")
}

/// A model in the store is whole: every file that its release lists, with its digest. Names that begin with a dot or end
/// with `.part` are not in the store yet.
fn half_admitted(world: &World) -> anyhow::Result<()> {
    let models = world.boxes[VICTIM].state().join("models");
    let Ok(entries) = fs::read_dir(&models) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.len() != 64 || !entry.file_type()?.is_dir() {
            continue;
        }
        let files = walk(&entry.path())?;
        if files.is_empty() {
            // Made for a release that was not moved in yet.
            continue;
        }
        let weights = files
            .into_iter()
            .find(|path| path.extension().is_some_and(|end| end == "gguf"));
        let weights = weights.with_context(|| format!("{name} is in the store without weights"))?;
        let honest = fs::read(world.folder.join("publisher/guide/freehold-guide.gguf"))?;
        ensure!(
            fs::read(&weights)? == honest,
            "{} is in the store with other bytes",
            weights.display()
        );
    }
    Ok(())
}

fn walk(folder: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    Ok(files)
}

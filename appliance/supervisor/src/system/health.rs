//! The box's own health check after an update, as a program of its own (`freehold-supervisor healthy`).
//!
//! Refuses to ask anybody outside of the box, and to be satisfied by a supervisor that starts again and again. Invariant: it
//! says yes only after the same supervisor process was seen going round, with an open volume, a TPM that answers and an engine
//! that has started a model in this very boot.
//!
//! systemd starts it on boots that are counted (boot-complete.target), and restarts the machine when it says no.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use freehold_execute::write_atomic;
use freehold_verify::Refusal as _;
use serde::{Deserialize, Serialize};

use super::note::Attempt;
use super::rejection::UpdateRejection;

/// The file in which the supervisor says that it lives.
const ALIVE: &str = "alive.json";
/// The file that says that this boot is healthy.
const HEALTHY: &str = "healthy";
/// What a failed check leaves for the image that starts next.
pub(super) const ATTEMPT: &str = "attempt.json";
/// Rounds of one process that have to be seen.
const ROUNDS: u64 = 2;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How the supervisor is, as it says after each round; in memory, and so of this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alive {
    /// Version of the form, 1.
    pub(crate) v: u32,
    /// Its process.
    pub(crate) pid: u32,
    /// Rounds since its start.
    pub(crate) rounds: u64,
    /// `ok`, or the TPM's code.
    pub(crate) tpm: String,
    /// `ok`, `waiting`, or the engine's code.
    pub(crate) engine: String,
}

/// Says that the supervisor lives.
pub(crate) fn say_alive(runtime: &Path, alive: &Alive) {
    let bytes = serde_json::to_vec(alive).unwrap_or_default();
    if let Err(error) = write_atomic(&runtime.join(ALIVE), &bytes, 0o644) {
        tracing::warn!(%error, "the supervisor cannot say that it lives");
    }
}

/// Whether the health check of this boot has said yes.
pub(crate) fn is_healthy(runtime: &Path) -> bool {
    runtime.join(HEALTHY).exists()
}

/// Where things are.
#[derive(Debug, Clone, Args)]
pub struct HealthCheck {
    /// The folder of the supervisor's sockets.
    #[arg(long, default_value = "/run/freehold")]
    pub runtime: PathBuf,
    /// The folder on the sealed volume in which updates are laid ready.
    #[arg(long, default_value = "/var/lib/freehold/update")]
    pub system: PathBuf,
    /// Where the sealed volume is mounted.
    #[arg(long, default_value = "/var/lib")]
    pub volume: PathBuf,
    /// Seconds after which what has not shown itself does not work.
    #[arg(long, default_value_t = 300)]
    pub limit: u64,
}

/// Waits until the box is healthy; answers no, with a note for the next image, when it is not within the limit.
#[must_use]
pub fn healthy(check: &HealthCheck) -> bool {
    let version = super::image(Path::new("/")).1;
    let begun = Instant::now();
    let mut first: Option<Alive> = None;
    let rejection = loop {
        let rejection = match look(check, &mut first) {
            Ok(()) => {
                println!("freehold: this boot is healthy");
                return write_atomic(&check.runtime.join(HEALTHY), b"", 0o644).is_ok();
            }
            Err(rejection) => rejection,
        };
        if begun.elapsed() >= Duration::from_secs(check.limit) {
            break rejection;
        }
        std::thread::sleep(LOOK);
    };
    let attempt = Attempt {
        v: 1,
        version,
        code: rejection.code().to_owned(),
        message: rejection.to_string(),
    };
    // Without the volume there is nowhere to write; then the next image says that nothing was said.
    let _ = std::fs::create_dir_all(&check.system);
    let _ = write_atomic(
        &check.system.join(ATTEMPT),
        &serde_json::to_vec(&attempt).unwrap_or_default(),
        0o644,
    );
    eprintln!("{}: {rejection}", rejection.code());
    false
}

fn look(check: &HealthCheck, first: &mut Option<Alive>) -> Result<(), UpdateRejection> {
    if !is_mount(&check.volume) {
        return Err(UpdateRejection::Volume);
    }
    let supervisor = |why: &str| UpdateRejection::Supervisor { why: why.to_owned() };
    let bytes = std::fs::read(check.runtime.join(ALIVE)).map_err(|_| supervisor("it has not said that it lives"))?;
    let alive: Alive = serde_json::from_slice(&bytes).map_err(|_| supervisor("what it says cannot be read"))?;
    let begun = first.get_or_insert_with(|| alive.clone());
    if begun.pid != alive.pid {
        // It was started again: what was seen before says nothing about this one.
        *begun = alive;
        return Err(supervisor("it was started again"));
    }
    if alive.rounds < begun.rounds.saturating_add(ROUNDS) {
        return Err(supervisor("it has not gone round often enough yet"));
    }
    if alive.tpm != "ok" {
        return Err(UpdateRejection::Tpm { why: alive.tpm });
    }
    if alive.engine != "ok" {
        return Err(UpdateRejection::Engine { why: alive.engine });
    }
    Ok(())
}

/// Whether something is mounted there: it lies on another device than its parent.
fn is_mount(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev());
    let parent = folder.parent().unwrap_or(Path::new("/"));
    matches!((device(folder), device(parent)), (Ok(here), Ok(above)) if here != above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(pid: u32, rounds: u64) -> Alive {
        Alive {
            v: 1,
            pid,
            rounds,
            tpm: "ok".to_owned(),
            engine: "ok".to_owned(),
        }
    }

    /// A folder that is a mount of its own on every Linux.
    fn check(world: &Path) -> HealthCheck {
        HealthCheck {
            runtime: world.to_owned(),
            system: world.join("update"),
            volume: PathBuf::from("/proc"),
            limit: 0,
        }
    }

    // promise S-165
    #[test]
    fn a_boot_is_healthy_only_with_volume_supervisor_tpm_and_engine() {
        let world = tempfile::tempdir().unwrap();
        let check = check(world.path());
        let mut first = None;
        let closed = HealthCheck {
            volume: world.path().join("nothing"),
            ..check.clone()
        };
        assert_eq!(look(&closed, &mut first).unwrap_err().code(), "update.volume");
        let mut see = |alive: &Alive| {
            say_alive(world.path(), alive);
            look(&check, &mut first).map_err(|rejection| rejection.code())
        };
        assert_eq!(see(&alive(7, 1)), Err("update.supervisor"));
        assert_eq!(see(&alive(7, 2)), Err("update.supervisor"));
        assert_eq!(see(&alive(7, 3)), Ok(()));
        // One that starts again and again never goes round twice.
        for pid in 8..20 {
            assert_eq!(see(&alive(pid, 9)), Err("update.supervisor"));
        }
        let tpm = Alive {
            tpm: "tpm.unavailable".to_owned(),
            ..alive(19, 11)
        };
        assert_eq!(see(&tpm), Err("update.tpm"));
        let engine = Alive {
            engine: "engine.start".to_owned(),
            ..alive(19, 12)
        };
        assert_eq!(see(&engine), Err("update.engine"));
        assert_eq!(see(&alive(19, 13)), Ok(()));
    }

    #[test]
    fn a_check_that_fails_leaves_word_for_the_next_image() {
        let world = tempfile::tempdir().unwrap();
        let check = check(world.path());
        assert!(!healthy(&check));
        let left: Attempt =
            serde_json::from_slice(&std::fs::read(world.path().join("update/attempt.json")).unwrap()).unwrap();
        assert_eq!(left.code, "update.supervisor");
        assert!(!is_healthy(world.path()));
    }
}

//! Saying again and again "this is the newest": the timestamp is signed anew while the console runs.
//!
//! Refuses to say it about a snapshot that it did not verify. Invariant: the version counts up with each signature.

use std::fs;

use freehold_verify::release::sign_timestamp;

use super::import::TIMESTAMP_LIFETIME;
use super::{MAX_METADATA, PINNED_ROOT, Shelf, ShelfFault, Stamp, read, remember, trusted};
use crate::state::StateDir;

/// A timestamp with less time than this is signed anew: half its life.
pub(crate) const RENEW_BEFORE: i64 = TIMESTAMP_LIFETIME / 2;

/// Signs a new timestamp over the snapshot at hand. Blocking. `None` when there is no repository yet.
///
/// # Errors
/// When the repository does not verify any more: then nothing is signed.
pub(crate) fn renew(dir: &StateDir, stamp: &Stamp<'_>) -> Result<Option<Shelf>, ShelfFault> {
    let Ok(pinned) = fs::read(dir.path(PINNED_ROOT)) else {
        return Ok(None);
    };
    let mut repository = trusted(dir, &pinned)?;
    let (snapshot_version, targets_version) = (repository.state().snapshot, repository.state().targets);
    if targets_version == 0 {
        return Ok(None);
    }
    let metadata = dir.path("repository/metadata");
    let snapshot = read(
        &metadata.join(format!("{snapshot_version}.snapshot.json")),
        MAX_METADATA,
    )?;
    let targets = read(&metadata.join(format!("{targets_version}.targets.json")), MAX_METADATA)?;
    let version = repository.state().timestamp.saturating_add(1);
    let until = stamp.now.saturating_add(TIMESTAMP_LIFETIME);
    let timestamp = sign_timestamp(&snapshot, version, until, stamp.key).map_err(ShelfFault::Timestamp)?;
    repository.update_timestamp(&timestamp, stamp.now)?;
    repository.update_snapshot(&snapshot, stamp.now)?;
    let targets = repository.update_targets(&targets, stamp.now)?;
    let mut shelf = Shelf::fill(dir, &pinned, &repository, targets)?;
    shelf.timestamp_until = until;
    shelf.timestamp = timestamp.clone().into();
    dir.replace("repository/metadata/timestamp.json", &timestamp)?;
    remember(dir, &repository)?;
    Ok(Some(shelf))
}

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

/// Metadata for a stick.
pub(crate) struct ForStick {
    /// File name and bytes, as boxes ask for them.
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    /// The releases, with the timestamp that the boxes' door has from now on.
    pub(crate) shelf: Shelf,
}

/// Signs a timestamp that lives as long as a stick may be under way, and then the one for the door anew, whose version is higher:
/// boxes that have both never go back. Blocking. `None` when there is no repository yet.
///
/// # Errors
/// When the repository does not verify any more: then nothing is signed.
pub(crate) fn for_stick(dir: &StateDir, stamp: &Stamp<'_>, until: i64) -> Result<Option<ForStick>, ShelfFault> {
    let Ok(pinned) = fs::read(dir.path(PINNED_ROOT)) else {
        return Ok(None);
    };
    let mut repository = trusted(dir, &pinned)?;
    let (snapshot_version, targets_version) = (repository.state().snapshot, repository.state().targets);
    if targets_version == 0 {
        return Ok(None);
    }
    let folder = dir.path("repository/metadata");
    let snapshot_file = format!("{snapshot_version}.snapshot.json");
    let snapshot = read(&folder.join(&snapshot_file), MAX_METADATA)?;
    let version = repository.state().timestamp.saturating_add(1);
    let timestamp = sign_timestamp(&snapshot, version, until, stamp.key).map_err(ShelfFault::Timestamp)?;
    repository.update_timestamp(&timestamp, stamp.now)?;
    remember(dir, &repository)?;
    let targets_file = format!("{targets_version}.targets.json");
    let targets = read(&folder.join(&targets_file), MAX_METADATA)?;
    let mut metadata = vec![
        ("timestamp.json".to_owned(), timestamp),
        (snapshot_file, snapshot),
        (targets_file, targets),
    ];
    for version in 1..=repository.root_version() {
        let file = format!("{version}.root.json");
        // The first one is pinned, and need not lie here.
        if let Ok(bytes) = read(&folder.join(&file), MAX_METADATA) {
            metadata.push((file, bytes));
        }
    }
    let shelf = renew(dir, stamp)?;
    Ok(shelf.map(|shelf| ForStick { metadata, shelf }))
}

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

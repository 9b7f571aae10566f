//! Taking in what the publisher exported: verified whole, then copied, then switched to.
//!
//! Refuses a repository of another root, an older one, an incomplete one, and one that does not name this console's timestamp
//! key. Invariant: until the new `timestamp.json` is in place, boxes see the old repository complete.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use freehold_trust::Sha256Hasher;
use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_verify::release::{ReleaseRejection, TargetInfo, consistent_name, sign_timestamp};

use super::{MAX_METADATA, PINNED_ROOT, Shelf, ShelfFault, Stamp, read, remember, trusted};
use crate::state::{StateDir, StateFault, file};

/// How long a timestamp counts. Short enough that a frozen repository is noticed, long enough for a console that is off for
/// a long weekend.
pub(crate) const TIMESTAMP_LIFETIME: i64 = 4 * 86_400;
/// Highest root version that is looked for above the known one: bounds a folder full of roots.
const MAX_ROOTS: u64 = 1024;
/// Bytes copied at once.
const BLOCK: usize = 1024 * 1024;

/// One import at a time per process.
static ONE: Mutex<()> = Mutex::new(());

/// Verifies the export in `from` and takes it in. `root` is the fingerprint (hex) that a person confirmed; needed the first
/// time, checked whenever it is given. Blocking.
///
/// # Errors
/// [`ShelfFault`]; what was there before stays then.
pub(crate) fn import(dir: &StateDir, from: &Path, root: Option<&str>, stamp: &Stamp<'_>) -> Result<Shelf, ShelfFault> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let metadata = from.join("metadata");
    let pinned = match fs::read(dir.path(PINNED_ROOT)) {
        Ok(pinned) => pinned,
        Err(_) => first_root(&metadata, root)?,
    };
    let fingerprint = sha256(&pinned).to_hex();
    if let Some(expected) = root.filter(|expected| !expected.eq_ignore_ascii_case(&fingerprint)) {
        return Err(ShelfFault::OtherRoot {
            expected: expected.to_owned(),
            found: fingerprint,
        });
    }

    // Verify first; nothing has been written so far.
    let mut repository = trusted(dir, &pinned)?;
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    if repository.root_version() == 1 {
        files.push(("1.root.json".to_owned(), pinned.clone()));
    }
    for _ in 0..MAX_ROOTS {
        let name = format!("{}.root.json", repository.root_version().saturating_add(1));
        let Ok(bytes) = read(&metadata.join(&name), MAX_METADATA) else {
            break;
        };
        repository.update_root(&bytes)?;
        files.push((name, bytes));
    }
    let newest = newest_snapshot(&metadata)?;
    let snapshot = read(&metadata.join(format!("{newest}.snapshot.json")), MAX_METADATA)?;
    let version = repository.state().timestamp.saturating_add(1);
    let timestamp = sign_timestamp(
        &snapshot,
        version,
        stamp.now.saturating_add(TIMESTAMP_LIFETIME),
        stamp.key,
    )
    .map_err(ShelfFault::Timestamp)?;
    repository.update_timestamp(&timestamp, stamp.now)?;
    let pin = repository.update_snapshot(&snapshot, stamp.now)?;
    let targets_bytes = read(&metadata.join(&pin.file), MAX_METADATA)?;
    let targets = repository.update_targets(&targets_bytes, stamp.now)?;
    files.push((format!("{newest}.snapshot.json"), snapshot));
    files.push((pin.file, targets_bytes));

    // Then the files, each hashed while it is copied to a name that nothing serves yet.
    let source = from.join("targets");
    let store = dir.path("repository/targets");
    for (name, info) in &targets.targets {
        take(&source, &store, name, info)?;
    }
    let mut shelf = Shelf::fill(dir, &pinned, &repository, targets)?;
    shelf.timestamp_until = stamp.now.saturating_add(TIMESTAMP_LIFETIME);
    shelf.timestamp = timestamp.clone().into();
    if !dir.path(PINNED_ROOT).exists() {
        dir.replace(PINNED_ROOT, &pinned)?;
    }
    for (name, bytes) in files {
        dir.replace(&format!("repository/metadata/{name}"), &bytes)?;
    }
    dir.replace("repository/metadata/timestamp.json", &timestamp)?;
    remember(dir, &repository)?;
    Ok(shelf)
}

/// Pins the first root by fingerprint, before any repository is there.
///
/// # Errors
/// When the file is no root.
pub(crate) fn pin(dir: &StateDir, root: &Path) -> Result<Sha256Digest, ShelfFault> {
    let bytes = read(root, MAX_METADATA)?;
    let checked = freehold_verify::release::TrustedRepository::new(&bytes, None)?;
    dir.replace(PINNED_ROOT, &bytes)?;
    Ok(checked.root_fingerprint())
}

fn first_root(metadata: &Path, confirmed: Option<&str>) -> Result<Vec<u8>, ShelfFault> {
    let bytes = read(&metadata.join("1.root.json"), MAX_METADATA)?;
    let found = sha256(&bytes).to_hex();
    match confirmed {
        None => Err(ShelfFault::NoRoot { found }),
        Some(expected) if !expected.eq_ignore_ascii_case(&found) => Err(ShelfFault::OtherRoot {
            expected: expected.to_owned(),
            found,
        }),
        Some(_) => Ok(bytes),
    }
}

fn newest_snapshot(metadata: &Path) -> Result<u64, ShelfFault> {
    let listed = fs::read_dir(metadata).map_err(file(metadata))?;
    let version = |name: &str| name.strip_suffix(".snapshot.json")?.parse::<u64>().ok();
    listed
        .flatten()
        .filter_map(|entry| version(entry.file_name().to_str()?))
        .max()
        .ok_or_else(|| ShelfFault::Missing("metadata/N.snapshot.json".to_owned()))
}

/// Copies one target while hashing it. A file that is there already was verified when it was copied.
fn take(source: &Path, store: &Path, name: &str, info: &TargetInfo) -> Result<(), ShelfFault> {
    let below = consistent_name(name, info.sha256);
    let to = store.join(&below);
    if fs::symlink_metadata(&to).is_ok_and(|about| about.is_file() && about.len() == info.length) {
        return Ok(());
    }
    let from = source.join(&below);
    let about = fs::symlink_metadata(&from).map_err(|_| ShelfFault::Missing(format!("targets/{below}")))?;
    if !about.is_file() {
        return Err(StateFault::Form {
            path: from,
            what: "a plain file",
        }
        .into());
    }
    if about.len() != info.length {
        let (expected, found) = (info.length, about.len());
        return Err(ReleaseRejection::Length {
            name: name.to_owned(),
            expected,
            found,
        }
        .into());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(file(parent))?;
    }
    let beside = to.with_extension("new");
    let found = copy(&from, &beside, info.length)?;
    if found != info.sha256 {
        let _ = fs::remove_file(&beside);
        let (expected, found) = (Some(info.sha256), Some(found));
        return Err(ReleaseRejection::Hash {
            name: name.to_owned(),
            expected,
            found,
        }
        .into());
    }
    Ok(fs::rename(&beside, &to).map_err(file(&to))?)
}

fn copy(from: &Path, to: &Path, length: u64) -> Result<Sha256Digest, StateFault> {
    let mut reader = File::open(from).map_err(file(from))?.take(length);
    let mut writer = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)
        .map_err(file(to))?;
    let mut hasher = Sha256Hasher::new();
    let mut block = vec![0; BLOCK];
    loop {
        let read = reader.read(&mut block).map_err(file(from))?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hasher.update(bytes);
        writer.write_all(bytes).map_err(file(to))?;
    }
    writer.sync_all().map_err(file(to))?;
    Ok(hasher.finish())
}

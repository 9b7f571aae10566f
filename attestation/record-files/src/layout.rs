//! Files of a log, and how one is written so that it is either whole or not there.
//!
//! Refuses to write in place. Invariant: a file with its final name has its final content, and both survive a power cut once
//! [`sync_folders`] has returned.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::fault::RecordFault;

/// The signed checkpoint of what is published as tiles.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Entries that are durable and not yet tiles.
pub(crate) const JOURNAL: &str = "journal";
/// Held while a process writes.
pub(crate) const LOCK: &str = "lock";
/// The log's verifier key as text, for those who have it from nowhere else.
pub(crate) const VERIFIER: &str = "verifier";
/// The folder of tiles.
pub(crate) const TILES: &str = "tile";

/// Writes `bytes` to `root/name` through a file beside it; folders on the way are made and noted in `touched`.
pub(crate) fn write_whole(
    root: &Path,
    name: &str,
    bytes: &[u8],
    touched: &mut BTreeSet<PathBuf>,
) -> Result<(), RecordFault> {
    let path = root.join(name);
    let fault = |source| RecordFault::files(&path, source);
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(fault)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let mut file = File::create(&beside).map_err(fault)?;
    file.write_all(bytes).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    fs::rename(&beside, &path).map_err(fault)?;
    touched.extend(
        folder
            .ancestors()
            .take_while(|at| at.starts_with(root))
            .map(Path::to_path_buf),
    );
    Ok(())
}

/// Makes the names in these folders durable.
pub(crate) fn sync_folders(folders: &BTreeSet<PathBuf>) -> Result<(), RecordFault> {
    for folder in folders {
        File::open(folder)
            .and_then(|handle| handle.sync_all())
            .map_err(|source| RecordFault::files(folder, source))?;
    }
    Ok(())
}

/// The bytes of a file of at most `limit` bytes; `None` when it is not there.
pub(crate) fn read_limited(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, RecordFault> {
    let fault = |source| RecordFault::files(path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    let mut bytes = Vec::new();
    let allowed = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(allowed.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(fault)?;
    if bytes.len() > limit {
        return Err(fault(std::io::Error::new(
            ErrorKind::FileTooLarge,
            "larger than such a file can be",
        )));
    }
    Ok(Some(bytes))
}

/// The bytes of a tile or bundle with at least `width` elements: the full one, or any partial one that is wide enough. A
/// writer replaces narrow partial tiles by wider ones, whose beginning is the same.
pub(crate) fn read_tile(
    root: &Path,
    place: impl Fn(u64) -> String,
    width: u64,
    limit: usize,
) -> Result<Option<Vec<u8>>, RecordFault> {
    // Twice, for a writer that replaces what we are about to read.
    for _ in 0..2 {
        for candidate in [256, width] {
            if let Some(bytes) = read_limited(&root.join(place(candidate)), limit)? {
                return Ok(Some(bytes));
            }
        }
        let folder = root.join(place(width));
        let Some(folder) = folder.parent().filter(|_| width < 256) else {
            return Ok(None);
        };
        let Ok(names) = fs::read_dir(folder) else { continue };
        let wider = names
            .filter_map(|name| name.ok()?.file_name().to_str()?.parse::<u64>().ok())
            .filter(|found| *found > width && *found < 256)
            .max();
        if let Some(bytes) = wider
            .map(|found| read_limited(&root.join(place(found)), limit))
            .transpose()?
            .flatten()
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

//! SHA-256 of files: large reads, one file per core, the largest first.
//!
//! Refuses to open through links or onto another file system, and to wait on a pipe. Invariant: the digest is of the bytes
//! that one descriptor gave, and the length is how many there were.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use freehold_trust::digest::{Sha256Digest, Sha256Hasher};
use freehold_verify::model::ModelRejection;
use rustix::fs::{Advice, Mode, OFlags, ResolveFlags, fadvise, openat2};

use crate::fault::FilesError;
use crate::walk::open_folder;
use crate::watch::Watch;

/// Bytes per read: large enough that the call does not count, small enough to stay in the second-level cache of a core.
pub(crate) const BUFFER: usize = 1024 * 1024;
/// Most threads that hash; beyond it the memory is the bound.
const MAX_THREADS: usize = 8;

/// A file that was hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    /// Path below the folder.
    pub path: String,
    /// Bytes that were read.
    pub length: u64,
    /// Their SHA-256.
    pub sha256: Sha256Digest,
}

/// Opens a file beneath a folder for reading: no links on the way, no other file system, no waiting.
pub(crate) fn open_beneath(folder: &OwnedFd, shown: &Path, path: &str) -> Result<File, FilesError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(folder.as_fd(), path, flags, Mode::empty(), resolve).map_err(|errno| FilesError::Read {
        path: shown.join(path),
        source: errno.into(),
    })?;
    let file = File::from(file);
    let status = file.metadata().map_err(FilesError::read(shown.join(path)))?;
    if !status.is_file() {
        let found = "no longer a regular file";
        return Err(FilesError::Refused(ModelRejection::FileKind {
            path: path.to_owned(),
            found,
        }));
    }
    Ok(file)
}

/// Hashes files below `folder`, given with their lengths (which only decide the order), on up to as many threads as the
/// machine has cores. The answers are in the order of `files`.
///
/// # Errors
/// [`FilesError::Read`], [`FilesError::Refused`] or [`FilesError::Cancelled`]; the first one that happens.
pub fn hash_files(folder: &Path, files: &[(String, u64)], watch: Watch<'_>) -> Result<Vec<HashedFile>, FilesError> {
    let root = open_folder(folder)?;
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(files.get(*index).map_or(0, |(_, length)| *length)));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<HashedFile>>> = Mutex::new(vec![None; files.len()]);
    let failed: Mutex<Option<FilesError>> = Mutex::new(None);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        let mut buffer = vec![0; BUFFER];
        while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some((path, _)) = files.get(*index) else { break };
            if lock(&failed).is_some() {
                break;
            }
            match hash_one(&root, folder, path, &mut buffer, watch) {
                Ok(hashed) => {
                    if let Some(slot) = lock(&done).get_mut(*index) {
                        *slot = Some(hashed);
                    }
                }
                Err(error) => {
                    lock(&failed).get_or_insert(error);
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..cores.min(MAX_THREADS).min(files.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = lock(&failed).take() {
        return Err(error);
    }
    let done = std::mem::take(&mut *lock(&done));
    Ok(done.into_iter().flatten().collect())
}

/// A lock whose holder panicked holds plain data all the same.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn hash_one(
    root: &OwnedFd,
    folder: &Path,
    path: &str,
    buffer: &mut [u8],
    watch: Watch<'_>,
) -> Result<HashedFile, FilesError> {
    let mut file = open_beneath(root, folder, path)?;
    // Advice only: without it the kernel reads ahead less.
    let _ = fadvise(&file, 0, None, Advice::Sequential);
    let mut hasher = Sha256Hasher::new();
    let mut length = 0_u64;
    loop {
        let count = file.read(buffer).map_err(FilesError::read(folder.join(path)))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hasher.update(bytes);
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        watch.passed(count)?;
    }
    Ok(HashedFile {
        path: path.to_owned(),
        length,
        sha256: hasher.finish(),
    })
}

//! Fetching a file chunk by chunk, each checked before it is written, resumed after any interruption.
//!
//! Refuses to write bytes that were not checked, and to write to a file that another release has, too. Invariant: which
//! chunks an earlier run left is found out by hashing them, never remembered, so that a torn write is fetched again.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use bytes::Bytes;
use freehold_plan::{Place, Step};
use freehold_trust::Sha256Digest;
use freehold_trust::digest::Sha256Hasher;
use freehold_verify::RefusalReport;

use crate::fault::{StepFailed, StoreError};
use crate::store::Store;

/// Where the bytes of a release's files come from: a console over the network, a stick.
pub trait ChunkSource: Sync {
    /// The bytes `start..end` of the file at `path` of the release whose descriptor is `target`.
    fn read(
        &self,
        target: &str,
        path: &str,
        start: u64,
        end: u64,
    ) -> impl Future<Output = Result<Bytes, StepFailed>> + Send;
}

/// Judges chunks on their way.
pub trait ChunkJudge: Send + Sync {
    /// Whether `bytes` are the signed chunk `index` of the file.
    ///
    /// # Errors
    /// The refusal, which is final for the release.
    fn chunk(&self, release: &Sha256Digest, path: &str, index: u32, bytes: &[u8]) -> Result<(), RefusalReport>;
}

/// Told what is there, for a status that moves and a plan that knows.
pub trait Progress: Send {
    /// A file is there, with so many bytes on the disk; nothing is known of its chunks.
    fn begun(&mut self, path: &str);
    /// A chunk of so many bytes was checked and written.
    fn chunk(&mut self, path: &str, index: u32, bytes: u64);
    /// A whole file was taken from another release.
    fn reused(&mut self, path: &str, length: u64);
}

impl Store {
    /// Which chunks of a staged file are there, `digests` being the signed ones. `None` when the file is not there at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn chunks(
        &self,
        release: &Sha256Digest,
        place: Place,
        path: &str,
        chunk_size: u64,
        digests: &[Sha256Digest],
    ) -> Result<Option<BTreeSet<u32>>, StoreError> {
        let path = self.staged_file(release, place, path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let length = file.metadata().map_err(StoreError::io("look at", &path))?.len();
        let mut there = BTreeSet::new();
        let mut buffer = Vec::new();
        for (index, digest) in (0_u32..).zip(digests) {
            let start = u64::from(index).saturating_mul(chunk_size);
            let size = chunk_size.min(length.saturating_sub(start));
            let Ok(size) = usize::try_from(size) else { break };
            if size == 0 {
                break;
            }
            buffer.resize(size, 0);
            file.read_exact_at(&mut buffer, start)
                .map_err(StoreError::io("read", &path))?;
            if freehold_trust::sha256(&buffer) == *digest {
                there.insert(index);
            }
        }
        Ok(Some(there))
    }
}

/// Carries out one step of a download: fetches the chunks that it names, or takes the file from another release. It can be
/// cut off anywhere and begun again; nothing else may work on the same release meanwhile.
///
/// # Errors
/// [`StepFailed`]: a refusal, which is final for that release, or a fault, after which the next plan tries again.
pub async fn fetch(
    step: &Step,
    store: &Store,
    source: &impl ChunkSource,
    judge: &impl ChunkJudge,
    progress: &mut dyn Progress,
) -> Result<(), StepFailed> {
    match step {
        Step::FetchFile { .. } => fetch_file(step, store, source, judge, progress).await,
        Step::ReuseFile { .. } => reuse_file(step, store, progress).await,
        _ => Err(StepFailed::away(
            "store.order",
            format!("`{step}` is no part of a download"),
        )),
    }
}

async fn fetch_file(
    step: &Step,
    store: &Store,
    source: &impl ChunkSource,
    judge: &impl ChunkJudge,
    progress: &mut dyn Progress,
) -> Result<(), StepFailed> {
    let Step::FetchFile {
        release,
        target,
        place,
        path,
        length,
        chunk_size,
        chunks,
    } = step
    else {
        return Ok(());
    };
    let file_path = store.staged_file(release, *place, path);
    let file = open(&file_path)?;
    progress.begun(path);
    for index in chunks {
        let start = u64::from(*index).saturating_mul(*chunk_size);
        let end = start.saturating_add(*chunk_size).min(*length);
        let bytes = source.read(target, path, start, end).await?;
        judge
            .chunk(release, path, *index, &bytes)
            .map_err(StepFailed::Refused)?;
        file.write_all_at(&bytes, start)
            .map_err(StoreError::io("write", &file_path))?;
        progress.chunk(path, *index, end.saturating_sub(start));
    }
    // An earlier attempt at another release cannot have left a longer file here: the folder is the release's own. A torn one
    // is cut to its length all the same.
    file.set_len(*length).map_err(StoreError::io("cut", &file_path))?;
    file.sync_all().map_err(StoreError::io("sync", &file_path))?;
    Ok(())
}

/// Links the file into the download and hashes it: bytes that somebody changed in the store are not taken over.
async fn reuse_file(step: &Step, store: &Store, progress: &mut dyn Progress) -> Result<(), StepFailed> {
    let Step::ReuseFile {
        release,
        path,
        length,
        from,
        ..
    } = step
    else {
        return Ok(());
    };
    let there = store.folder(&from.root, &from.release).join("files").join(&from.path);
    let here = store.staged_file(release, Place::Files, path);
    let (wanted, length_wanted, linked) = (from.sha256, *length, here.clone());
    let work = move || -> Result<bool, StoreError> {
        make_folder(&linked)?;
        if let Err(error) = fs::remove_file(&linked)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(StoreError::io("remove", &linked)(error));
        }
        // A file system without links, or at its limit of them, copies.
        fs::hard_link(&there, &linked)
            .or_else(|_| fs::copy(&there, &linked).map(|_| ()))
            .map_err(StoreError::io("link", &there))?;
        let same = digest_of(&linked, length_wanted)? == Some(wanted);
        if !same {
            fs::remove_file(&linked).map_err(StoreError::io("remove", &linked))?;
        }
        Ok(same)
    };
    let same = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StepFailed::away("store.io", error.to_string()))??;
    if !same {
        let message = format!("`{}` in the store is not the file that was admitted", from.path);
        return Err(StepFailed::away("store.changed", message));
    }
    progress.begun(path);
    progress.reused(path, *length);
    Ok(())
}

/// SHA-256 of a file of exactly that length; `None` when it is longer or shorter.
fn digest_of(path: &Path, length: u64) -> Result<Option<Sha256Digest>, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0_u64;
    loop {
        let count = file.read(&mut buffer).map_err(StoreError::io("read", path))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        read = read.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        hasher.update(bytes);
    }
    Ok((read == length).then(|| hasher.finish()))
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(StoreError::io("make", folder)),
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    make_folder(path)?;
    // A file that was linked from the store belongs to an admitted release too: it is never written to.
    if fs::symlink_metadata(path).is_ok_and(|file| file.nlink() > 1) {
        fs::remove_file(path).map_err(StoreError::io("remove", path))?;
        return Err(StoreError::Malformed {
            path: path.to_owned(),
            detail: "it was linked from the store and is fetched anew".to_owned(),
        });
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("open", path))
}

//! Fetching a file chunk by chunk, each checked before it is written, resumed after any interruption.
//!
//! Refuses to write bytes that were not checked. Invariant: which chunks are there is found out by hashing them, never
//! remembered, so that a torn write is fetched again.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bytes::Bytes;
use freehold_plan::{Place, Step};
use freehold_trust::Sha256Digest;

use crate::fault::{StepFailed, StoreError};
use crate::host::Judge;
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

/// Told after each chunk, for a status that moves.
pub trait Progress: Send {
    /// `done` of `all` chunks of a file are there.
    fn chunk(&mut self, target: &str, path: &str, done: usize, all: usize);
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

/// Fetches the chunks that a step names.
pub(crate) async fn fetch_file(
    step: &Step,
    store: &Store,
    source: &impl ChunkSource,
    judge: &impl Judge,
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
    let all = usize::try_from(length.div_ceil((*chunk_size).max(1))).unwrap_or(usize::MAX);
    let before = all.saturating_sub(chunks.len());
    for (count, index) in chunks.iter().enumerate() {
        let start = u64::from(*index).saturating_mul(*chunk_size);
        let end = start.saturating_add(*chunk_size).min(*length);
        let bytes = source.read(target, path, start, end).await?;
        judge
            .chunk(release, path, *index, &bytes)
            .map_err(StepFailed::Refused)?;
        file.write_all_at(&bytes, start)
            .map_err(StoreError::io("write", &file_path))?;
        progress.chunk(target, path, before.saturating_add(count).saturating_add(1), all);
    }
    // An earlier attempt at another release cannot have left a longer file here: the folder is the release's own. A torn one
    // is cut to its length all the same.
    file.set_len(*length).map_err(StoreError::io("cut", &file_path))?;
    file.sync_all().map_err(StoreError::io("sync", &file_path))?;
    Ok(())
}

fn open(path: &Path) -> Result<File, StoreError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(StoreError::io("make", folder))?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("open", path))
}

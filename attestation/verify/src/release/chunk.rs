//! Chunks of a file on their way: each is checked when it arrives, so that a fetch can be resumed and stopped early.
//!
//! Refuses a chunk with one wrong byte before the next one is asked for. Invariant: a file whose every chunk passed has
//! the descriptor's chunk list; its own digest is checked once more when it is stored.

use std::ops::Range;

use freehold_trust::digest::sha256;

use super::descriptor::ReleaseFile;
use super::rejection::ReleaseRejection;
use super::select::Release;
use crate::text::shown;
use crate::verified::Verified;

/// Checks the chunks of one file of a verified release.
#[derive(Debug, Clone)]
pub struct ChunkCheck {
    file: ReleaseFile,
}

impl ChunkCheck {
    /// For the file at `path` of the release (its own files, signature or bill of materials).
    ///
    /// # Errors
    /// [`ReleaseRejection::UnknownTarget`].
    pub fn new(release: &Verified<Release>, path: &str) -> Result<Self, ReleaseRejection> {
        let file = release.get().descriptor.all_files().find(|file| file.path == path);
        let file = file.ok_or_else(|| ReleaseRejection::UnknownTarget { name: shown(path) })?;
        Ok(Self { file: file.clone() })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &ReleaseFile {
        &self.file
    }

    /// How many chunks it has; an empty file has none.
    #[must_use]
    pub fn count(&self) -> usize {
        self.file.chunks.len()
    }

    /// The bytes of the file that make up chunk `index`.
    ///
    /// # Errors
    /// [`ReleaseRejection::Chunk`].
    pub fn range(&self, index: usize) -> Result<Range<u64>, ReleaseRejection> {
        let fault = || ReleaseRejection::Chunk {
            name: shown(&self.file.path),
            index,
        };
        if index >= self.count() {
            return Err(fault());
        }
        let start = u64::try_from(index)
            .ok()
            .and_then(|index| index.checked_mul(self.file.chunk_size));
        let start = start.ok_or_else(fault)?;
        Ok(start..start.saturating_add(self.file.chunk_size).min(self.file.length))
    }

    /// Whether `bytes` are chunk `index`.
    ///
    /// # Errors
    /// [`ReleaseRejection::Chunk`], [`ReleaseRejection::Length`] or [`ReleaseRejection::Hash`].
    pub fn check(&self, index: usize, bytes: &[u8]) -> Result<(), ReleaseRejection> {
        let range = self.range(index)?;
        let name = || format!("{} chunk {index}", shown(&self.file.path));
        let expected = range.end.saturating_sub(range.start);
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found != expected {
            return Err(ReleaseRejection::Length {
                name: name(),
                expected,
                found,
            });
        }
        let digest = sha256(bytes);
        match self.file.chunks.get(index) {
            Some(signed) if *signed == digest => Ok(()),
            signed => Err(ReleaseRejection::Hash {
                name: name(),
                expected: signed.copied(),
                found: Some(digest),
            }),
        }
    }
}

//! One entry: a file, or a piece of a file that was split over parts.
//!
//! Refuses a length without the digests that cover it. Invariant: an entry longer than one chunk has one digest for each chunk,
//! so that a file of a terabyte can be read from any place, each step checked.

use std::ops::Range;

use freehold_trust::{Sha256Digest, Sha256Hasher, sha256};

use super::ContainerRejection;
use crate::text::shown;

/// Length of every chunk but the last: what a release's descriptor has, too.
pub const CHUNK: u64 = 4 * 1024 * 1024;
/// Most chunks in one container: a terabyte and more. Bounds the index against a list without end.
pub const MAX_CHUNKS: u64 = 512 * 1024;

/// How many chunk digests an entry of this length carries: none when one digest covers it.
pub(super) const fn chunk_digests(length: u64) -> u64 {
    if length <= CHUNK { 0 } else { length.div_ceil(CHUNK) }
}

/// The digests of some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of all of it.
    pub sha256: Sha256Digest,
    /// SHA-256 of each chunk of [`CHUNK`] bytes; empty when the content is no longer than one.
    pub chunks: Vec<Sha256Digest>,
}

impl Digests {
    /// The digests of bytes at hand.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ContentHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Digests of content that arrives in pieces of any size.
#[derive(Debug, Clone, Default)]
pub struct ContentHasher {
    length: u64,
    all: Sha256Hasher,
    chunk: Sha256Hasher,
    chunks: Vec<Sha256Digest>,
}

impl ContentHasher {
    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.all.update(bytes);
        while !bytes.is_empty() {
            let room = CHUNK - self.length % CHUNK;
            let take = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(take);
            self.chunk.update(now);
            self.length = self.length.saturating_add(take as u64);
            if self.length.is_multiple_of(CHUNK) {
                self.chunks.push(std::mem::take(&mut self.chunk).finish());
            }
            bytes = later;
        }
    }

    /// The digests of everything added.
    #[must_use]
    pub fn finish(mut self) -> Digests {
        if !self.length.is_multiple_of(CHUNK) {
            self.chunks.push(self.chunk.finish());
        }
        if chunk_digests(self.length) == 0 {
            self.chunks.clear();
        }
        Digests {
            length: self.length,
            sha256: self.all.finish(),
            chunks: self.chunks,
        }
    }
}

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(super) name: String,
    pub(super) whole: u64,
    pub(super) start: u64,
    pub(super) digests: Digests,
    pub(super) position: u64,
}

impl Entry {
    /// Its name: relative, with `/` between folders.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the whole file that this is, or that this is a piece of.
    #[must_use]
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// Where in the whole file these bytes begin.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Length of what is here.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.digests.length
    }

    /// Whether all of the file is here.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.digests.length == self.whole
    }

    /// SHA-256 of what is here.
    #[must_use]
    pub const fn sha256(&self) -> Sha256Digest {
        self.digests.sha256
    }

    /// Where in the container its bytes stand.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// How many steps it can be read in, each checked: one for short entries, also for an empty one.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        let chunks = chunk_digests(self.digests.length);
        if chunks == 0 { 1 } else { chunks }
    }

    /// The bytes of the container that make step `index`, or `None` when there is no such step.
    #[must_use]
    pub fn step(&self, index: u64) -> Option<Range<u64>> {
        if index >= self.steps() {
            return None;
        }
        let from = index.checked_mul(CHUNK)?;
        let to = from.saturating_add(CHUNK).min(self.digests.length);
        Some(self.position.checked_add(from)?..self.position.checked_add(to)?)
    }

    /// Whether `bytes` are step `index`.
    ///
    /// # Errors
    /// [`ContainerRejection`]: `container.truncated`, `.length`, `.digest`.
    pub fn check(&self, index: u64, bytes: &[u8]) -> Result<(), ContainerRejection> {
        let fault = |reason| ContainerRejection::Length {
            name: shown(&self.name),
            reason,
        };
        let range = self.step(index).ok_or_else(|| fault("there is no such chunk"))?;
        let expected = range.end.saturating_sub(range.start);
        let found = bytes.len() as u64;
        if found < expected {
            return Err(ContainerRejection::Truncated { expected, found });
        }
        if found > expected {
            return Err(fault("more bytes than the chunk has"));
        }
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let expected = match chunk_digests(self.digests.length) {
            0 => Some(&self.digests.sha256),
            _ => self.digests.chunks.get(place),
        };
        let expected = *expected.ok_or_else(|| fault("there is no such chunk"))?;
        let found = sha256(bytes);
        if found == expected {
            Ok(())
        } else {
            Err(ContainerRejection::Digest {
                what: format!("`{}` chunk {index}", shown(&self.name)),
                expected,
                found,
            })
        }
    }
}

//! A whole container, read from its first byte to its last, in pieces of any size.
//!
//! Refuses the first changed byte at the end of its chunk, not at the end of the file. Invariant: [`ContainerCheck::finish`]
//! answers only when every byte was seen and every digest compared, those of whole entries included.

use freehold_trust::{Sha256Digest, Sha256Hasher};

use super::{ContainerRejection, Entry, HEAD, Head, Index, MAGIC};
use crate::text::shown;

/// The check of one container that arrives in pieces.
#[derive(Debug)]
pub struct ContainerCheck {
    early: Vec<u8>,
    index: Option<Index>,
    seen: u64,
    place: usize,
    step: u64,
    chunk: Sha256Hasher,
    all: Sha256Hasher,
}

impl Default for ContainerCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl ContainerCheck {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            early: Vec::new(),
            index: None,
            seen: 0,
            place: 0,
            step: 0,
            chunk: Sha256Hasher::new(),
            all: Sha256Hasher::new(),
        }
    }

    /// The index, once it has been seen whole.
    #[must_use]
    pub const fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// How many bytes were seen.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ContainerRejection`], at the first byte that shows the fault.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), ContainerRejection> {
        if self.index.is_none() {
            bytes = self.early(bytes)?;
        }
        let Some(index) = self.index.take() else { return Ok(()) };
        let outcome = self.contents(&index, bytes);
        self.index = Some(index);
        outcome
    }

    /// Collects head and index; answers what is left of the bytes.
    fn early<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ContainerRejection> {
        let rest = self.collect(HEAD, bytes);
        if self.early.len() < HEAD {
            // A file that is no container is refused at once, not after a stick full of it.
            let start = self.early.len().min(MAGIC.len());
            return match self.early.get(..start) == MAGIC.get(..start) {
                true => Ok(rest),
                false => Err(ContainerRejection::Magic),
            };
        }
        let head = Head::parse(&self.early)?;
        let wanted = HEAD.saturating_add(head.index_length());
        let rest = self.collect(wanted, rest);
        if self.early.len() == wanted {
            self.index = Some(Index::parse(&head, self.early.get(HEAD..).unwrap_or_default())?);
            self.early = Vec::new();
        }
        Ok(rest)
    }

    fn collect<'a>(&mut self, wanted: usize, bytes: &'a [u8]) -> &'a [u8] {
        let missing = wanted.saturating_sub(self.early.len());
        let (now, later) = bytes.split_at(missing.min(bytes.len()));
        self.early.extend_from_slice(now);
        self.seen = self.seen.saturating_add(now.len() as u64);
        later
    }

    fn contents(&mut self, index: &Index, mut bytes: &[u8]) -> Result<(), ContainerRejection> {
        loop {
            // Entries that are complete, empty ones included, are closed before more bytes are asked for.
            while let Some(entry) = index.entries().get(self.place) {
                let end = entry.position().saturating_add(entry.length());
                if self.seen < end {
                    break;
                }
                self.close(entry)?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let Some(entry) = index.entries().get(self.place) else {
                return Err(ContainerRejection::Trailing {
                    expected: index.length(),
                    found: self.seen.saturating_add(bytes.len() as u64),
                });
            };
            let Some(range) = entry.step(self.step) else {
                return Err(ContainerRejection::Length {
                    name: shown(entry.name()),
                    reason: "there is no such chunk",
                });
            };
            let room = range.end.saturating_sub(self.seen);
            let take = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(take);
            self.chunk.update(now);
            if entry.steps() > 1 {
                self.all.update(now);
            }
            self.seen = self.seen.saturating_add(take as u64);
            bytes = later;
            if self.seen == range.end && entry.steps() > 1 {
                let found = std::mem::take(&mut self.chunk).finish();
                let place = usize::try_from(self.step).unwrap_or(usize::MAX);
                let expected = entry.digests.chunks.get(place).copied().unwrap_or_default();
                same(
                    || format!("`{}` chunk {}", shown(entry.name()), self.step),
                    expected,
                    found,
                )?;
                self.step = self.step.saturating_add(1);
            }
        }
    }

    fn close(&mut self, entry: &Entry) -> Result<(), ContainerRejection> {
        let (chunk, all) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.all));
        let found = if entry.steps() > 1 {
            all.finish()
        } else {
            chunk.finish()
        };
        same(|| format!("`{}`", shown(entry.name())), entry.sha256(), found)?;
        self.place = self.place.saturating_add(1);
        self.step = 0;
        Ok(())
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// [`ContainerRejection`]: `container.truncated`, or a last digest.
    pub fn finish(mut self) -> Result<Index, ContainerRejection> {
        self.update(&[])?;
        let Some(index) = self.index else {
            let head = Head::parse(&self.early)?;
            return Err(ContainerRejection::Truncated {
                expected: (HEAD as u64).saturating_add(head.index_length() as u64),
                found: self.seen,
            });
        };
        index.check_length(self.seen)?;
        Ok(index)
    }
}

fn same(what: impl FnOnce() -> String, expected: Sha256Digest, found: Sha256Digest) -> Result<(), ContainerRejection> {
    if expected == found {
        return Ok(());
    }
    Err(ContainerRejection::Digest {
        what: what(),
        expected,
        found,
    })
}

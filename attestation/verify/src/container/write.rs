//! Writing a container: what the reader would refuse is not written.
//!
//! Refuses names and lengths by the reader's own rules, by reading what it made. Invariant: the length of head and index is
//! known from names and lengths alone, so that a writer can leave room for them, copy and hash the contents once, and write
//! head and index last: a copy that was cut off is no container.

use std::collections::BTreeMap;

use freehold_trust::Sha256Digest;

use super::entry::{Digests, Entry, chunk_digests};
use super::{ContainerRejection, HEAD, Head, Index, Kind};

/// A container that is being put together.
#[derive(Debug, Clone)]
pub struct Draft {
    kind: Kind,
    set: Sha256Digest,
    part: u32,
    parts: u32,
    entries: BTreeMap<String, Entry>,
}

impl Draft {
    /// Part `part` of `parts` of a set; a container that is not split is part 1 of 1.
    #[must_use]
    pub const fn new(kind: Kind, set: Sha256Digest, part: u32, parts: u32) -> Self {
        Self {
            kind,
            set,
            part,
            parts,
            entries: BTreeMap::new(),
        }
    }

    /// Announces a piece of a file: `whole` is the file's length, `start` where the piece begins, a multiple of a chunk.
    pub fn piece(&mut self, name: &str, whole: u64, start: u64, length: u64) {
        let chunks = usize::try_from(chunk_digests(length)).unwrap_or(0);
        let entry = Entry {
            name: name.to_owned(),
            whole,
            start,
            digests: Digests {
                length,
                sha256: Sha256Digest::default(),
                chunks: vec![Sha256Digest::default(); chunks],
            },
            position: 0,
        };
        self.entries.insert(name.to_owned(), entry);
    }

    /// Announces a whole file.
    pub fn file(&mut self, name: &str, length: u64) {
        self.piece(name, length, 0, length);
    }

    /// Says the digests of what was announced.
    ///
    /// # Errors
    /// `container.missing` when it was not announced, `container.length` when its length is another.
    pub fn digests(&mut self, name: &str, digests: Digests) -> Result<(), ContainerRejection> {
        let entry = (self.entries.get_mut(name)).ok_or_else(|| ContainerRejection::Missing {
            name: crate::text::shown(name),
        })?;
        if entry.digests.length != digests.length || entry.digests.chunks.len() != digests.chunks.len() {
            return Err(ContainerRejection::Length {
                name: crate::text::shown(name),
                reason: "it is not the length that was announced",
            });
        }
        entry.digests = digests;
        Ok(())
    }

    /// The index as far as it is known, read again by the reader: names, lengths and positions are final.
    ///
    /// # Errors
    /// What the reader would refuse.
    pub fn index(&self) -> Result<Index, ContainerRejection> {
        let (head, bytes) = self.encoded()?;
        Index::parse(&head, &bytes)
    }

    /// Head and index, to be followed by the contents in the order of names.
    ///
    /// # Errors
    /// What the reader would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ContainerRejection> {
        let (head, bytes) = self.encoded()?;
        Index::parse(&head, &bytes)?;
        let mut out = head.to_bytes();
        out.extend_from_slice(&bytes);
        Ok(out)
    }

    /// How many bytes head and index take.
    ///
    /// # Errors
    /// `container.index_too_large`.
    pub fn early(&self) -> Result<u64, ContainerRejection> {
        let (_, bytes) = self.encoded()?;
        Ok((HEAD as u64).saturating_add(bytes.len() as u64))
    }

    fn encoded(&self) -> Result<(Head, Vec<u8>), ContainerRejection> {
        let index = Index {
            kind: self.kind,
            set: self.set,
            part: self.part,
            parts: self.parts,
            entries: self.entries.values().cloned().collect(),
            end: 0,
            digest: Sha256Digest::default(),
        };
        let bytes = index.to_bytes();
        Ok((Head::of(&bytes)?, bytes))
    }
}

/// A whole container of contents at hand.
///
/// # Errors
/// What the reader would refuse.
pub fn write(
    kind: Kind,
    set: Sha256Digest,
    contents: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<u8>, ContainerRejection> {
    let mut draft = Draft::new(kind, set, 1, 1);
    for (name, bytes) in contents {
        draft.file(name, bytes.len() as u64);
        draft.digests(name, Digests::of(bytes))?;
    }
    let mut out = draft.to_bytes()?;
    for bytes in contents.values() {
        out.extend_from_slice(bytes);
    }
    Ok(out)
}

//! The index: what is in a container, and where.
//!
//! Refuses names that climb or are one name on some file system, lists without end, lengths that overflow, and every encoding
//! but the one. Invariant: entries stand in the order of their names, and each begins where the one before it ends.

use std::collections::BTreeSet;

use freehold_trust::Sha256Digest;

use super::entry::{Digests, Entry, MAX_CHUNKS, chunk_digests};
use super::head::{HEAD, Head};
use super::{CHUNK, ContainerRejection};
use crate::cbor::{Reader, Writer};
use crate::model::{MAX_NAME, name};
use crate::text::shown;

/// The version of the format; another one is refused.
pub const VERSION: u64 = 1;
/// Most entries: a report over ten thousand boxes fits. Bounds time and memory against an index of millions of empty files.
pub const MAX_ENTRIES: usize = 100_000;
/// Most parts of a set: a thousand sticks. Bounds the search for a set that never ends.
pub const MAX_PARTS: u32 = 1_000;
/// Longest word for a kind.
const MAX_KIND: usize = 16;

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// From a console to boxes.
    Bundle,
    /// From boxes to their console.
    Return,
    /// From a console to an auditor.
    Report,
}

impl Kind {
    /// Its word in the index.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Return => "return",
            Self::Report => "report",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Bundle, Self::Return, Self::Report]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// A container's index, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub(super) kind: Kind,
    pub(super) set: Sha256Digest,
    pub(super) part: u32,
    pub(super) parts: u32,
    pub(super) entries: Vec<Entry>,
    pub(super) end: u64,
    pub(super) digest: Sha256Digest,
}

impl Index {
    /// Reads the index that `head` speaks of.
    ///
    /// # Errors
    /// [`ContainerRejection`].
    pub fn parse(head: &Head, bytes: &[u8]) -> Result<Self, ContainerRejection> {
        if bytes.len() < head.index_length() {
            return Err(ContainerRejection::Truncated {
                expected: (HEAD as u64).saturating_add(head.index_length() as u64),
                found: (HEAD as u64).saturating_add(bytes.len() as u64),
            });
        }
        let found = freehold_trust::sha256(bytes);
        if found != head.digest() {
            return Err(ContainerRejection::Digest {
                what: "the index".to_owned(),
                expected: head.digest(),
                found,
            });
        }
        let mut reader = Reader::new(bytes);
        let fields = reader.map(64, "the index")?;
        reader.key(0, "the version")?;
        let found = reader.uint("the version")?;
        if found != VERSION {
            return Err(ContainerRejection::Version { found });
        }
        if fields != 6 {
            return Err(ContainerRejection::Malformed {
                detail: format!("{fields} fields"),
            });
        }
        reader.key(1, "the kind")?;
        let word = reader.text(MAX_KIND, "the kind")?;
        let kind = Kind::of(word).ok_or_else(|| ContainerRejection::Kind {
            expected: "bundle, return or report",
            found: shown(word),
        })?;
        reader.key(2, "the set")?;
        let set = Sha256Digest::from_bytes(reader.array32("the set")?);
        reader.key(3, "the part's number")?;
        let part = reader.uint("the part's number")?;
        reader.key(4, "the number of parts")?;
        let parts = reader.uint("the number of parts")?;
        let (part, parts) = numbers(part, parts)?;
        reader.key(5, "the entries")?;
        let entries = entries(&mut reader, head.index_length())?;
        reader.end("the end of the index")?;
        check_names(&entries)?;
        let end = entries.last().map_or_else(
            || contents(head.index_length()),
            |last| last.position.saturating_add(last.length()),
        );
        Ok(Self {
            kind,
            set,
            part,
            parts,
            entries,
            end,
            digest: head.digest(),
        })
    }

    /// The index again, as bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.map(6);
        out.uint(0);
        out.uint(VERSION);
        out.uint(1);
        out.text(self.kind.word());
        out.uint(2);
        out.bytes(self.set.as_bytes());
        out.uint(3);
        out.uint(self.part.into());
        out.uint(4);
        out.uint(self.parts.into());
        out.uint(5);
        out.array(self.entries.len());
        for entry in &self.entries {
            out.array(6);
            out.text(&entry.name);
            out.uint(entry.whole);
            out.uint(entry.start);
            out.uint(entry.digests.length);
            out.bytes(entry.digests.sha256.as_bytes());
            out.array(entry.digests.chunks.len());
            for chunk in &entry.digests.chunks {
                out.bytes(chunk.as_bytes());
            }
        }
        out.0
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Refuses another kind than the one that is asked for.
    ///
    /// # Errors
    /// `container.kind`.
    pub fn expect(&self, kind: Kind) -> Result<(), ContainerRejection> {
        if self.kind == kind {
            Ok(())
        } else {
            Err(ContainerRejection::Kind {
                expected: kind.word(),
                found: self.kind.word().to_owned(),
            })
        }
    }

    /// Names the set of parts that it belongs to.
    #[must_use]
    pub const fn set(&self) -> Sha256Digest {
        self.set
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn part(&self) -> u32 {
        self.part
    }

    /// How many parts the set has.
    #[must_use]
    pub const fn parts(&self) -> u32 {
        self.parts
    }

    /// The entries, in the order of their names.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        let place = self
            .entries
            .binary_search_by(|entry| entry.name.as_str().cmp(name))
            .ok()?;
        self.entries.get(place)
    }

    /// SHA-256 of the index: two containers with one digest here have the same content.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Length of the whole container in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.end
    }

    /// Compares the length of the file at hand.
    ///
    /// # Errors
    /// `container.truncated`, `container.trailing`.
    pub const fn check_length(&self, found: u64) -> Result<(), ContainerRejection> {
        let expected = self.end;
        if found < expected {
            Err(ContainerRejection::Truncated { expected, found })
        } else if found > expected {
            Err(ContainerRejection::Trailing { expected, found })
        } else {
            Ok(())
        }
    }
}

fn numbers(part: u64, parts: u64) -> Result<(u32, u32), ContainerRejection> {
    let known = u32::try_from(parts).ok().filter(|parts| *parts <= MAX_PARTS);
    let parts = known.ok_or(ContainerRejection::TooMany {
        what: "parts",
        limit: MAX_PARTS.into(),
        found: parts,
    })?;
    let part = u32::try_from(part).ok().filter(|part| (1..=parts).contains(part));
    let part = part.ok_or_else(|| ContainerRejection::Malformed {
        detail: "the part's number".to_owned(),
    })?;
    Ok((part, parts))
}

/// Where the contents begin.
const fn contents(index_length: usize) -> u64 {
    (HEAD as u64).saturating_add(index_length as u64)
}

fn entries(reader: &mut Reader<'_>, index_length: usize) -> Result<Vec<Entry>, ContainerRejection> {
    let count = reader.array(usize::MAX, "the entries")?;
    if count > MAX_ENTRIES {
        return Err(ContainerRejection::TooMany {
            what: "entries",
            limit: MAX_ENTRIES as u64,
            found: count as u64,
        });
    }
    let mut entries = Vec::new();
    let (mut position, mut budget) = (contents(index_length), MAX_CHUNKS);
    for _ in 0..count {
        let entry = one(reader, position, &mut budget)?;
        position = position
            .checked_add(entry.length())
            .ok_or_else(|| ContainerRejection::Length {
                name: shown(&entry.name),
                reason: "the lengths overflow",
            })?;
        entries.push(entry);
    }
    Ok(entries)
}

fn one(reader: &mut Reader<'_>, position: u64, budget: &mut u64) -> Result<Entry, ContainerRejection> {
    if reader.array(6, "an entry")? != 6 {
        return Err(ContainerRejection::Malformed {
            detail: "an entry".to_owned(),
        });
    }
    // Twice the limit, so that a name that is too long is refused as a name.
    let name = reader.text(2 * MAX_NAME, "a name")?;
    if let Some(reason) = name::fault(name) {
        return Err(ContainerRejection::Path {
            name: shown(name),
            reason,
        });
    }
    let fault = |reason| ContainerRejection::Length {
        name: shown(name),
        reason,
    };
    let whole = reader.uint("a file's length")?;
    let start = reader.uint("where a piece begins")?;
    let length = reader.uint("an entry's length")?;
    if start.checked_add(length).is_none_or(|end| end > whole) {
        return Err(fault("the piece ends behind the file"));
    }
    // Pieces begin at a chunk, so that the digests of pieces are those of the file; and none is empty but an empty file's.
    if !start.is_multiple_of(CHUNK) || (length == 0 && whole != 0) {
        return Err(fault("the piece does not begin at a chunk, or is empty"));
    }
    let sha256 = Sha256Digest::from_bytes(reader.array32("a digest")?);
    let expected = chunk_digests(length);
    *budget = budget.checked_sub(expected).ok_or(ContainerRejection::TooMany {
        what: "chunks",
        limit: MAX_CHUNKS,
        found: expected,
    })?;
    let count = reader.array(usize::MAX, "the chunks")?;
    if count as u64 != expected {
        return Err(fault("its chunks do not cover it"));
    }
    let mut chunks = Vec::new();
    for _ in 0..count {
        chunks.push(Sha256Digest::from_bytes(reader.array32("a chunk's digest")?));
    }
    Ok(Entry {
        name: name.to_owned(),
        whole,
        start,
        digests: Digests { length, sha256, chunks },
        position,
    })
}

/// Names in order, none twice on any file system, none a folder of another.
fn check_names(entries: &[Entry]) -> Result<(), ContainerRejection> {
    let mut folds = BTreeSet::new();
    for entry in entries {
        if !folds.insert(name::fold(&entry.name)) {
            return Err(ContainerRejection::Duplicate {
                name: shown(&entry.name),
            });
        }
    }
    for fold in &folds {
        let folders = fold.match_indices('/').filter_map(|(at, _)| fold.get(..at));
        if let Some(name) = folders.into_iter().find(|folder| folds.contains(*folder)) {
            return Err(ContainerRejection::Path {
                name: shown(name),
                reason: "it is a file and a folder",
            });
        }
    }
    let ordered = entries.windows(2).all(|pair| match pair {
        [before, after] => before.name < after.name,
        _ => true,
    });
    if ordered {
        Ok(())
    } else {
        Err(ContainerRejection::Malformed {
            detail: "the names are not in order".to_owned(),
        })
    }
}

//! The parts of one set, brought together again.
//!
//! Refuses a part of another set, two different parts of one number, and pieces that do not make the file. Invariant: which
//! parts are missing is said before anything is read from those that are here.

use std::collections::BTreeMap;

use super::{ContainerRejection, Entry, Index, Kind};
use crate::text::shown;

/// Indexes of parts, by their number.
#[derive(Debug, Clone)]
pub struct PartSet {
    kind: Kind,
    parts: BTreeMap<u32, Index>,
    first: Index,
}

impl PartSet {
    /// Begins with one part, any of them.
    ///
    /// # Errors
    /// `container.kind`.
    pub fn begin(kind: Kind, index: Index) -> Result<Self, ContainerRejection> {
        index.expect(kind)?;
        Ok(Self {
            kind,
            first: index.clone(),
            parts: BTreeMap::from([(index.part(), index)]),
        })
    }

    /// Adds another part; the same part again is no fault.
    ///
    /// # Errors
    /// `container.kind`, `container.part_other`, `container.part_twice`.
    pub fn add(&mut self, index: Index) -> Result<(), ContainerRejection> {
        index.expect(self.kind)?;
        if index.set() != self.first.set() || index.parts() != self.first.parts() {
            return Err(ContainerRejection::PartOther {
                part: index.part(),
                expected: self.first.set(),
                found: index.set(),
            });
        }
        match self.parts.get(&index.part()) {
            Some(known) if known.digest() != index.digest() => {
                Err(ContainerRejection::PartTwice { part: index.part() })
            }
            _ => {
                self.parts.insert(index.part(), index);
                Ok(())
            }
        }
    }

    /// The parts that are here, by number.
    pub fn parts(&self) -> impl Iterator<Item = (u32, &Index)> {
        self.parts.iter().map(|(number, index)| (*number, index))
    }

    /// The numbers of the parts that are not here.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        (1..=self.first.parts())
            .filter(|number| !self.parts.contains_key(number))
            .collect()
    }

    /// That all parts are here, and that the pieces of every split file make it.
    ///
    /// # Errors
    /// `container.part_missing`, `container.pieces`.
    pub fn complete(&self) -> Result<(), ContainerRejection> {
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(ContainerRejection::PartMissing {
                missing,
                parts: self.first.parts(),
            });
        }
        // Per file: how far its pieces reach, and one of them.
        let mut ends: BTreeMap<&str, (u64, &Entry)> = BTreeMap::new();
        for entry in self.parts.values().flat_map(Index::entries) {
            let fault = |reason| ContainerRejection::Pieces {
                name: shown(entry.name()),
                reason,
            };
            let (end, first) = ends.entry(entry.name()).or_insert((0, entry));
            if first.whole() != entry.whole() {
                return Err(fault("they speak of different lengths"));
            }
            // A small file may stand whole in every part, so that each part checks by itself: then it is the same one.
            if entry.is_whole() && *end == entry.whole() {
                if first.sha256() != entry.sha256() {
                    return Err(fault("it stands in two parts and differs"));
                }
                continue;
            }
            if entry.start() != *end {
                return Err(fault("one is missing, or two overlap"));
            }
            *end = entry.start().saturating_add(entry.length());
        }
        let cut = ends.iter().find(|(_, (end, first))| *end != first.whole());
        match cut {
            None => Ok(()),
            Some((name, _)) => Err(ContainerRejection::Pieces {
                name: shown(name),
                reason: "the end is missing",
            }),
        }
    }

    /// The pieces of a file with the number of the part that each stands in, in order.
    #[must_use]
    pub fn pieces(&self, name: &str) -> Vec<(u32, &Entry)> {
        let mut pieces: Vec<(u32, &Entry)> = (self.parts.iter())
            .filter_map(|(number, index)| Some((*number, index.entry(name)?)))
            .collect();
        pieces.sort_by_key(|(number, entry)| (entry.start(), *number));
        pieces.dedup_by_key(|(_, entry)| entry.start());
        pieces
    }
}

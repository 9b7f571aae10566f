//! The piece of the console's record that is in a report: every entry from one index to the signed head, none left out.
//!
//! Refuses entries that do not lead to the signed root: one that was left out, added, changed or moved. Invariant: the roots
//! before the first entry and the entries themselves give the root; nothing else is asked.

use freehold_record::{Checkpoint, EntryView, Frontier, VerifierKey, leaf_hash};

use crate::document::RecordPlace;
use crate::rejection::AuditRejection;

/// A verified piece of a record.
#[derive(Debug)]
pub struct Range {
    /// Index of the first entry.
    pub first: u64,
    /// The head that it leads to.
    pub checkpoint: Checkpoint,
    /// The entries.
    pub entries: Vec<EntryView>,
}

impl Range {
    /// Verifies the entries (one a line) under `note`, signed by `key`.
    ///
    /// # Errors
    /// Those of [`Checkpoint::verify`] and [`EntryView::parse`]; `report.record_range`.
    pub fn verify(place: &RecordPlace, note: &[u8], lines: &[u8], key: &VerifierKey) -> Result<Self, AuditRejection> {
        let (checkpoint, _) = Checkpoint::verify(note, &place.origin, key)?;
        let mut frontier = Frontier::of(place.first, place.before.clone()).ok_or(AuditRejection::RecordRange)?;
        let mut entries = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            frontier.push(leaf_hash(line));
            entries.push(EntryView::parse(line)?);
        }
        if frontier.size() != checkpoint.size || frontier.root() != checkpoint.root {
            return Err(AuditRejection::RecordRange);
        }
        Ok(Self {
            first: place.first,
            checkpoint,
            entries,
        })
    }

    /// The entries with their indices.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &EntryView)> {
        (self.first..).zip(&self.entries)
    }

    /// How many entries are of this kind.
    #[must_use]
    pub fn count(&self, what: &str) -> usize {
        self.entries.iter().filter(|entry| entry.what == what).count()
    }
}

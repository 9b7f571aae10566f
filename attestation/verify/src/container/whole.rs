//! A small container that is in memory as a whole: a report, a return.
//!
//! Refuses to answer for one content before all of it was checked. Invariant: what [`Container::get`] answers has the digest of
//! the index.

use super::{ContainerCheck, ContainerRejection, Entry, Index, Kind};
use crate::text::shown;

/// A whole, checked container.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    index: Index,
    bytes: &'a [u8],
}

impl<'a> Container<'a> {
    /// Reads and checks all of `bytes`, which must be one whole container of this kind.
    ///
    /// # Errors
    /// [`ContainerRejection`].
    pub fn parse(bytes: &'a [u8], kind: Kind) -> Result<Self, ContainerRejection> {
        let mut check = ContainerCheck::new();
        check.update(bytes)?;
        let index = check.finish()?;
        index.expect(kind)?;
        Ok(Self { index, bytes })
    }

    /// The index.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The names and contents of all entries.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        (self.index.entries().iter()).filter_map(|entry| Some((entry.name(), self.content(entry)?)))
    }

    /// The content of the entry of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.content(self.index.entry(name)?)
    }

    /// The content of an entry that has to be there.
    ///
    /// # Errors
    /// `container.missing`.
    pub fn need(&self, name: &str) -> Result<&'a [u8], ContainerRejection> {
        self.get(name)
            .ok_or_else(|| ContainerRejection::Missing { name: shown(name) })
    }

    fn content(&self, entry: &Entry) -> Option<&'a [u8]> {
        let start = usize::try_from(entry.position()).ok()?;
        let end = start.checked_add(usize::try_from(entry.length()).ok()?)?;
        self.bytes.get(start..end)
    }
}

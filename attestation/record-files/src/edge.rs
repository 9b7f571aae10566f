//! The right edge of the tiles: what a writer needs to know to go on, and what a verifier recomputes.
//!
//! Refuses to hold more than one unfinished tile per level. Invariant: feeding the same leaves gives the same tiles.

use freehold_record::node_hash;
use freehold_record::tile::WIDTH;
use freehold_trust::Sha256Digest;

/// A tile that has just become full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullTile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Sha256Digest>,
}

/// The unfinished tile of one level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unfinished {
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Sha256Digest>,
}

/// The unfinished tiles of all levels, leaves first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Edge {
    pub(crate) levels: Vec<Unfinished>,
}

impl Edge {
    /// Adds a leaf hash; tiles that it completes go to `full`.
    pub(crate) fn push(&mut self, leaf: Sha256Digest, full: &mut Vec<FullTile>) {
        let mut hash = leaf;
        for level in 0u8..8 {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Unfinished::default());
            }
            let Some(tile) = self.levels.get_mut(usize::from(level)) else {
                return;
            };
            tile.hashes.push(hash);
            if u64::try_from(tile.hashes.len()).unwrap_or(u64::MAX) < WIDTH {
                return;
            }
            let hashes = std::mem::take(&mut tile.hashes);
            hash = complete_root(&hashes);
            full.push(FullTile {
                level,
                index: tile.index,
                hashes,
            });
            tile.index = tile.index.saturating_add(1);
        }
    }
}

/// The root over a number of hashes that is a power of two.
pub(crate) fn complete_root(hashes: &[Sha256Digest]) -> Sha256Digest {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                [one] => *one,
                _ => freehold_record::empty_root(),
            })
            .collect();
    }
    row.first().copied().unwrap_or_else(freehold_record::empty_root)
}

//! The Merkle tree of RFC 6962, section 2.1: hashes, roots, and a frontier that grows leaf by leaf.
//!
//! Refuses nothing: every size up to 2^63 has a root. Invariant: a frontier of n leaves holds one hash per bit set in n.

use freehold_trust::Sha256Digest;
pub use freehold_trust::merkle::{empty_root, leaf_hash, node_hash};

/// Where the hashes of complete subtrees come from: tiles in memory, in files, or computed on the way.
pub trait HashSource {
    /// What reading can fail with.
    type Error;

    /// The hash of the complete subtree at `level` (0 = leaves) and `index` (counted at that level): it covers the leaves
    /// `index << level` up to `(index + 1) << level`.
    ///
    /// # Errors
    /// When the hash is not there or cannot be read.
    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error>;
}

/// The right edge of a growing tree: the roots of its maximal complete subtrees, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Sha256Digest>,
}

impl Frontier {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier of the first `size` leaves, read from `source`.
    ///
    /// # Errors
    /// What the source says.
    pub fn read<S: HashSource>(size: u64, source: &S) -> Result<Self, S::Error> {
        let mut roots = Vec::new();
        let mut start = 0u64;
        for level in (0..63u8).rev() {
            if size >> level & 1 == 1 {
                roots.push(source.subtree(level, start >> level)?);
                start = start.saturating_add(1 << level);
            }
        }
        Ok(Self { size, roots })
    }

    /// The frontier of `size` leaves by its roots, largest first; `None` when there is not one for each bit of the size.
    #[must_use]
    pub fn of(size: u64, roots: Vec<Sha256Digest>) -> Option<Self> {
        let wanted = usize::try_from(size.count_ones()).ok()?;
        (roots.len() == wanted).then_some(Self { size, roots })
    }

    /// The roots of the maximal complete subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Sha256Digest] {
        &self.roots
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Sha256Digest) {
        let mut hash = leaf;
        let mut carries = self.size.trailing_ones();
        while carries > 0 {
            match self.roots.pop() {
                Some(left) => hash = node_hash(&left, &hash),
                None => break,
            }
            carries = carries.saturating_sub(1);
        }
        self.roots.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Sha256Digest {
        let mut right_to_left = self.roots.iter().rev();
        match right_to_left.next() {
            None => empty_root(),
            Some(last) => right_to_left.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// The hash over the leaves `start..end`, where `start` is a multiple of a power of two not below the range's length, as all
/// ranges of RFC 6962 proofs are.
///
/// # Errors
/// What the source says.
pub(crate) fn range_hash<S: HashSource>(start: u64, end: u64, source: &S) -> Result<Sha256Digest, S::Error> {
    let length = end.saturating_sub(start);
    if length == 0 {
        return Ok(empty_root());
    }
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return source.subtree(u8::try_from(level).unwrap_or(63), start >> level);
    }
    let middle = start.saturating_add(split(length));
    Ok(node_hash(
        &range_hash(start, middle, source)?,
        &range_hash(middle, end, source)?,
    ))
}

/// The largest power of two below `length` (at least 2): RFC 6962's k.
pub(crate) fn split(length: u64) -> u64 {
    1 << (63 - length.saturating_sub(1).max(1).leading_zeros())
}

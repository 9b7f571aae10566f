//! Inclusion and consistency proofs: building (RFC 6962, 2.1.1 and 2.1.2) and verifying (RFC 9162, 2.1.3.2 and 2.1.4.2).
//!
//! Refuses a proof that is longer or shorter than the tree demands. Invariant: verification reads nothing but its arguments.

use freehold_trust::{Sha256Digest, merkle};

use crate::rejection::RecordRejected;
use crate::tree::{HashSource, empty_root, node_hash, range_hash, split};

/// The audit path of leaf `index` in the tree of `size` leaves, from the leaf upwards. `None` when `index` is not in the tree.
///
/// # Errors
/// What the source says.
pub fn inclusion<S: HashSource>(index: u64, size: u64, source: &S) -> Result<Option<Vec<Sha256Digest>>, S::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0u64, size);
    let mut path = Vec::new();
    while end.saturating_sub(start) > 1 {
        let middle = start.saturating_add(split(end.saturating_sub(start)));
        if index < middle {
            path.push(range_hash(middle, end, source)?);
            end = middle;
        } else {
            path.push(range_hash(start, middle, source)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the tree of `old` leaves is a prefix of the tree of `new` leaves. `None` when `old` is larger than `new`.
/// Empty for equal sizes and for `old` = 0.
///
/// # Errors
/// What the source says.
pub fn consistency<S: HashSource>(old: u64, new: u64, source: &S) -> Result<Option<Vec<Sha256Digest>>, S::Error> {
    if old > new {
        return Ok(None);
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(Some(path));
    }
    let (mut start, mut end) = (0u64, new);
    // Whether the old tree is a complete subtree at the place that we stand at, and so known to the verifier.
    let mut known = true;
    while old != end {
        let middle = start.saturating_add(split(end.saturating_sub(start)));
        if old <= middle {
            path.push(range_hash(middle, end, source)?);
            end = middle;
        } else {
            path.push(range_hash(start, middle, source)?);
            start = middle;
            known = false;
        }
    }
    if !known {
        path.push(range_hash(start, end, source)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// Checks that `leaf` (a leaf hash) is at `index` in the tree with `size` leaves and `root`.
///
/// # Errors
/// `record.proof` when it is not, or the path has the wrong length.
pub fn verify_inclusion(
    leaf: &Sha256Digest,
    index: u64,
    size: u64,
    path: &[Sha256Digest],
    root: &Sha256Digest,
) -> Result<(), RecordRejected> {
    if merkle::includes(leaf, index, size, path, root) {
        Ok(())
    } else {
        Err(RecordRejected::Proof { kind: "inclusion" })
    }
}

/// Checks that the tree (`old`, `old_root`) is a prefix of the tree (`new`, `new_root`).
///
/// # Errors
/// `record.truncated` when `new` is smaller, `record.forked` when sizes are equal and roots are not, `record.proof` otherwise.
pub fn verify_consistency(
    old: u64,
    old_root: &Sha256Digest,
    new: u64,
    new_root: &Sha256Digest,
    path: &[Sha256Digest],
) -> Result<(), RecordRejected> {
    let refused = RecordRejected::Proof { kind: "consistency" };
    if old > new {
        return Err(RecordRejected::Truncated { known: old, shown: new });
    }
    if old == new {
        if old_root != new_root {
            return Err(RecordRejected::Forked {
                size: old,
                known: *old_root,
                shown: *new_root,
            });
        }
        return if path.is_empty() { Ok(()) } else { Err(refused) };
    }
    if old == 0 {
        return if path.is_empty() && *old_root == empty_root() {
            Ok(())
        } else {
            Err(refused)
        };
    }
    let mut path = path.iter();
    // The old tree is itself a complete subtree: its root is the first hash.
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        path.next()
    };
    let Some(first) = first else { return Err(refused) };
    let (mut node, mut last) = (old.saturating_sub(1), new.saturating_sub(1));
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return Err(refused);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(refused)
    }
}

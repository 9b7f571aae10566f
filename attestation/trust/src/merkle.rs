//! The hashes of an RFC 6962 tree, the path of one leaf, and the check of such a path: what says "this was in that list".
//!
//! Refuses a path that is longer or shorter than the tree demands. Invariant: this is the only check of an inclusion path
//! in the repository; records and approvals both call it.

use crate::digest::{Sha256Digest, Sha256Hasher, sha256};

/// The root of a tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Sha256Digest {
    sha256(b"")
}

/// The hash of an entry as a leaf: SHA-256 of 0x00 and the entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(&[0]);
    hasher.update(entry);
    hasher.finish()
}

/// The hash of an inner node: SHA-256 of 0x01 and both children.
#[must_use]
pub fn node_hash(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(&[1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// The root over these leaf hashes (RFC 6962, 2.1).
#[must_use]
pub fn root(leaves: &[Sha256Digest]) -> Sha256Digest {
    match leaves {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = halves(leaves);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The path of leaf `index`, from the leaf upwards (RFC 6962, 2.1.1); `None` when there is no such leaf.
#[must_use]
pub fn path(leaves: &[Sha256Digest], index: usize) -> Option<Vec<Sha256Digest>> {
    match leaves {
        [] => None,
        [_] => (index == 0).then(Vec::new),
        _ => {
            let (left, right) = halves(leaves);
            let (mut steps, sibling) = match index.checked_sub(left.len()) {
                None => (path(left, index)?, root(right)),
                Some(index) => (path(right, index)?, root(left)),
            };
            steps.push(sibling);
            Some(steps)
        }
    }
}

/// Two or more leaves at RFC 6962's k: the largest power of two below their number.
fn halves(leaves: &[Sha256Digest]) -> (&[Sha256Digest], &[Sha256Digest]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}

/// Whether `leaf` (a leaf hash) is at `index` in the tree with `size` leaves and `root` (RFC 9162, 2.1.3.2).
#[must_use]
pub fn includes(leaf: &Sha256Digest, index: u64, size: u64, path: &[Sha256Digest], root: &Sha256Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_every_small_tree_fits_only_its_own_leaf() {
        let leaves: Vec<Sha256Digest> = (0u8..40).map(|number| leaf_hash(&[number])).collect();
        assert_eq!(path(&[], 0), None);
        for size in 1..=leaves.len() {
            let tree = &leaves[..size];
            let top = root(tree);
            assert_eq!(path(tree, size), None);
            for index in 0..size {
                let steps = path(tree, index).unwrap();
                let fits = |leaf: &Sha256Digest, at: usize, size: usize, steps: &[Sha256Digest]| {
                    includes(leaf, at as u64, size as u64, steps, &top)
                };
                assert!(fits(&leaves[index], index, size, &steps), "{index} of {size}");
                for other in (0..size).filter(|other| *other != index) {
                    assert!(!fits(&leaves[other], index, size, &steps));
                    assert!(!fits(&leaves[index], other, size, &steps));
                }
                let mut longer = steps.clone();
                longer.push(top);
                assert!(!fits(&leaves[index], index, size, &longer));
                if let Some((_, shorter)) = steps.split_last() {
                    assert!(!fits(&leaves[index], index, size, &steps[..shorter.len()]));
                }
                assert!(!fits(&leaves[index], index, index, &steps));
            }
        }
    }
}

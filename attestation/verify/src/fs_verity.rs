//! The fs-verity digest of a file: what the kernel answers to `FS_IOC_MEASURE_VERITY`, computed without a kernel.
//!
//! Refuses other parameters than one: SHA-256, blocks of 4096 bytes, no salt. So a file has one digest, and a signed release can name it
//! beside the file's SHA-256. Invariant: the digest depends on the bytes only, not on how they were handed in.
//! Source: Linux, `Documentation/filesystems/fsverity.rst`, "Merkle tree" and "fs-verity descriptor".

use freehold_trust::digest::{Sha256Digest, Sha256Hasher, sha256};

/// Bytes of a data block and of a block of the tree; what Linux takes on every machine whose pages are not smaller.
pub const BLOCK: usize = 4096;

/// Bytes of a hash in the tree.
const HASH: usize = 32;

/// `struct fsverity_descriptor` without signature: version 1, SHA-256 (1), 2^12 bytes a block, no salt.
const DESCRIPTOR: usize = 256;

/// Computes the digest of bytes that come piece by piece.
#[derive(Debug, Clone, Default)]
pub struct FsVerity {
    length: u64,
    block: Vec<u8>,
    levels: Vec<Vec<u8>>,
}

impl FsVerity {
    /// Of an empty file so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length = self
            .length
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        while !bytes.is_empty() {
            if self.block.is_empty() && bytes.len() >= BLOCK {
                let (whole, rest) = bytes.split_at(BLOCK);
                self.add(0, sha256(whole));
                bytes = rest;
                continue;
            }
            let room = BLOCK.saturating_sub(self.block.len()).min(bytes.len());
            let (taken, rest) = bytes.split_at(room);
            self.block.extend_from_slice(taken);
            bytes = rest;
            if self.block.len() == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.add(0, sha256(&block));
            }
        }
    }

    /// Adds a hash to a level; a full block of hashes is hashed into the level above.
    fn add(&mut self, mut level: usize, mut hash: Sha256Digest) {
        loop {
            while self.levels.len() <= level {
                self.levels.push(Vec::with_capacity(BLOCK));
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                return;
            };
            hashes.extend_from_slice(hash.as_bytes());
            if hashes.len() < BLOCK {
                return;
            }
            hash = sha256(hashes);
            hashes.clear();
            level = level.saturating_add(1);
        }
    }

    /// The digest.
    #[must_use]
    pub fn finish(mut self) -> Sha256Digest {
        if !self.block.is_empty() {
            let block = std::mem::take(&mut self.block);
            self.add(0, padded(&block));
        }
        let mut level = 0_usize;
        let root = loop {
            let top = level.saturating_add(1) >= self.levels.len();
            match self.levels.get_mut(level).map(std::mem::take) {
                // The one hash at the top is the root; an empty file has none.
                None => break None,
                Some(hashes) if top && hashes.len() <= HASH => break Sha256Digest::from_slice(&hashes),
                Some(hashes) if hashes.is_empty() => {}
                Some(hashes) => self.add(level.saturating_add(1), padded(&hashes)),
            }
            level = level.saturating_add(1);
        };
        let mut descriptor = Sha256Hasher::new();
        let length = self.length.to_le_bytes();
        descriptor.update(&[1, 1, 12, 0, 0, 0, 0, 0]);
        descriptor.update(&length);
        descriptor.update(root.as_ref().map_or(&[0; HASH], |root| root.as_bytes()));
        descriptor.update(&[0; DESCRIPTOR - 8 - 8 - HASH]);
        descriptor.finish()
    }
}

/// The hash of a block whose end is missing: zeros stand there.
fn padded(part: &[u8]) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(part);
    hasher.update([0; BLOCK].get(part.len()..).unwrap_or_default());
    hasher.finish()
}

//! Reading a published log: entries, checkpoint, proofs.
//!
//! Refuses to believe what it reads: hashes come from tiles, and whoever gets a proof verifies it against a checkpoint.
//! Invariant: reading goes on while a writer publishes; what was published stays readable.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use freehold_record::tile::{
    BUNDLE_LIMIT, HEIGHT, WIDTH, bundle_path, decode_bundle, decode_tile, tile_path, width_at,
};
use freehold_record::{Checkpoint, HashSource, RecordRejected, SignedNote, consistency, inclusion};
use freehold_trust::Sha256Digest;

use crate::edge::complete_root;
use crate::fault::RecordFault;
use crate::layout::{CHECKPOINT, read_limited, read_tile};

/// Tiles that are kept in memory: enough for a proof's neighbours at every level.
const CACHE: usize = 64;

/// A published log in a folder.
#[derive(Debug)]
pub struct RecordReader {
    root: PathBuf,
    cache: Mutex<HashMap<(u8, u64), Vec<Sha256Digest>>>,
}

impl RecordReader {
    /// A reader of the log in `folder`.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        Self {
            root: folder.to_path_buf(),
            cache: Mutex::default(),
        }
    }

    /// The published checkpoint as signed text and as parsed, not verified.
    ///
    /// # Errors
    /// `record.truncated` when there is none, `record.note_malformed`, `record.checkpoint_malformed`, `record.files`.
    pub fn checkpoint(&self) -> Result<(Vec<u8>, Checkpoint), RecordFault> {
        let missing = || RecordRejected::Missing {
            what: CHECKPOINT.to_owned(),
        };
        let bytes =
            read_limited(&self.root.join(CHECKPOINT), freehold_record::note::NOTE_LIMIT)?.ok_or_else(missing)?;
        let checkpoint = Checkpoint::parse(SignedNote::parse(&bytes)?.text())?;
        Ok((bytes, checkpoint))
    }

    /// The entries `start..end` of a tree of `size` entries, of one bundle or more.
    ///
    /// # Errors
    /// `record.truncated` when a bundle is missing, `record.tile_malformed`, `record.files`.
    pub fn entries(&self, start: u64, end: u64, size: u64) -> Result<Vec<Vec<u8>>, RecordFault> {
        let mut found = Vec::new();
        let end = end.min(size);
        let mut at = start;
        while at < end {
            let bundle = at / WIDTH;
            let first = bundle.saturating_mul(WIDTH);
            let bytes = self.bundle(bundle, size)?;
            let name = bundle_path(bundle, WIDTH);
            let entries = decode_bundle(&bytes, width_at(0, bundle, size), &name)?;
            let from = usize::try_from(at.saturating_sub(first)).unwrap_or(usize::MAX);
            let until = usize::try_from(end.saturating_sub(first).min(WIDTH)).unwrap_or(usize::MAX);
            found.extend(
                entries
                    .get(from..until)
                    .unwrap_or_default()
                    .iter()
                    .map(|entry| entry.to_vec()),
            );
            at = first.saturating_add(WIDTH);
        }
        Ok(found)
    }

    /// The bytes of bundle `index` in a tree of `size` entries.
    pub(crate) fn bundle(&self, index: u64, size: u64) -> Result<Vec<u8>, RecordFault> {
        let width = width_at(0, index, size);
        let missing = || RecordRejected::Missing {
            what: bundle_path(index, width),
        };
        Ok(read_tile(&self.root, |width| bundle_path(index, width), width, BUNDLE_LIMIT)?.ok_or_else(missing)?)
    }

    /// The hashes of a tile in a tree of `size` entries: exactly as many as that tree has there.
    pub(crate) fn tile(&self, level: u8, index: u64, size: u64) -> Result<Vec<Sha256Digest>, RecordFault> {
        let width = width_at(level, index, size);
        let name = tile_path(level, index, width);
        let bytes = read_tile(&self.root, |width| tile_path(level, index, width), width, 256 * 32)?;
        let bytes = bytes.ok_or_else(|| RecordRejected::Missing { what: name.clone() })?;
        let mut hashes = decode_tile(&bytes, width, &name)?;
        hashes.truncate(usize::try_from(width).unwrap_or(usize::MAX));
        Ok(hashes)
    }

    /// The hashes of the tree with `size` entries.
    #[must_use]
    pub fn tree(&self, size: u64) -> PublishedTree<'_> {
        PublishedTree { reader: self, size }
    }

    /// The proof that the entry at `index` is in the tree of `size` entries.
    ///
    /// # Errors
    /// `record.truncated` when `index` or a tile is not there, `record.tile_malformed`, `record.files`.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Sha256Digest>, RecordFault> {
        let outside = || RecordRejected::Missing {
            what: format!("entry {index}"),
        };
        Ok(inclusion(index, size, &self.tree(size))?.ok_or_else(outside)?)
    }

    /// The proof that the tree of `old` entries is the beginning of the tree of `new` entries.
    ///
    /// # Errors
    /// `record.truncated` when `old` is above `new` or a tile is not there, `record.tile_malformed`, `record.files`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Sha256Digest>, RecordFault> {
        let shrunk = || RecordRejected::Truncated { known: old, shown: new };
        Ok(consistency(old, new, &self.tree(new))?.ok_or_else(shrunk)?)
    }
}

/// The hashes of a published tree of a given size.
#[derive(Debug)]
pub struct PublishedTree<'r> {
    reader: &'r RecordReader,
    size: u64,
}

impl HashSource for PublishedTree<'_> {
    type Error = RecordFault;

    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, RecordFault> {
        let tile_level = level / HEIGHT;
        let inside = u32::from(level % HEIGHT);
        // In hashes of the tile's level: where the subtree begins, and how many it has.
        let first = index.checked_shl(inside).unwrap_or(u64::MAX);
        let count = 1usize << inside;
        let tile = first / WIDTH;
        let from = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let key = (tile_level, tile);
        let missing = || RecordRejected::Missing {
            what: tile_path(tile_level, tile, WIDTH),
        };
        {
            let cache = self.reader.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(hashes) = cache
                .get(&key)
                .and_then(|hashes| hashes.get(from..from.saturating_add(count)))
            {
                return Ok(complete_root(hashes));
            }
        }
        let hashes = self.reader.tile(tile_level, tile, self.size)?;
        let wanted = hashes.get(from..from.saturating_add(count)).ok_or_else(missing)?;
        let root = complete_root(wanted);
        let mut cache = self.reader.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.insert(key, hashes);
        Ok(root)
    }
}

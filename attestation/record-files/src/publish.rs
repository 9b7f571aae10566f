//! Moving durable entries into the tlog-tiles layout.
//!
//! Refuses to show a checkpoint before everything under it is durable. Invariant: a failure leaves the published log as it was,
//! and publishing again gives the same files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use freehold_record::tile::{WIDTH, bundle_path, encode_tile, push_entry, tile_path};
use freehold_trust::Sha256Digest;

use crate::edge::Edge;
use crate::fault::RecordFault;
use crate::layout::{CHECKPOINT, sync_folders, write_whole};

/// What is in the tiles, and what a next publication continues from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    /// Entries in the tiles.
    pub(crate) size: u64,
    /// The unfinished tiles.
    pub(crate) edge: Edge,
    /// The unfinished bundle.
    pub(crate) bundle: Vec<u8>,
}

/// An entry that is durable in the journal, with its leaf hash.
#[derive(Debug, Clone)]
pub(crate) struct Durable {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) leaf: Sha256Digest,
}

/// Publishes `entries` after `published` under `checkpoint` (a signed note over all of them).
pub(crate) fn publish(
    root: &Path,
    published: &Published,
    entries: &[Durable],
    checkpoint: &[u8],
) -> Result<Published, RecordFault> {
    let mut next = published.clone();
    let mut touched = BTreeSet::new();
    let mut full = Vec::new();
    for entry in entries {
        push_entry(&mut next.bundle, &entry.bytes)?;
        next.edge.push(entry.leaf, &mut full);
        next.size = next.size.saturating_add(1);
        if next.size.is_multiple_of(WIDTH) {
            let index = (next.size / WIDTH).saturating_sub(1);
            write_whole(root, &bundle_path(index, WIDTH), &next.bundle, &mut touched)?;
            next.bundle.clear();
        }
    }
    for tile in &full {
        write_whole(
            root,
            &tile_path(tile.level, tile.index, WIDTH),
            &encode_tile(&tile.hashes),
            &mut touched,
        )?;
    }
    if !next.bundle.is_empty() {
        write_whole(
            root,
            &bundle_path(next.size / WIDTH, next.size % WIDTH),
            &next.bundle,
            &mut touched,
        )?;
    }
    for (level, tile) in (0u8..).zip(&next.edge.levels) {
        let before = published.edge.levels.get(usize::from(level));
        if !tile.hashes.is_empty() && before != Some(tile) {
            let width = u64::try_from(tile.hashes.len()).unwrap_or(WIDTH);
            write_whole(
                root,
                &tile_path(level, tile.index, width),
                &encode_tile(&tile.hashes),
                &mut touched,
            )?;
        }
    }
    sync_folders(&touched)?;
    let mut top = BTreeSet::new();
    write_whole(root, CHECKPOINT, checkpoint, &mut top)?;
    sync_folders(&top)?;
    remove_superseded(root, published, &next);
    Ok(next)
}

/// Removes partial tiles that wider ones replace; a failure costs space and nothing else.
fn remove_superseded(root: &Path, before: &Published, after: &Published) {
    let remove = |old: String, full: bool| {
        let path = root.join(old);
        let _ = fs::remove_file(&path);
        if full && let Some(folder) = path.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    };
    let (index, width) = (before.size / WIDTH, before.size % WIDTH);
    if width > 0 && after.size != before.size {
        remove(bundle_path(index, width), after.size / WIDTH > index);
    }
    for (level, tile) in (0u8..).zip(&before.edge.levels) {
        let now = after.edge.levels.get(usize::from(level));
        if !tile.hashes.is_empty() && now != Some(tile) {
            let width = u64::try_from(tile.hashes.len()).unwrap_or(WIDTH);
            remove(
                tile_path(level, tile.index, width),
                now.is_some_and(|now| now.index > tile.index),
            );
        }
    }
}

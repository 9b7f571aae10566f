//! Making a log, and opening one that is there.
//!
//! Refuses a log whose end is not what its last checkpoint signed. Invariant: what is opened has every entry that was ever
//! acknowledged, and nothing else.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, RwLock};

use freehold_record::tile::{WIDTH, decode_bundle, width_at};
use freehold_record::{Checkpoint, Frontier, NoteSigner, RecordRejected, empty_root, leaf_hash};

use super::Options;
use crate::edge::{Edge, Unfinished};
use crate::fault::RecordFault;
use crate::journal::{self, Journal};
use crate::layout::{CHECKPOINT, LOCK, TILES, VERIFIER, sync_folders, write_whole};
use crate::publish::{Durable, Published};
use crate::reader::RecordReader;
use crate::writer::{BATCH_BYTES, Tail, Writer};

pub(super) fn lock(folder: &Path) -> Result<File, RecordFault> {
    let path = folder.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| RecordFault::files(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(RecordFault::InUse {
            folder: folder.display().to_string(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(RecordFault::files(&path, source)),
    }
}

/// A new log: journal, verifier, and last the checkpoint of size 0. A folder with tiles and no checkpoint is no new log.
pub(super) fn create(folder: &Path, signer: &NoteSigner, options: Options) -> Result<(), RecordFault> {
    if folder.join(TILES).exists() {
        return Err(RecordRejected::Missing {
            what: CHECKPOINT.to_owned(),
        }
        .into());
    }
    if let Some(bytes) = journal::read(folder)? {
        // Left by a creation that was cut short, unless it has frames.
        let (frames, _) = journal::scan(&bytes, 0)?;
        if !frames.is_empty() {
            return Err(RecordRejected::Missing {
                what: CHECKPOINT.to_owned(),
            }
            .into());
        }
    }
    Journal::create(folder, options.journal_bytes.max(BATCH_BYTES.saturating_mul(2)))?;
    let mut touched = std::collections::BTreeSet::new();
    write_whole(
        folder,
        VERIFIER,
        format!("{}\n", signer.verifier()).as_bytes(),
        &mut touched,
    )?;
    sync_folders(&touched)?;
    let empty = Checkpoint::new(signer.verifier().name(), 0, empty_root()).sign(signer)?;
    write_whole(folder, CHECKPOINT, empty.to_string().as_bytes(), &mut touched)?;
    sync_folders(&touched)
}

/// Reads the published end, checks it against its checkpoint, and replays the journal.
pub(super) fn reopen(folder: &Path, signer: NoteSigner) -> Result<Writer, RecordFault> {
    let origin = signer.verifier().name().to_owned();
    let reader = RecordReader::open(folder);
    let (note, _) = reader.checkpoint()?;
    let (checkpoint, _) = Checkpoint::verify(&note, &origin, signer.verifier())?;
    let published = published_end(&reader, &checkpoint)?;
    let mut frontier = Frontier::read(checkpoint.size, &reader.tree(checkpoint.size))?;
    if frontier.root() != checkpoint.root {
        return Err(RecordRejected::Changed { what: TILES.to_owned() }.into());
    }
    let bytes = match journal::read(folder)? {
        Some(bytes) => bytes,
        None => {
            // Deleted, or never restored: what was in it and not in tiles is lost, and a witness will see that. Going on is
            // not ours to decide.
            return Err(RecordRejected::Missing {
                what: crate::layout::JOURNAL.to_owned(),
            }
            .into());
        }
    };
    let (frames, at) = journal::scan(&bytes, checkpoint.size)?;
    let mut last = String::from_utf8_lossy(&note).into_owned();
    let mut waiting = Vec::new();
    for frame in frames {
        for entry in decode_bundle_frame(&frame.body)? {
            let leaf = leaf_hash(entry);
            frontier.push(leaf);
            waiting.push(Durable {
                bytes: entry.into(),
                leaf,
            });
        }
        let (signed, _) = Checkpoint::verify(&frame.note, &origin, signer.verifier())?;
        if signed.size != frontier.size() || signed.root != frontier.root() {
            return Err(RecordRejected::Changed {
                what: crate::layout::JOURNAL.to_owned(),
            }
            .into());
        }
        last = String::from_utf8_lossy(&frame.note).into_owned();
    }
    let tail = Tail {
        size: frontier.size(),
        root: frontier.root(),
        note: last.clone(),
        published: published.size,
        waiting: waiting.iter().map(|entry| entry.bytes.clone()).collect(),
        trouble: None,
    };
    Ok(Writer {
        root: folder.to_path_buf(),
        signer,
        journal: Journal::open(folder, at)?,
        published,
        frontier,
        waiting,
        note: last,
        tail: Arc::new(RwLock::new(tail)),
        broken: None,
    })
}

/// The entries of a frame, of which there may be more than of a bundle.
pub(crate) fn decode_bundle_frame(body: &[u8]) -> Result<Vec<&[u8]>, RecordRejected> {
    let changed = || RecordRejected::Changed {
        what: crate::layout::JOURNAL.to_owned(),
    };
    let mut entries = Vec::new();
    let mut rest = body;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or_else(changed)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(changed()) }
}

/// The unfinished tiles and the unfinished bundle under `checkpoint`, checked against each other.
fn published_end(reader: &RecordReader, checkpoint: &Checkpoint) -> Result<Published, RecordFault> {
    let size = checkpoint.size;
    let mut edge = Edge::default();
    for level in 0u8..8 {
        let nodes = size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
        if nodes == 0 {
            break;
        }
        let index = nodes / WIDTH;
        let hashes = if nodes.is_multiple_of(WIDTH) {
            Vec::new()
        } else {
            reader.tile(level, index, size)?
        };
        edge.levels.push(Unfinished { index, hashes });
    }
    let mut bundle = Vec::new();
    if !size.is_multiple_of(WIDTH) {
        let index = size / WIDTH;
        let bytes = reader.bundle(index, size)?;
        let width = width_at(0, index, size);
        let name = freehold_record::tile::bundle_path(index, width);
        let entries = decode_bundle(&bytes, width, &name)?;
        let leaves = edge
            .levels
            .first()
            .map(|tile| tile.hashes.as_slice())
            .unwrap_or_default();
        for (at, (entry, leaf)) in entries.iter().zip(leaves).enumerate() {
            if leaf_hash(entry) != *leaf {
                let number = index
                    .saturating_mul(WIDTH)
                    .saturating_add(u64::try_from(at).unwrap_or(0));
                return Err(RecordRejected::Changed {
                    what: format!("entry {number}"),
                }
                .into());
            }
            freehold_record::tile::push_entry(&mut bundle, entry)?;
        }
    }
    Ok(Published { size, edge, bundle })
}

//! Checking a whole log in a folder: what an auditor does with a copy, offline.
//!
//! Refuses to stop at the first fault and to believe a tile: every hash is computed again from the entries. Invariant: a report
//! without findings means that the entries are exactly those under the signed checkpoint.

use std::path::Path;

use freehold_record::tile::{WIDTH, bundle_path, decode_bundle, tile_path, width_at};
use freehold_record::{Checkpoint, EntryView, Frontier, RecordRejected, VerifierKey, leaf_hash};
use freehold_trust::Sha256Digest;

use crate::edge::{Edge, FullTile};
use crate::fault::RecordFault;
use crate::journal;
use crate::layout::{JOURNAL, VERIFIER, read_limited};
use crate::reader::RecordReader;
use crate::recorder::decode_bundle_frame;

/// Findings that are listed; a folder that is wrong everywhere says so a hundred times and then stops.
const FINDINGS: usize = 100;

/// Where the key came from that the checkpoint was checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// From the caller: the record is the one that the caller asked about.
    Given,
    /// From the folder itself: whoever wrote the folder may have written the key. The record hangs together, nothing more.
    Folder,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable code.
    pub code: &'static str,
    /// One line.
    pub message: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderReport {
    /// The log's name, from its checkpoint.
    pub origin: String,
    /// Entries that were checked, journal included.
    pub entries: u64,
    /// How many of them are only in the journal.
    pub in_journal: u64,
    /// The root over them.
    pub root: Sha256Digest,
    /// Where the key came from.
    pub key: KeySource,
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
}

impl FolderReport {
    fn add(&mut self, rejected: &RecordRejected) {
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding {
                code: rejected.code(),
                message: rejected.to_string(),
            });
        }
    }
}

/// Checks the log in `folder` with `key` (whose name is the log's origin), or with the folder's own key when there is none.
///
/// # Errors
/// `record.files` when a file cannot be read and `record.truncated` when there is no checkpoint or no key at all: could not
/// tell. Everything else is a finding.
pub fn verify_folder(folder: &Path, key: Option<&VerifierKey>) -> Result<FolderReport, RecordFault> {
    let (key, source) = match key {
        Some(key) => (key.clone(), KeySource::Given),
        None => {
            let missing = || RecordRejected::Missing {
                what: VERIFIER.to_owned(),
            };
            let text = read_limited(&folder.join(VERIFIER), 4096)?.ok_or_else(missing)?;
            (
                VerifierKey::parse(String::from_utf8_lossy(&text).trim_end())?,
                KeySource::Folder,
            )
        }
    };
    let reader = RecordReader::open(folder);
    let mut report = FolderReport {
        origin: key.name().to_owned(),
        entries: 0,
        in_journal: 0,
        root: freehold_record::empty_root(),
        key: source,
        findings: Vec::new(),
    };
    let signed = match reader.checkpoint() {
        Ok((note, _)) => Checkpoint::verify(&note, key.name(), &key),
        Err(RecordFault::Rejected(rejected)) => Err(rejected),
        Err(other) => return Err(other),
    };
    let checkpoint = match signed {
        Ok((checkpoint, _)) => checkpoint,
        Err(rejected) => {
            report.add(&rejected);
            return Ok(report);
        }
    };
    let mut walk = Walk {
        reader: &reader,
        size: checkpoint.size,
        frontier: Frontier::new(),
        edge: Edge::default(),
    };
    let complete = walk.published(&mut report)?;
    report.entries = walk.frontier.size();
    report.root = walk.frontier.root();
    if complete && report.root != checkpoint.root {
        report.add(&RecordRejected::Changed {
            what: "root over all entries".to_owned(),
        });
    }
    if report.findings.is_empty() {
        walk.journal(folder, &key, &mut report)?;
        report.entries = walk.frontier.size();
        report.root = walk.frontier.root();
    }
    Ok(report)
}

struct Walk<'r> {
    reader: &'r RecordReader,
    size: u64,
    frontier: Frontier,
    edge: Edge,
}

impl Walk<'_> {
    /// Recomputes everything under the checkpoint; whether all entries could be read.
    fn published(&mut self, report: &mut FolderReport) -> Result<bool, RecordFault> {
        let bundles = self.size.div_ceil(WIDTH);
        let mut complete = true;
        for index in 0..bundles {
            let width = width_at(0, index, self.size);
            let name = bundle_path(index, width);
            let leaves = self.tile(0, index, report)?;
            let bytes = match self.reader.bundle(index, self.size) {
                Ok(bytes) => bytes,
                Err(RecordFault::Rejected(rejected)) => {
                    report.add(&rejected);
                    complete = false;
                    continue;
                }
                Err(other) => return Err(other),
            };
            let entries = match decode_bundle(&bytes, width, &name) {
                Ok(entries) => entries,
                Err(rejected) => {
                    report.add(&rejected);
                    complete = false;
                    continue;
                }
            };
            let mut full = Vec::new();
            let first = index.saturating_mul(WIDTH);
            for (at, entry) in (0usize..).zip(entries.iter().take(usize::try_from(width).unwrap_or(0))) {
                let leaf = leaf_hash(entry);
                let number = first.saturating_add(u64::try_from(at).unwrap_or(0));
                if leaves.as_ref().is_some_and(|leaves| leaves.get(at) != Some(&leaf)) {
                    report.add(&RecordRejected::Changed {
                        what: format!("entry {number}"),
                    });
                }
                if let Err(rejected) = EntryView::parse(entry) {
                    report.add(&rejected);
                }
                self.frontier.push(leaf);
                self.edge.push(leaf, &mut full);
            }
            if complete {
                for FullTile { level, index, hashes } in full.into_iter().filter(|tile| tile.level > 0) {
                    self.compare(level, index, &hashes, report)?;
                }
            }
        }
        if complete {
            for (level, tile) in (1u8..).zip(self.edge.levels.clone().into_iter().skip(1)) {
                if !tile.hashes.is_empty() {
                    self.compare(level, tile.index, &tile.hashes, report)?;
                }
            }
        }
        Ok(complete)
    }

    fn tile(&self, level: u8, index: u64, report: &mut FolderReport) -> Result<Option<Vec<Sha256Digest>>, RecordFault> {
        match self.reader.tile(level, index, self.size) {
            Ok(hashes) => Ok(Some(hashes)),
            Err(RecordFault::Rejected(rejected)) => {
                report.add(&rejected);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn compare(
        &self,
        level: u8,
        index: u64,
        computed: &[Sha256Digest],
        report: &mut FolderReport,
    ) -> Result<(), RecordFault> {
        if let Some(stored) = self.tile(level, index, report)?
            && stored != computed
        {
            report.add(&RecordRejected::Changed {
                what: tile_path(level, index, width_at(level, index, self.size)),
            });
        }
        Ok(())
    }

    /// Goes on with what is durable and not yet in tiles.
    fn journal(&mut self, folder: &Path, key: &VerifierKey, report: &mut FolderReport) -> Result<(), RecordFault> {
        let Some(bytes) = journal::read(folder)? else {
            // A copy that was made of the published part alone has none, and is complete under its checkpoint.
            return Ok(());
        };
        let frames = match journal::scan(&bytes, self.size) {
            Ok((frames, _)) => frames,
            Err(rejected) => {
                report.add(&rejected);
                return Ok(());
            }
        };
        for frame in frames {
            let changed = || RecordRejected::Changed {
                what: JOURNAL.to_owned(),
            };
            let entries = match decode_bundle_frame(&frame.body) {
                Ok(entries) => entries,
                Err(rejected) => {
                    report.add(&rejected);
                    return Ok(());
                }
            };
            let mut ahead = self.frontier.clone();
            for entry in &entries {
                ahead.push(leaf_hash(entry));
                if let Err(rejected) = EntryView::parse(entry) {
                    report.add(&rejected);
                }
            }
            let verdict = Checkpoint::verify(&frame.note, key.name(), key).and_then(|(signed, _)| {
                if signed.size == ahead.size() && signed.root == ahead.root() {
                    Ok(())
                } else {
                    Err(changed())
                }
            });
            if let Err(rejected) = verdict {
                report.add(&rejected);
                return Ok(());
            }
            report.in_journal = report
                .in_journal
                .saturating_add(u64::try_from(entries.len()).unwrap_or(0));
            self.frontier = ahead;
        }
        Ok(())
    }
}

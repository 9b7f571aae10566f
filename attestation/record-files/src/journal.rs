//! The journal: batches of entries with the signed checkpoint over them, one after the other in a file of fixed size.
//!
//! Refuses to grow: its blocks are taken and written when the log is made, so that a full disk cannot stop the record at once
//! and a sync touches no metadata. Refuses to pass over a broken frame that has good ones behind it. Invariant: frames of one
//! run of the file share their `base`, the published size when the run began, and follow each other without a gap; what is
//! left of earlier runs has a smaller base.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use freehold_record::RecordRejected;
use freehold_trust::sha256;

use crate::fault::RecordFault;
use crate::layout::{JOURNAL, read_limited};

const MAGIC: &[u8; 8] = b"FHJRNL01";
/// Frames start at multiples of this, so that a frame behind a broken one can be found: the smallest sector of a disk.
const SECTOR: usize = 512;
const HEADER: usize = 8 + 8 + 8 + 4 + 4 + 4;
/// The largest journal that is read: bounds what a swapped file can make us load.
pub(crate) const JOURNAL_LIMIT: usize = 256 * 1024 * 1024;

/// A batch as it was made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The published size when this run of the journal began.
    pub(crate) base: u64,
    /// The index of the first entry.
    pub(crate) start: u64,
    /// The number of entries.
    pub(crate) count: u32,
    /// The signed checkpoint over everything up to the last entry.
    pub(crate) note: Vec<u8>,
    /// The entries, encoded as in a bundle.
    pub(crate) body: Vec<u8>,
}

impl Frame {
    fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(HEADER + self.note.len() + self.body.len() + 32 + SECTOR);
        out.extend_from_slice(MAGIC);
        out.extend(self.base.to_le_bytes());
        out.extend(self.start.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        out.extend(u32::try_from(self.note.len()).ok()?.to_le_bytes());
        out.extend(u32::try_from(self.body.len()).ok()?.to_le_bytes());
        out.extend_from_slice(&self.note);
        out.extend_from_slice(&self.body);
        let digest = sha256(&out);
        out.extend(digest.as_bytes());
        out.resize(out.len().next_multiple_of(SECTOR), 0);
        Some(out)
    }

    /// The frame at the start of `bytes` and its length on the disk; `None` when there is none, or it is broken.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        if magic != MAGIC {
            return None;
        }
        let (base, rest) = rest.split_first_chunk::<8>()?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (note_length, rest) = rest.split_first_chunk::<4>()?;
        let (body_length, rest) = rest.split_first_chunk::<4>()?;
        let note_length = usize::try_from(u32::from_le_bytes(*note_length)).ok()?;
        let body_length = usize::try_from(u32::from_le_bytes(*body_length)).ok()?;
        let (note, rest) = rest.split_at_checked(note_length)?;
        let (body, rest) = rest.split_at_checked(body_length)?;
        let digest = rest.first_chunk::<32>()?;
        let signed = HEADER.checked_add(note_length)?.checked_add(body_length)?;
        if sha256(bytes.get(..signed)?).as_bytes() != digest {
            return None;
        }
        let frame = Self {
            base: u64::from_le_bytes(*base),
            start: u64::from_le_bytes(*start),
            count: u32::from_le_bytes(*count),
            note: note.to_vec(),
            body: body.to_vec(),
        };
        Some((frame, signed.checked_add(32)?.next_multiple_of(SECTOR)))
    }
}

/// The frames of the present run in the journal's bytes, in order, and the offset behind them.
pub(crate) fn scan(bytes: &[u8], published: u64) -> Result<(Vec<Frame>, usize), RecordRejected> {
    let changed = || RecordRejected::Changed {
        what: JOURNAL.to_owned(),
    };
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0usize;
    let mut next = published;
    while let Some((frame, length)) = bytes.get(at..).and_then(Frame::decode) {
        if frame.base < published {
            break; // of an earlier run: all of it is in the tiles
        }
        if frame.base > published {
            // This run began when more was published than the checkpoint says now.
            return Err(RecordRejected::Truncated {
                known: frame.base,
                shown: published,
            });
        }
        if frame.start != next {
            return Err(changed());
        }
        next = next.saturating_add(u64::from(frame.count));
        at = at.saturating_add(length);
        frames.push(frame);
    }
    // One frame is written after the one before it is durable: a good frame of this run, or of a later one, behind the end
    // means that something before it was changed.
    let mut behind = at;
    while let Some(rest) = bytes.get(behind..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(MAGIC)
            && let Some((frame, _)) = Frame::decode(rest)
            && frame.base >= published
        {
            return Err(changed());
        }
        behind = behind.saturating_add(SECTOR);
    }
    Ok((frames, at))
}

/// The bytes of the journal in `root`; `None` when there is none.
pub(crate) fn read(root: &Path) -> Result<Option<Vec<u8>>, RecordFault> {
    read_limited(&root.join(JOURNAL), JOURNAL_LIMIT)
}

/// The open journal of a writer.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    size: usize,
    at: usize,
}

impl Journal {
    /// Makes the journal with all its blocks, `size` bytes of zeros.
    pub(crate) fn create(root: &Path, size: usize) -> Result<(), RecordFault> {
        let path = root.join(JOURNAL);
        let fault = |source| RecordFault::files(&path, source);
        let mut file = File::create(&path).map_err(fault)?;
        let zeros = vec![0u8; 64 * 1024];
        let mut left = size.next_multiple_of(SECTOR);
        while left > 0 {
            let piece = zeros.get(..left.min(zeros.len())).unwrap_or(&zeros);
            file.write_all(piece).map_err(fault)?;
            left = left.saturating_sub(piece.len());
        }
        file.sync_all().map_err(fault)
    }

    /// Opens it for writing at offset `at`.
    pub(crate) fn open(root: &Path, at: usize) -> Result<Self, RecordFault> {
        let path = root.join(JOURNAL);
        let fault = |source| RecordFault::files(&path, source);
        let file = File::options().write(true).open(&path).map_err(fault)?;
        let size = file.metadata().map_err(fault)?.len();
        Ok(Self {
            file,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            at,
            path,
        })
    }

    /// Bytes that are left in this run.
    pub(crate) fn room(&self) -> usize {
        self.size.saturating_sub(self.at)
    }

    /// What a batch with these lengths takes.
    pub(crate) fn needed(note: usize, body: usize) -> usize {
        HEADER
            .saturating_add(note)
            .saturating_add(body)
            .saturating_add(32)
            .next_multiple_of(SECTOR)
    }

    /// Starts a new run: everything in the journal is published.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
    }

    /// Writes a frame and makes it durable.
    pub(crate) fn append(&mut self, frame: &Frame) -> Result<(), RecordFault> {
        let fault = |source| RecordFault::files(&self.path, source);
        let bytes = frame.encode().filter(|bytes| bytes.len() <= self.room());
        let bytes = bytes.ok_or_else(|| fault(ErrorKind::StorageFull.into()))?;
        let at = u64::try_from(self.at).unwrap_or(u64::MAX);
        self.file.write_all_at(&bytes, at).map_err(fault)?;
        self.file.sync_data().map_err(fault)?;
        self.at = self.at.saturating_add(bytes.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(base: u64, start: u64, body: &[u8]) -> Frame {
        Frame {
            base,
            start,
            count: 1,
            note: b"note".to_vec(),
            body: body.to_vec(),
        }
    }

    fn journal(frames: &[Frame]) -> Vec<u8> {
        let mut bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().unwrap()).collect();
        bytes.resize(bytes.len() + 4096, 0);
        bytes
    }

    #[test]
    fn i07_a_frame_torn_at_any_byte_is_the_end_and_the_ones_before_it_stay() {
        let frames = [frame(0, 0, &[1; 700]), frame(0, 1, &[2; 600])];
        let whole = journal(&frames);
        let second = frames[0].encode().unwrap().len();
        let end = second + HEADER + 4 + 600 + 32;
        for torn in second..end {
            for rest in [0u8, 0xff] {
                let mut bytes = whole.clone();
                bytes[torn..end].fill(rest);
                if bytes == whole {
                    continue;
                }
                let (found, at) = scan(&bytes, 0).unwrap();
                assert_eq!((found.as_slice(), at), (&frames[..1], second), "torn at {torn}");
            }
        }
        assert_eq!(scan(&whole, 0).unwrap().0, frames);
    }

    #[test]
    fn i07_what_is_left_of_an_earlier_run_is_not_read() {
        let mut bytes = journal(&[frame(0, 0, &[1; 700]), frame(0, 1, &[1; 700]), frame(0, 2, &[1; 700])]);
        let new = frame(3, 3, &[2; 10]).encode().unwrap();
        bytes[..new.len()].copy_from_slice(&new);
        let (found, at) = scan(&bytes, 3).unwrap();
        assert_eq!((found.len(), at), (1, new.len()));
        // The crash between publishing and the first frame of the new run.
        assert_eq!(scan(&journal(&[frame(0, 0, &[1; 700])]), 1).unwrap().0, []);
    }

    #[test]
    fn i02_a_changed_frame_before_a_good_one_is_found() {
        let mut bytes = journal(&[frame(0, 0, &[1; 700]), frame(0, 1, &[2; 600])]);
        bytes[100] ^= 1;
        assert_eq!(scan(&bytes, 0).unwrap_err().code(), "record.changed");
    }

    #[test]
    fn i02_a_checkpoint_older_than_the_journal_is_found() {
        assert_eq!(
            scan(&journal(&[frame(9, 9, &[1; 7])]), 4).unwrap_err().code(),
            "record.truncated"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_no_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..3000), magic in proptest::bool::ANY) {
            if magic && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(MAGIC);
            }
            let _ = scan(&bytes, 0);
        }
    }
}

//! The handle that programs hold: append, look, prove.
//!
//! Refuses a second writer on the same folder, and to open a log whose end is not what was signed. Invariant: clones share one
//! writer; when the last one goes, everything is in tiles and the lock is free.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use freehold_record::tile::{ENTRY_LIMIT, WIDTH, decode_bundle, width_at};
use freehold_record::{Checkpoint, Entry, Frontier, NoteSigner, RecordRejected, VerifierKey, empty_root, leaf_hash};
use freehold_trust::Sha256Digest;

use crate::edge::{Edge, Unfinished};
use crate::fault::RecordFault;
use crate::journal::{self, Journal};
use crate::layout::{CHECKPOINT, LOCK, TILES, VERIFIER, sync_folders, write_whole};
use crate::pending::{Pending, Receipt, pending};
use crate::publish::{Durable, Published};
use crate::reader::RecordReader;
use crate::writer::{BATCH_BYTES, Request, Tail, Writer};

/// Requests that may wait for the writer before the next caller does.
const QUEUE: usize = 16 * 1024;

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the journal, taken when the log is made and kept from then on: the room that is reserved for the record on a
    /// full disk.
    pub journal_bytes: usize,
}

impl Default for Options {
    /// 4 MiB: some ten thousand entries.
    fn default() -> Self {
        Self { journal_bytes: 4 * 1024 * 1024 }
    }
}

/// The end of the log at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Entries that are durable.
    pub size: u64,
    /// The root over them.
    pub root: Sha256Digest,
    /// The signed checkpoint over them.
    pub note: String,
}

/// A log that is open for writing. Cheap to clone; all clones write to the same log.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Mutex<Option<SyncSender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    tail: Arc<RwLock<Tail>>,
    reader: RecordReader,
    verifier: VerifierKey,
    folder: PathBuf,
    _lock: File,
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Recorder {
    /// Opens the log in `folder`, or makes it. Its origin is the signer's name.
    ///
    /// # Errors
    /// `record.in_use`; `record.truncated`, `record.changed`, `record.signature`, `record.other_origin` and their kin when the
    /// log is not what was signed; `record.files`.
    pub fn open(folder: &Path, signer: NoteSigner, options: Options) -> Result<Self, RecordFault> {
        let fault = |source| RecordFault::files(folder, source);
        fs::create_dir_all(folder).map_err(fault)?;
        let lock = lock(folder)?;
        if !folder.join(CHECKPOINT).exists() {
            create(folder, &signer, options)?;
        }
        let verifier = signer.verifier().clone();
        let writer = reopen(folder, signer)?;
        let tail = writer.tail.clone();
        let (send, receive) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || writer.run(&receive))
            .map_err(fault)?;
        Ok(Self(Arc::new(Inner {
            requests: Mutex::new(Some(send)),
            thread: Mutex::new(Some(thread)),
            tail,
            reader: RecordReader::open(folder),
            verifier,
            folder: folder.to_path_buf(),
            _lock: lock,
        })))
    }

    /// Appends an entry and blocks until it is durable. Tasks use [`Recorder::submit`].
    ///
    /// # Errors
    /// Those of [`Entry::encode`]; `record.not_durable`: the action must not happen.
    pub fn append(&self, entry: &Entry) -> Result<Receipt, RecordFault> {
        self.submit(entry)?.wait()
    }

    /// Hands an entry to the writer; the returned value blocks or is awaited.
    ///
    /// # Errors
    /// Those of [`Entry::encode`]; `record.not_durable` when the writer has stopped.
    pub fn submit(&self, entry: &Entry) -> Result<Pending, RecordFault> {
        self.submit_bytes(entry.encode()?)
    }

    /// As [`Recorder::submit`], for bytes that are an entry already.
    ///
    /// # Errors
    /// `record.entry_too_large`; `record.not_durable` when the writer has stopped.
    pub fn submit_bytes(&self, bytes: Vec<u8>) -> Result<Pending, RecordFault> {
        if bytes.len() > ENTRY_LIMIT {
            return Err(RecordRejected::EntryTooLarge { found: bytes.len(), limit: ENTRY_LIMIT }.into());
        }
        let (promise, pending) = pending();
        self.send(Request::Append(bytes, promise))?;
        Ok(pending)
    }

    /// Moves everything that is durable into tiles, for proofs and for readers of the folder.
    ///
    /// # Errors
    /// `record.not_durable` when the disk is full or broken.
    pub fn publish(&self) -> Result<Head, RecordFault> {
        let (promise, pending) = pending();
        self.send(Request::Publish(promise))?;
        pending.wait()?;
        Ok(self.head())
    }

    /// The end of the log at present. Its checkpoint is what goes into evidence and to witnesses.
    #[must_use]
    pub fn head(&self) -> Head {
        let tail = self.0.tail.read().unwrap_or_else(PoisonError::into_inner);
        Head { size: tail.size, root: tail.root, note: tail.note.clone() }
    }

    /// What is wrong with the disk at present, if anything: entries are refused, or durable and not yet in tiles.
    #[must_use]
    pub fn trouble(&self) -> Option<RecordFault> {
        self.0.tail.read().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// The key that the log's checkpoints verify with; its name is the origin.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// The log's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The durable entries `start..end` with their numbers, as far as they are there.
    ///
    /// # Errors
    /// `record.truncated`, `record.tile_malformed`, `record.files` when published ones cannot be read.
    pub fn entries(&self, start: u64, end: u64) -> Result<Vec<(u64, Vec<u8>)>, RecordFault> {
        let (published, size, waiting) = {
            let tail = self.0.tail.read().unwrap_or_else(PoisonError::into_inner);
            let skip = usize::try_from(start.saturating_sub(tail.published)).unwrap_or(usize::MAX);
            let take = usize::try_from(end.min(tail.size).saturating_sub(start.max(tail.published))).unwrap_or(0);
            let waiting: Vec<_> = tail.waiting.iter().skip(skip).take(take).cloned().collect();
            (tail.published, tail.size, waiting)
        };
        let mut found = Vec::new();
        if start < published {
            let read = self.0.reader.entries(start, end.min(published), published)?;
            found.extend((start..).zip(read));
        }
        if end.min(size) > published {
            found.extend((start.max(published)..).zip(waiting.iter().map(|entry| entry.to_vec())));
        }
        Ok(found)
    }

    /// The last `count` entries, oldest first.
    ///
    /// # Errors
    /// As [`Recorder::entries`].
    pub fn latest(&self, count: u64) -> Result<Vec<(u64, Vec<u8>)>, RecordFault> {
        let size = self.head().size;
        self.entries(size.saturating_sub(count), size)
    }

    /// Publishes, and gives the signed checkpoint with the proof that the tree of `old` entries is its beginning: what a
    /// witness asks for.
    ///
    /// # Errors
    /// `record.truncated` when `old` is above the log's size; `record.not_durable`, `record.files`.
    pub fn checkpoint_since(&self, old: u64) -> Result<(Vec<u8>, Vec<Sha256Digest>), RecordFault> {
        self.publish()?;
        let (note, checkpoint) = self.0.reader.checkpoint()?;
        let proof = self.0.reader.consistency(old, checkpoint.size)?;
        Ok((note, proof))
    }

    /// A reader of the published part.
    #[must_use]
    pub fn reader(&self) -> &RecordReader {
        &self.0.reader
    }

    fn send(&self, request: Request) -> Result<(), RecordFault> {
        let sender = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.ok_or_else(RecordFault::stopped)?.send(request).map_err(|_| RecordFault::stopped())
    }
}

fn lock(folder: &Path) -> Result<File, RecordFault> {
    let path = folder.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| RecordFault::files(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(RecordFault::InUse { folder: folder.display().to_string() }),
        Err(std::fs::TryLockError::Error(source)) => Err(RecordFault::files(&path, source)),
    }
}

/// A new log: journal, verifier, and last the checkpoint of size 0. A folder with tiles and no checkpoint is no new log.
fn create(folder: &Path, signer: &NoteSigner, options: Options) -> Result<(), RecordFault> {
    if folder.join(TILES).exists() {
        return Err(RecordRejected::Missing { what: CHECKPOINT.to_owned() }.into());
    }
    if let Some(bytes) = journal::read(folder)? {
        // Left by a creation that was cut short, unless it has frames.
        let (frames, _) = journal::scan(&bytes, 0)?;
        if !frames.is_empty() {
            return Err(RecordRejected::Missing { what: CHECKPOINT.to_owned() }.into());
        }
    }
    Journal::create(folder, options.journal_bytes.max(BATCH_BYTES.saturating_mul(2)))?;
    let mut touched = std::collections::BTreeSet::new();
    write_whole(folder, VERIFIER, format!("{}\n", signer.verifier()).as_bytes(), &mut touched)?;
    sync_folders(&touched)?;
    let empty = Checkpoint::new(signer.verifier().name(), 0, empty_root()).sign(signer)?;
    write_whole(folder, CHECKPOINT, empty.to_string().as_bytes(), &mut touched)?;
    sync_folders(&touched)
}

/// Reads the published end, checks it against its checkpoint, and replays the journal.
fn reopen(folder: &Path, signer: NoteSigner) -> Result<Writer, RecordFault> {
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
            return Err(RecordRejected::Missing { what: crate::layout::JOURNAL.to_owned() }.into());
        }
    };
    let (frames, at) = journal::scan(&bytes, checkpoint.size)?;
    let mut last = String::from_utf8_lossy(&note).into_owned();
    let mut waiting = Vec::new();
    for frame in frames {
        for entry in decode_bundle_frame(&frame.body)? {
            let leaf = leaf_hash(entry);
            frontier.push(leaf);
            waiting.push(Durable { bytes: entry.into(), leaf });
        }
        let (signed, _) = Checkpoint::verify(&frame.note, &origin, signer.verifier())?;
        if signed.size != frontier.size() || signed.root != frontier.root() {
            return Err(RecordRejected::Changed { what: crate::layout::JOURNAL.to_owned() }.into());
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
    let changed = || RecordRejected::Changed { what: crate::layout::JOURNAL.to_owned() };
    let mut entries = Vec::new();
    let mut rest = body;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(changed)?;
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
        let hashes = if nodes.is_multiple_of(WIDTH) { Vec::new() } else { reader.tile(level, index, size)? };
        edge.levels.push(Unfinished { index, hashes });
    }
    let mut bundle = Vec::new();
    if !size.is_multiple_of(WIDTH) {
        let index = size / WIDTH;
        let bytes = reader.bundle(index, size)?;
        let width = width_at(0, index, size);
        let name = freehold_record::tile::bundle_path(index, width);
        let entries = decode_bundle(&bytes, width, &name)?;
        let leaves = edge.levels.first().map(|tile| tile.hashes.as_slice()).unwrap_or_default();
        for (at, (entry, leaf)) in entries.iter().zip(leaves).enumerate() {
            if leaf_hash(entry) != *leaf {
                let number = index.saturating_mul(WIDTH).saturating_add(u64::try_from(at).unwrap_or(0));
                return Err(RecordRejected::Changed { what: format!("entry {number}") }.into());
            }
            freehold_record::tile::push_entry(&mut bundle, entry)?;
        }
    }
    Ok(Published { size, edge, bundle })
}

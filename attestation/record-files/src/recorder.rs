//! The handle that programs hold: append, look, prove.
//!
//! Refuses a second writer on the same folder, and to open a log whose end is not what was signed. Invariant: clones share one
//! writer; when the last one goes, everything is in tiles and the lock is free.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use freehold_record::tile::ENTRY_LIMIT;
use freehold_record::{Entry, NoteSigner, RecordRejected, VerifierKey};
use freehold_trust::Sha256Digest;

use crate::fault::RecordFault;
use crate::layout::CHECKPOINT;
use crate::pending::{Pending, Receipt, pending};
use crate::reader::RecordReader;
use crate::writer::{Request, Tail};

mod open;

pub(crate) use open::decode_bundle_frame;
use open::{create, lock, reopen};

/// Requests that may wait for the writer before the next caller does.
const QUEUE: usize = 16 * 1024;

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the journal, taken when the log is made and kept from then on: the room that is reserved for the record on a
    /// full disk.
    pub journal_bytes: usize,
    /// Which entries the log takes.
    pub kinds: Kinds,
}

/// Which entries a log takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kinds {
    /// Any that are well formed: a log of something else.
    #[default]
    Any,
    /// Those that `freehold_record::schema` declares: the record of a box or a console.
    Declared,
}

impl Default for Options {
    /// 4 MiB: some ten thousand entries.
    fn default() -> Self {
        Self {
            journal_bytes: 4 * 1024 * 1024,
            kinds: Kinds::Any,
        }
    }
}

impl Options {
    /// The record of a box or a console: only entries that its schema declares.
    #[must_use]
    pub fn declared() -> Self {
        Self {
            kinds: Kinds::Declared,
            ..Self::default()
        }
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
    kinds: Kinds,
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
            kinds: options.kinds,
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
    /// Those of [`Entry::encode`]; `record.entry_unknown` and `record.entry_schema` when the log takes declared kinds only;
    /// `record.not_durable` when the writer has stopped.
    pub fn submit(&self, entry: &Entry) -> Result<Pending, RecordFault> {
        if self.0.kinds == Kinds::Declared {
            freehold_record::schema::check(entry)?;
        }
        self.submit_bytes(entry.encode()?)
    }

    /// As [`Recorder::submit`], for bytes that are an entry already.
    ///
    /// # Errors
    /// `record.entry_too_large`; `record.not_durable` when the writer has stopped.
    pub fn submit_bytes(&self, bytes: Vec<u8>) -> Result<Pending, RecordFault> {
        if bytes.len() > ENTRY_LIMIT {
            return Err(RecordRejected::EntryTooLarge {
                found: bytes.len(),
                limit: ENTRY_LIMIT,
            }
            .into());
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
        Head {
            size: tail.size,
            root: tail.root,
            note: tail.note.clone(),
        }
    }

    /// What is wrong with the disk at present, if anything: entries are refused, or durable and not yet in tiles.
    #[must_use]
    pub fn trouble(&self) -> Option<RecordFault> {
        self.0
            .tail
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .trouble
            .clone()
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
        sender
            .ok_or_else(RecordFault::stopped)?
            .send(request)
            .map_err(|_| RecordFault::stopped())
    }
}

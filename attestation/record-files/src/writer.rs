//! The one thread that writes.
//!
//! Refuses to go on after a sync that failed: what the system then holds in memory is not what is on the disk, so everything
//! that follows is `record.not_durable` until the log is opened again. Invariant: a receipt is sent after the sync that made
//! its entry durable, never before.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use freehold_record::tile::push_entry;
use freehold_record::{Checkpoint, Frontier, NoteSigner, leaf_hash};
use freehold_trust::Sha256Digest;

use crate::fault::RecordFault;
use crate::journal::{Frame, Journal};
use crate::pending::{Promise, Receipt};
use crate::publish::{Durable, Published, publish};

/// Entries are moved into tiles when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(150);
/// … or when the oldest of them has waited this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// … or when so many wait.
const CROWD: usize = 8192;
/// Entries of one batch: more would only make the first of them wait.
const BATCH: usize = 1024;
/// Bytes of one batch, so that a frame fits into the smallest journal.
pub(crate) const BATCH_BYTES: usize = 256 * 1024;
/// After a publication that failed (a full disk), the next try.
const RETRY: Duration = Duration::from_secs(2);

/// What the thread is asked.
pub(crate) enum Request {
    /// Make an entry durable.
    Append(Vec<u8>, Promise),
    /// Move everything into tiles now.
    Publish(Promise),
}

/// What everybody may know of the log at present.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Entries that are durable.
    pub(crate) size: u64,
    /// The root over them.
    pub(crate) root: Sha256Digest,
    /// The signed checkpoint over them.
    pub(crate) note: String,
    /// How many of them are in tiles.
    pub(crate) published: u64,
    /// The others.
    pub(crate) waiting: Vec<Arc<[u8]>>,
    /// Why nothing is recorded, or why tiles are not made, at present.
    pub(crate) trouble: Option<RecordFault>,
}

pub(crate) struct Writer {
    pub(crate) root: PathBuf,
    pub(crate) signer: NoteSigner,
    pub(crate) journal: Journal,
    pub(crate) published: Published,
    pub(crate) frontier: Frontier,
    pub(crate) waiting: Vec<Durable>,
    pub(crate) note: String,
    pub(crate) tail: Arc<RwLock<Tail>>,
    pub(crate) broken: Option<RecordFault>,
}

impl Writer {
    /// Works until all senders are gone, then publishes what waits.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        let mut oldest: Option<Instant> = (!self.waiting.is_empty()).then(Instant::now);
        let mut not_before: Option<Instant> = None;
        loop {
            let patience = if oldest.is_some() {
                QUIET
            } else {
                Duration::from_secs(3600)
            };
            let first = match requests.recv_timeout(patience) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.publish();
                    return;
                }
            };
            let quiet = first.is_none();
            if let Some(first) = first {
                self.batch(first, requests);
            }
            if self.waiting.is_empty() {
                oldest = None;
            } else {
                let since = *oldest.get_or_insert_with(Instant::now);
                let due = quiet || since.elapsed() >= PATIENCE || self.waiting.len() >= CROWD;
                if due && not_before.is_none_or(|at| Instant::now() >= at) {
                    match self.publish() {
                        Ok(()) => (oldest, not_before) = (None, None),
                        Err(_) => not_before = Instant::now().checked_add(RETRY),
                    }
                }
            }
        }
    }

    fn batch(&mut self, first: Request, requests: &Receiver<Request>) {
        let mut entries: Vec<(Vec<u8>, Promise)> = Vec::new();
        let mut bytes = 0usize;
        let mut next = Some(first);
        let mut publishes = Vec::new();
        while let Some(request) = next.take() {
            match request {
                Request::Append(entry, promise) => {
                    bytes = bytes.saturating_add(entry.len());
                    entries.push((entry, promise));
                }
                Request::Publish(promise) => publishes.push(promise),
            }
            if entries.len() < BATCH && bytes < BATCH_BYTES {
                next = requests.try_recv().ok();
            }
        }
        if !entries.is_empty() {
            self.commit(entries);
        }
        for promise in publishes {
            let answer = self
                .publish()
                .map(|()| self.receipt(self.frontier.size().saturating_sub(1)));
            promise.answer(answer.map_err(RecordFault::not_durable));
        }
    }

    fn receipt(&self, index: u64) -> Receipt {
        Receipt {
            index,
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    fn commit(&mut self, entries: Vec<(Vec<u8>, Promise)>) {
        let (bytes, promises): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let start = self.frontier.size();
        match self.make_durable(bytes) {
            Ok(()) => {
                let receipt = self.receipt(start);
                for (index, promise) in (start..).zip(promises) {
                    promise.answer(Ok(Receipt { index, ..receipt }));
                }
            }
            Err(fault) => {
                let fault = fault.not_durable();
                self.tail.write().unwrap_or_else(PoisonError::into_inner).trouble = Some(fault.clone());
                for promise in promises {
                    promise.answer(Err(fault.clone()));
                }
            }
        }
    }

    fn make_durable(&mut self, entries: Vec<Vec<u8>>) -> Result<(), RecordFault> {
        if let Some(fault) = &self.broken {
            return Err(fault.clone());
        }
        let start = self.frontier.size();
        let mut frontier = self.frontier.clone();
        let mut body = Vec::new();
        let mut durable = Vec::with_capacity(entries.len());
        for entry in entries {
            push_entry(&mut body, &entry)?;
            let leaf = leaf_hash(&entry);
            frontier.push(leaf);
            durable.push(Durable {
                bytes: entry.into(),
                leaf,
            });
        }
        let checkpoint = Checkpoint::new(self.signer.verifier().name(), frontier.size(), frontier.root());
        let note = checkpoint.sign(&self.signer)?.to_string();
        if Journal::needed(note.len(), body.len()) > self.journal.room() {
            // The journal is full: make room, or say that there is none. Nothing is broken then; a later entry may fit.
            self.publish()?;
        }
        let frame = Frame {
            base: self.published.size,
            start,
            count: u32::try_from(durable.len()).unwrap_or(u32::MAX),
            note: note.clone().into_bytes(),
            body,
        };
        if let Err(fault) = self.journal.append(&frame) {
            let fault = fault.not_durable();
            self.broken = Some(fault.clone());
            return Err(fault);
        }
        self.frontier = frontier;
        self.note = note;
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        tail.waiting.extend(durable.iter().map(|entry| entry.bytes.clone()));
        tail.size = self.frontier.size();
        tail.root = self.frontier.root();
        tail.note.clone_from(&self.note);
        drop(tail);
        self.waiting.extend(durable);
        Ok(())
    }

    fn publish(&mut self) -> Result<(), RecordFault> {
        if let Some(fault) = &self.broken {
            return Err(fault.clone());
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let done = publish(&self.root, &self.published, &self.waiting, self.note.as_bytes());
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(published) => {
                tail.published = published.size;
                tail.waiting.clear();
                tail.trouble = None;
                self.published = published;
                self.waiting.clear();
                self.journal.rewind();
                Ok(())
            }
            Err(fault) => {
                tail.trouble = Some(fault.clone());
                Err(fault)
            }
        }
    }
}

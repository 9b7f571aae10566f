//! The console's record: entries that are durable before the answer goes out, and cosignatures for boxes' records.
//!
//! Refuses to drop an entry: what cannot be written stops the action. Invariant: the entries of one change are handed over
//! together and all of them are waited for.

use std::future::Future;
use std::path::Path;

use freehold_fleet::Entry;
use freehold_record::{NoteSigner, RecordRejected, RefusalNote, SignedNote, cosign};
use freehold_record_files::{Options, RecordFault, RecordReader, Recorder};
use freehold_trust::SigningKey;

/// The record could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BookFault {
    /// The key cannot sign notes.
    #[error("the record's key cannot sign")]
    Key(#[source] RecordRejected),
    /// The log is not what was signed, or is in use.
    #[error("the record cannot be opened")]
    Open(#[source] RecordFault),
}

/// The record.
#[derive(Debug)]
pub struct Book {
    recorder: Recorder,
    witness: NoteSigner,
}

/// The name of a console's log and of its cosignatures.
#[must_use]
pub fn origin(fleet: &str) -> String {
    format!("freehold/console/{fleet}")
}

impl Book {
    /// Opens the record in `folder`. The key is given twice: once for the log, once for cosignatures.
    ///
    /// # Errors
    /// When the folder is in use or not what was signed.
    pub fn open(folder: &Path, fleet: &str, keys: (SigningKey, SigningKey)) -> Result<Self, BookFault> {
        let name = origin(fleet);
        let signer = NoteSigner::new(&name, keys.0).map_err(BookFault::Key)?;
        let witness = NoteSigner::new(&name, keys.1).map_err(BookFault::Key)?;
        let recorder = Recorder::open(folder, signer, Options::declared()).map_err(BookFault::Open)?;
        Ok(Self { recorder, witness })
    }

    /// Writes entries: handed over together when the future is first polled, done when all of them are durable.
    pub fn append(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), RecordFault>> + Send + use<> {
        let recorder = self.recorder.clone();
        async move {
            let handed: Vec<_> = entries.iter().map(|entry| recorder.submit(&translate(entry))).collect();
            for pending in handed {
                pending?.await?;
            }
            Ok(())
        }
    }

    /// The log.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The published part of the log.
    #[must_use]
    pub fn reader(&self) -> &RecordReader {
        self.recorder.reader()
    }

    /// The key that checkpoints verify with, as text.
    #[must_use]
    pub fn verifier(&self) -> String {
        self.recorder.verifier().to_string()
    }

    /// Signs a text that is no checkpoint, such as the list of a report's files.
    ///
    /// # Errors
    /// `record.note_malformed`.
    pub fn sign(&self, text: &str) -> Result<SignedNote, RecordRejected> {
        self.witness.sign(text)
    }

    /// The line that says that this console saw the note at `at`.
    #[must_use]
    pub fn cosignature(&self, note: &mut SignedNote, at: u64) -> String {
        cosign(note, &self.witness, at);
        let text = note.to_string();
        text.lines()
            .next_back()
            .map(|line| format!("{line}\n"))
            .unwrap_or_default()
    }
}

fn translate(entry: &Entry) -> freehold_record::Entry {
    let at_ms = entry.at.saturating_mul(1000);
    let mut out =
        freehold_record::Entry::new(at_ms, entry.who.clone(), entry.kind.clone()).with("site", entry.site.clone());
    if let Some(about) = &entry.about {
        out = out.with("about", about.clone());
    }
    for (name, value) in &entry.facts {
        out = out.with(name.clone(), value);
    }
    match &entry.code {
        Some(code) => {
            let message = freehold_explain::explain(code)
                .map(|said| said.what)
                .unwrap_or_default();
            out.refused(RefusalNote {
                code: code.clone(),
                message,
                expected: None,
                found: None,
            })
        }
        None => out,
    }
}

//! The box's record: what the supervisor did and refused, durable before anything comes of it.
//!
//! Refuses to go on when an entry is not durable. Invariant: `note` returns after the entry is on the disk.

use freehold_record::{Entry, NoteSigner, RefusalNote, Value};
use freehold_record_files::{Head, Options, Recorder};
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::RefusalReport;

use crate::clock::BoxClock;
use crate::fault::Fault;
use crate::state::State;

/// File of the record's signing key.
const KEY: &str = "keys/record.pem";

/// The record and who writes into it.
#[derive(Debug, Clone)]
pub(crate) struct Chronicle {
    recorder: Recorder,
    clock: BoxClock,
    who: String,
}

/// An entry that is being put together.
#[must_use]
pub(crate) struct Note<'a> {
    chronicle: &'a Chronicle,
    entry: Entry,
}

/// The origin of a box's record.
pub(crate) fn origin(box_id: &str) -> String {
    freehold_protocol::report::record_origin(box_id)
}

impl Chronicle {
    /// Opens the record of the box, making its key and its log on the first start.
    pub(crate) fn open(state: &State, box_id: &str, clock: &BoxClock) -> Result<Self, Fault> {
        let bad = |detail: String| Fault::State {
            path: state.path(KEY),
            detail,
        };
        let key = match state.bytes(KEY)? {
            Some(pem) => {
                let pem = String::from_utf8(pem).map_err(|_| bad("not a key".to_owned()))?;
                SigningKey::from_pkcs8_pem(&pem).map_err(|error| bad(error.to_string()))?
            }
            None => {
                let key = SigningKey::generate(KeyKind::Ed25519).map_err(|error| bad(error.to_string()))?;
                let pem = key.to_pkcs8_pem().map_err(|error| bad(error.to_string()))?;
                state.put_secret(KEY, pem.as_bytes())?;
                key
            }
        };
        let signer = NoteSigner::new(&origin(box_id), key).map_err(freehold_record_files::RecordFault::from)?;
        let recorder = Recorder::open(&state.path("record"), signer, Options::declared())?;
        Ok(Self {
            recorder,
            clock: clock.clone(),
            who: format!("box:{box_id}"),
        })
    }

    /// Begins an entry: `what` is a dotted code such as `model.admitted`.
    pub(crate) fn entry(&self, what: &str) -> Note<'_> {
        Note {
            chronicle: self,
            entry: Entry::new(self.clock.now_ms(), self.who.clone(), what),
        }
    }

    /// The record's key as a witness of other records.
    pub(crate) fn witness(&self, state: &State) -> Option<NoteSigner> {
        let pem = String::from_utf8(state.bytes(KEY).ok()??).ok()?;
        NoteSigner::new(self.recorder.verifier().name(), SigningKey::from_pkcs8_pem(&pem).ok()?).ok()
    }

    /// Where the record stands.
    pub(crate) fn head(&self) -> Head {
        self.recorder.head()
    }

    /// The public key that its heads are signed with (SPKI, DER).
    pub(crate) fn public_key(&self) -> Option<Vec<u8>> {
        let key = self.recorder.verifier().public().ok()?;
        Some(key.spki_der().to_vec())
    }

    /// The recorder itself, for requests of the gateway and proofs.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Why entries are not taken at present, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.recorder.trouble().map(|fault| fault.code().to_owned())
    }
}

impl Note<'_> {
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.entry = self.entry.with(name, value);
        self
    }

    pub(crate) fn refused(mut self, report: &RefusalReport) -> Self {
        self.entry = self.entry.refused(RefusalNote {
            code: report.code.clone(),
            message: report.message.clone(),
            expected: report.expected.clone(),
            found: report.found.clone(),
        });
        self
    }

    /// Writes it; answers its index once it is durable.
    pub(crate) async fn write(self) -> Result<u64, Fault> {
        Ok(self.chronicle.recorder.submit(&self.entry)?.await?.index)
    }
}

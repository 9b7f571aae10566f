//! A log as data for people: `freehold-inspect log --json` and the console's event table.
//!
//! Refuses raw bytes: texts are printable and bounded. Invariant: one row per event, in the log's order, with its index.

use std::collections::BTreeMap;

use freehold_trust::HashAlgorithm;
use serde::{Deserialize, Serialize};

use super::event::DataCheck;
use super::parse::EventLog;
use crate::tpm::algorithm;

/// A log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// The announced banks, by name.
    pub banks: Vec<String>,
    /// The replayed value of each PCR that an event extended, hexadecimal, by bank.
    pub pcrs: BTreeMap<String, BTreeMap<u8, String>>,
    /// The events.
    pub events: Vec<EventReport>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReport {
    /// Its place in the log, from 0.
    pub index: usize,
    /// The PCR.
    pub pcr: u8,
    /// Its type by name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests by bank, hexadecimal.
    pub digests: BTreeMap<String, String>,
    /// What it says it is.
    pub description: String,
    /// Whether the digest covers what is shown: true, false (it must and does not), or null (it never does for this type).
    pub verified: Option<bool>,
}

impl EventLog<'_> {
    /// The log as data for people.
    #[must_use]
    pub fn report(&self) -> LogReport {
        let hashes = [
            HashAlgorithm::Sha1,
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ];
        let replays = hashes.iter().filter_map(|hash| self.replay(*hash));
        let pcrs = replays.map(|replay| {
            let values = replay
                .extended
                .iter()
                .filter_map(|pcr| Some((pcr, hex::encode(replay.value(pcr)?))));
            (replay.hash.name().to_owned(), values.collect())
        });
        let events = self.events().iter().map(|event| EventReport {
            index: event.index,
            pcr: event.pcr,
            kind: event.kind.to_string(),
            digests: event
                .digests()
                .map(|(id, digest)| (algorithm::name(id), hex::encode(digest)))
                .collect(),
            description: event.describe(),
            verified: match event.check_data() {
                DataCheck::Matches => Some(true),
                DataCheck::Differs => Some(false),
                DataCheck::NotCovered => None,
            },
        });
        LogReport {
            banks: self.banks().iter().map(|bank| algorithm::name(bank.id)).collect(),
            pcrs: pcrs.collect(),
            events: events.collect(),
        }
    }
}

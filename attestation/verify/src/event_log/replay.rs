//! Replay: what the PCRs must hold if the log is the truth.
//!
//! Refuses banks that the log does not announce. Invariant: `EV_NO_ACTION` changes nothing; PCR 0 starts with the startup
//! locality in its last byte; PCRs 17 to 22 start as all ones (dynamic root of trust), all others as zeros.

use freehold_trust::{HashAlgorithm, Sha256Digest};

use super::parse::EventLog;
use crate::boot::manifest::extend;
use crate::tpm::algorithm;
use crate::tpm::selection::{PCRS, PcrSet};

/// PCRs of one bank after a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The bank.
    pub hash: HashAlgorithm,
    /// The PCRs that some event extended.
    pub extended: PcrSet,
    values: Vec<Vec<u8>>,
}

impl Replay {
    /// The value of a PCR, extended or not; `None` from 24 upwards.
    #[must_use]
    pub fn value(&self, pcr: u8) -> Option<&[u8]> {
        self.values.get(usize::from(pcr)).map(Vec::as_slice)
    }
}

const fn starts_as_ones(pcr: u8) -> bool {
    pcr >= 17 && pcr <= 22
}

impl EventLog<'_> {
    /// Replays one bank; `None` when the log does not announce it.
    #[must_use]
    pub fn replay(&self, hash: HashAlgorithm) -> Option<Replay> {
        let id = algorithm::hash_id(hash);
        self.banks().iter().find(|bank| bank.id == id)?;
        let mut values: Vec<Vec<u8>> = (0..PCRS)
            .map(|pcr| vec![if starts_as_ones(pcr) { 0xff } else { 0 }; hash.digest_len()])
            .collect();
        if let (Some(locality), Some(last)) = (self.startup_locality(), values.first_mut().and_then(|v| v.last_mut())) {
            *last = locality;
        }
        let mut extended = Vec::new();
        for event in self.events().iter().filter(|event| event.extends()) {
            if let (Some(value), Some(digest)) = (values.get_mut(usize::from(event.pcr)), event.digest(id)) {
                *value = hash.hash_parts(&[value, digest]);
                extended.push(event.pcr);
            }
        }
        Some(Replay {
            hash,
            extended: PcrSet::of(&extended),
            values,
        })
    }

    /// The SHA-256 bank, without allocation; PCRs keep their first value when the log has no such bank.
    #[must_use]
    pub fn replay_sha256(&self) -> [Sha256Digest; 24] {
        let mut values = [Sha256Digest::default(); 24];
        for (pcr, value) in (0..PCRS).zip(values.iter_mut()) {
            if starts_as_ones(pcr) {
                *value = Sha256Digest::from_bytes([0xff; 32]);
            }
        }
        if let (Some(locality), Some(zero)) = (self.startup_locality(), values.first_mut()) {
            let mut bytes = [0; 32];
            bytes[31] = locality;
            *zero = Sha256Digest::from_bytes(bytes);
        }
        for event in self.events().iter().filter(|event| event.extends()) {
            if let (Some(value), Some(digest)) = (values.get_mut(usize::from(event.pcr)), event.sha256()) {
                *value = extend(value, digest);
            }
        }
        values
    }
}

//! The manifest of an OS release: which events, or which values, a verifier must see in which PCR.
//!
//! Refuses unknown fields, other versions and PCRs beyond 23. Invariant: a PCR without a rule is "not covered", which is
//! not "matches".

use std::collections::BTreeMap;

use freehold_trust::Sha256Digest;
use freehold_trust::digest::{Sha256Hasher, sha256};
use serde::{Deserialize, Serialize};

use super::difference::BootRejection;
use crate::tpm::PcrSet;
use crate::tpm::selection::PCRS;

/// Longest manifest: one of 300 events takes 60 KiB; bounds parsing.
pub const MAX_MANIFEST: usize = 1024 * 1024;

/// What a verifier must see of one OS release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub v: u8,
    /// Name of the OS release.
    pub release: String,
    /// Its version.
    pub version: String,
    /// The log was made by this project's generator: it proves no firmware.
    pub simulated: bool,
    /// Development signing keys are used: a red bar on every page.
    pub development_keys: bool,
    /// Secure Boot is on when the rules hold.
    pub secure_boot: bool,
    /// The boot phase that must have been reached and not left: `ready`.
    pub phase: String,
    /// What must be seen, by PCR.
    pub pcrs: BTreeMap<u8, PcrRule>,
    /// Hashes of programs that the machine's own list of forbidden programs must name: the least that a fleet demands of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<Sha256Digest>,
}

/// What must be seen in one PCR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PcrRule {
    /// Exactly these events, in this order.
    Events(Vec<ExpectedEvent>),
    /// This value, whatever the events; all zeros for a PCR that must be untouched.
    Value(Sha256Digest),
    /// The value after each phase; the one of the manifest's phase must be there.
    Phases(Vec<PhaseValue>),
}

/// One event that must be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEvent {
    /// Event type by name, for people: the digest decides.
    #[serde(rename = "type")]
    pub kind: String,
    /// SHA-256 digest that is extended.
    pub digest: Sha256Digest,
    /// What it is, for people.
    pub description: String,
}

/// A PCR's value after a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseValue {
    /// The phase's word.
    pub phase: String,
    /// The value after it.
    pub value: Sha256Digest,
}

impl Manifest {
    /// Reads a manifest from JSON.
    ///
    /// # Errors
    /// [`BootRejection::Manifest`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BootRejection> {
        let refused = BootRejection::Manifest;
        if bytes.len() > MAX_MANIFEST {
            return Err(refused(format!(
                "{} bytes, at most {MAX_MANIFEST} are read",
                bytes.len()
            )));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        if manifest.v != 1 {
            return Err(refused(format!("version {}, known is 1", manifest.v)));
        }
        if let Some(index) = manifest.pcrs.keys().find(|index| **index >= PCRS) {
            return Err(refused(format!("PCR {index}, a platform has {PCRS}")));
        }
        Ok(manifest)
    }

    /// The manifest as JSON, for people to read too.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and digests under integer keys: this cannot fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// The PCRs that have a rule.
    #[must_use]
    pub fn covered(&self) -> PcrSet {
        PcrSet::of(&self.pcrs.keys().copied().collect::<Vec<_>>())
    }
}

impl PcrRule {
    /// The value that the PCR must have when `phase` is the last one reached; `None` when the rule does not know the phase.
    #[must_use]
    pub fn value(&self, phase: &str) -> Option<Sha256Digest> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Phases(values) => values.iter().find(|v| v.phase == phase).map(|v| v.value),
            Self::Events(events) => Some(events.iter().fold(Sha256Digest::default(), |value, event| {
                extend(&value, event.digest.as_bytes())
            })),
        }
    }
}

/// A PCR after `digest` was extended into it: SHA-256(old value, digest).
#[must_use]
pub fn extend(value: &Sha256Digest, digest: &[u8]) -> Sha256Digest {
    // One call over one array is twice as fast as a hasher, and a replay is hundreds of these.
    if let Ok(digest) = <&[u8; 32]>::try_from(digest) {
        let mut both = [0; 64];
        let (old, new) = both.split_at_mut(32);
        old.copy_from_slice(value.as_bytes());
        new.copy_from_slice(digest);
        return sha256(&both);
    }
    let mut hasher = Sha256Hasher::new();
    hasher.update(value.as_bytes());
    hasher.update(digest);
    hasher.finish()
}

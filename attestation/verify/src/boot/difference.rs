//! How a boot differs from its manifest, naming PCR and event: what the console shows.
//!
//! Refuses to say more than the log and the manifest hold; descriptions come from the manifest where it has one. Invariant:
//! one code per kind of difference.

use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::rejection::Refusal;

/// How one PCR compares with the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PcrOutcome {
    /// The quoted value is the expected one.
    Matches,
    /// It is not.
    Differs(Difference),
    /// The manifest says nothing about this PCR.
    NotCovered,
}

/// The first difference in a PCR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The code: `boot.event`, `boot.log_mismatch`, …
    pub code: String,
    /// Index of the event in the log, counted from 0, where there is one.
    pub event: Option<usize>,
    /// Event type by name, where there is an event.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What the event is, for people.
    pub description: Option<String>,
    /// Expected digest or value.
    pub expected: Option<Sha256Digest>,
    /// Found digest or value.
    pub found: Option<Sha256Digest>,
}

/// One way in which a boot is not what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BootRejection {
    /// The manifest itself cannot be read.
    #[error("the boot manifest cannot be read: {0}")]
    Manifest(String),
    /// No manifest for the release that the box says it booted.
    #[error("no manifest for OS release `{release}` version `{version}`")]
    UnknownRelease {
        /// The claimed release.
        release: String,
        /// The claimed version.
        version: String,
    },
    /// The log does not replay to the quoted value.
    #[error("the boot log does not lead to the quoted value of PCR {pcr}")]
    LogMismatch {
        /// The PCR.
        pcr: u8,
        /// What the log replays to.
        expected: Sha256Digest,
        /// What the TPM quoted.
        found: Sha256Digest,
    },
    /// An event is another than expected.
    #[error("event {event} in PCR {pcr}, `{description}`, is not the expected one")]
    Event {
        /// The PCR.
        pcr: u8,
        /// Index in the log.
        event: usize,
        /// Event type by name.
        kind: String,
        /// What it is.
        description: String,
        /// Expected digest.
        expected: Sha256Digest,
        /// Found digest.
        found: Sha256Digest,
    },
    /// An event is missing at the end.
    #[error("PCR {pcr} lacks the event `{description}`")]
    EventMissing {
        /// The PCR.
        pcr: u8,
        /// Event type by name.
        kind: String,
        /// What it is.
        description: String,
        /// Expected digest.
        expected: Sha256Digest,
    },
    /// There is an event too many at the end.
    #[error("event {event} in PCR {pcr}, `{description}`, is one too many")]
    EventExtra {
        /// The PCR.
        pcr: u8,
        /// Index in the log.
        event: usize,
        /// Event type by name.
        kind: String,
        /// What it is.
        description: String,
        /// Its digest.
        found: Sha256Digest,
    },
    /// A PCR has another value than expected.
    #[error("PCR {pcr} does not have the expected value")]
    Value {
        /// The PCR.
        pcr: u8,
        /// Expected value.
        expected: Sha256Digest,
        /// Quoted value.
        found: Sha256Digest,
    },
    /// The PCR stands at another boot phase.
    #[error("PCR {pcr} stands at phase `{found_phase}`, expected `{expected_phase}`")]
    Phase {
        /// The PCR.
        pcr: u8,
        /// The phase that must be reached.
        expected_phase: String,
        /// The phase whose value was quoted.
        found_phase: String,
        /// Expected value.
        expected: Sha256Digest,
        /// Quoted value.
        found: Sha256Digest,
    },
    /// A PCR that the manifest covers was not quoted.
    #[error("PCR {pcr} has a rule in the manifest and was not quoted")]
    NotQuoted {
        /// The PCR.
        pcr: u8,
    },
    /// An event whose digest must be the digest of its data, and is not.
    #[error("the data of event {event} in PCR {pcr}, `{description}`, is not what its digest says")]
    EventData {
        /// The PCR.
        pcr: u8,
        /// Index in the log.
        event: usize,
        /// Event type by name.
        kind: String,
        /// What it says it is.
        description: String,
    },
    /// Something was started whose hash the machine's own list forbids.
    #[error("event {event} in PCR {pcr}, `{description}`, is on the machine's list of forbidden programs")]
    Forbidden {
        /// The PCR.
        pcr: u8,
        /// Index in the log.
        event: usize,
        /// Event type by name.
        kind: String,
        /// What it says it is.
        description: String,
        /// Its digest.
        found: Sha256Digest,
    },
    /// The machine's list of forbidden programs lacks one that the release demands.
    #[error("the machine's list of forbidden programs lacks {missing} of those that the release demands")]
    ForbiddenList {
        /// How many are missing.
        missing: usize,
        /// The first that is.
        expected: Sha256Digest,
    },
    /// Secure Boot is required and not shown to be on.
    #[error("secure boot is not shown to be on: {why}")]
    SecureBoot {
        /// Why not.
        why: String,
    },
}

impl BootRejection {
    /// Every code of this rejection.
    pub const CODES: &[&str] = &[
        "boot.manifest",
        "boot.unknown_release",
        "boot.log_mismatch",
        "boot.event",
        "boot.event_missing",
        "boot.event_extra",
        "boot.value",
        "boot.phase",
        "boot.not_quoted",
        "boot.event_data",
        "boot.secure_boot",
        "boot.forbidden",
        "boot.forbidden_list",
    ];

    /// The same as what stands beside the PCR.
    #[must_use]
    pub fn difference(&self) -> Difference {
        let (event, kind, description) = match self {
            Self::Event {
                event,
                kind,
                description,
                ..
            }
            | Self::EventExtra {
                event,
                kind,
                description,
                ..
            }
            | Self::EventData {
                event,
                kind,
                description,
                ..
            }
            | Self::Forbidden {
                event,
                kind,
                description,
                ..
            } => (Some(*event), Some(kind), Some(description)),
            Self::EventMissing { kind, description, .. } => (None, Some(kind), Some(description)),
            _ => (None, None, None),
        };
        let (expected, found) = match self {
            Self::LogMismatch { expected, found, .. }
            | Self::Event { expected, found, .. }
            | Self::Value { expected, found, .. }
            | Self::Phase { expected, found, .. } => (Some(*expected), Some(*found)),
            Self::EventMissing { expected, .. } => (Some(*expected), None),
            Self::EventExtra { found, .. } | Self::Forbidden { found, .. } => (None, Some(*found)),
            Self::ForbiddenList { expected, .. } => (Some(*expected), None),
            _ => (None, None),
        };
        Difference {
            code: self.code().to_owned(),
            event,
            kind: kind.cloned(),
            description: description.cloned(),
            expected,
            found,
        }
    }
}

impl Refusal for BootRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "boot.manifest",
            Self::UnknownRelease { .. } => "boot.unknown_release",
            Self::LogMismatch { .. } => "boot.log_mismatch",
            Self::Event { .. } => "boot.event",
            Self::EventMissing { .. } => "boot.event_missing",
            Self::EventExtra { .. } => "boot.event_extra",
            Self::Value { .. } => "boot.value",
            Self::Phase { .. } => "boot.phase",
            Self::NotQuoted { .. } => "boot.not_quoted",
            Self::EventData { .. } => "boot.event_data",
            Self::SecureBoot { .. } => "boot.secure_boot",
            Self::Forbidden { .. } => "boot.forbidden",
            Self::ForbiddenList { .. } => "boot.forbidden_list",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Phase { expected_phase, .. } => Some(expected_phase.clone()),
            _ => self.difference().expected.map(|digest| digest.to_hex()),
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Phase { found_phase, .. } => Some(found_phase.clone()),
            Self::UnknownRelease { release, version } => Some(format!("{release} {version}")),
            _ => self.difference().found.map(|digest| digest.to_hex()),
        }
    }
}

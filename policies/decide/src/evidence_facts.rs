//! The facts about evidence.
//!
//! Refuses optimism: the default of each fact is the one that speaks against the box (G05). Invariant: made from verified
//! claims, or says that there are none.

use std::collections::BTreeSet;

use freehold_verify::event_log::FirmwareNote;
use freehold_verify::evidence::{BootShown, Claims, Shown};
use freehold_verify::identity::TpmKind;
use serde::{Deserialize, Serialize};

/// What became of the quote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuoteStanding {
    /// The verifier accepted it for the challenge.
    Accepted,
    /// The verifier refused it, with this code.
    Refused(String),
    /// There is none.
    #[default]
    Absent,
}

/// How the box's record compares with what was seen of it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordStanding {
    /// It continues it.
    Extends,
    /// Nothing was seen before.
    First,
    /// It is shorter.
    Truncated,
    /// It is another.
    Forked,
    /// The evidence says nothing of it.
    #[default]
    NotShown,
}

/// How the operating system release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OsStanding {
    /// It may be run.
    Current,
    /// It is older than the floor.
    BelowFloor,
    /// It is revoked.
    Revoked,
    /// Nothing says.
    #[default]
    NotKnown,
}

/// What evidence shows, as far as policies ask.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenClaims {
    /// What the TPM is; `None` counts as unproven.
    pub tpm: Option<TpmKind>,
    /// What is shown about the boot.
    pub boot: BootShown,
    /// Whether Secure Boot was on.
    pub secure_boot: Shown,
    /// Whether development keys signed the release.
    pub development_keys: Shown,
    /// The TPM's firmware changed since the last quote.
    pub firmware_changed: bool,
    /// What firmware says about itself that a person should know.
    #[serde(default)]
    pub firmware_notes: BTreeSet<FirmwareNote>,
}

/// The facts about one box's evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EvidenceFacts {
    /// What became of the quote.
    pub quote: QuoteStanding,
    /// What the evidence shows.
    pub claims: SeenClaims,
    /// Whether this fleet takes simulated boxes; fixed when the fleet is made.
    pub simulated_allowed: bool,
    /// Where the box's record stands.
    pub record: RecordStanding,
    /// Where its operating system release stands.
    pub os_release: OsStanding,
    /// Age of the evidence, seconds.
    pub age_seconds: i64,
    /// The age that this fleet accepts, seconds.
    pub age_limit_seconds: i64,
}

impl From<&Claims> for SeenClaims {
    fn from(claims: &Claims) -> Self {
        Self {
            tpm: Some(claims.tpm),
            boot: claims.boot,
            secure_boot: claims.secure_boot,
            development_keys: claims.development_keys,
            firmware_changed: claims.firmware_changed,
            firmware_notes: claims.firmware_notes.clone(),
        }
    }
}

impl EvidenceFacts {
    /// The facts of accepted evidence, for a fleet that does or does not take simulated boxes. Record, release and age are the
    /// caller's to fill in; until then they speak against the box.
    #[must_use]
    pub fn accepted(claims: &Claims, simulated_allowed: bool) -> Self {
        Self {
            quote: QuoteStanding::Accepted,
            claims: claims.into(),
            simulated_allowed,
            ..Self::default()
        }
    }

    /// The facts of evidence that the verifier refused with `code`.
    #[must_use]
    pub fn refused(code: &str) -> Self {
        Self {
            quote: QuoteStanding::Refused(code.to_owned()),
            ..Self::default()
        }
    }

    /// Whether TPM or boot are simulated, or nothing shows that they are not.
    pub(crate) fn is_not_real(&self) -> bool {
        self.claims.tpm != Some(TpmKind::Hardware) || self.claims.boot != BootShown::Measured
    }
}

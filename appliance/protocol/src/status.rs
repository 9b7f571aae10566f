//! Words for the state of a box and its models, the same on every surface.
//!
//! Invariant: "could not tell" is a word of its own and never reads as trusted.

use serde::{Deserialize, Serialize};

/// The verdict on a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    /// Everything that policy asks for was shown by a hardware TPM.
    Trusted,
    /// The same, but the TPM is software: never more than this.
    TrustedSimulated,
    /// Trusted with something that a person should look at.
    Attention,
    /// A fault was found.
    Refused,
    /// Nothing was shown, or nothing could be told.
    #[default]
    Unknown,
}

impl VerdictWord {
    /// The shape that goes with the word, so that colour never stands alone.
    #[must_use]
    pub const fn shape(self) -> &'static str {
        match self {
            Self::Trusted => "●",
            Self::TrustedSimulated => "◐",
            Self::Attention => "▲",
            Self::Refused => "■",
            Self::Unknown => "○",
        }
    }

    /// The word as a person reads it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::TrustedSimulated => "trusted (simulated)",
            Self::Attention => "attention",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// Whether new releases may be installed and new models started under this verdict.
    #[must_use]
    pub const fn allows_change(self) -> bool {
        matches!(self, Self::Trusted | Self::TrustedSimulated | Self::Attention)
    }
}

/// Where a model stands on a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelPhase {
    /// Being fetched.
    Fetching,
    /// Being verified.
    Verifying,
    /// In the store, not running.
    Admitted,
    /// Its engine is starting.
    Starting,
    /// Its engine answers.
    Serving,
    /// Its engine was stopped, see the reason.
    Stopped,
    /// Refused, see the code.
    Refused,
}

/// One model of a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelState {
    /// Name, for example `freehold-guide`.
    pub name: String,
    /// Version, for example `1.0.0`.
    pub version: String,
    /// Root digest of the model signature (SHA-256, hex): what "this model" means.
    pub digest: String,
    /// Fingerprint of the signer (hex).
    pub signer: String,
    /// Where it stands.
    pub phase: ModelPhase,
    /// Refusal code or a sentence when it is stopped or refused.
    pub reason: Option<String>,
    /// What bounds the engine's memory: `cgroup`, `watched`, or empty when it does not run.
    pub memory_bound: String,
    /// How far its download is, while it is being fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Fetched>,
}

/// How far a download is, in bytes of all files of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetched {
    /// Bytes that are there and verified.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Fetched {
    /// Per cent, 100 only when everything is there.
    #[must_use]
    pub fn percent(self) -> u64 {
        self.done.saturating_mul(100).checked_div(self.total).unwrap_or(100)
    }
}

//! Decisions: the answer, what made it, and the hashes to repeat it.
//!
//! Refuses to be an answer without a reason. Invariant: an answer that is not a full yes has a code.

use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};

/// What a verifier says of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Hardware shows what it booted, and it is what it should be.
    Trusted,
    /// It hangs together, and TPM or boot are simulated.
    TrustedSimulated,
    /// Not refused, and a person should look.
    Attention,
    /// Could not tell.
    Unknown,
    /// Not to be trusted.
    Refused,
}

impl Verdict {
    /// All of them, best first.
    pub const ALL: [Self; 5] = [
        Self::Trusted,
        Self::TrustedSimulated,
        Self::Attention,
        Self::Unknown,
        Self::Refused,
    ];

    /// The word of the wire and of policies.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::TrustedSimulated => "trusted_simulated",
            Self::Attention => "attention",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }

    /// The words for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TrustedSimulated => "trusted (simulated)",
            other => other.word(),
        }
    }

    /// The shape that goes with the words.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Trusted => "●",
            Self::TrustedSimulated => "◐",
            Self::Attention => "▲",
            Self::Refused => "■",
            Self::Unknown => "○",
        }
    }

    /// The verdict with this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.word() == word)
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Yes.
    Allowed,
    /// No.
    Denied,
}

/// A policy that took part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its id, for example `model.licence`.
    pub policy: String,
    /// Why, one sentence without a full stop.
    pub why: String,
    /// The refusal code, when it forbids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A decision with answer `A`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision<A> {
    /// The answer.
    pub answer: A,
    /// The permits that hold.
    pub because: Vec<Reason>,
    /// The forbids that hold, gravest first; or the reason for a no by default.
    pub denied_by: Vec<Reason>,
    /// The code of the first of them; for evidence that a verifier refused, the verifier's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// SHA-256 of the policy bundle; zeros when there is no usable one.
    pub policy_sha256: Sha256Digest,
    /// SHA-256 of the facts as JSON.
    pub input_sha256: Sha256Digest,
}

/// A decision about evidence.
pub type EvidenceDecision = Decision<Verdict>;

impl Decision<Permission> {
    /// Whether the answer is yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.answer == Permission::Allowed
    }
}

impl<A> Decision<A> {
    /// The ids of all policies that took part, permits first.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.because
            .iter()
            .chain(&self.denied_by)
            .map(|reason| reason.policy.as_str())
    }
}

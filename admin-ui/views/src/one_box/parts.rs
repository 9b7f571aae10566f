//! The smaller parts of a box's page: models, assignment, doors, tokens, record, actions.
//!
//! Refuses to hold a secret: a token is its public id. Invariant: what the person may not do is not in [`Actions`].

use freehold_protocol::status::ModelPhase;
use serde::{Deserialize, Serialize};

/// One model of a box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BoxModel {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Root digest, hex.
    pub digest: String,
    /// Signer's fingerprint, hex.
    pub signer: String,
    /// Where it stands; `None` when the box never reported it.
    pub phase: Option<ModelPhase>,
    /// Refusal code or sentence when stopped or refused.
    pub reason: String,
    /// What bounds the engine's memory: `cgroup`, `watched`, or empty.
    pub memory_bound: String,
    /// Bytes of its files.
    pub bytes: Option<u64>,
}

/// What the console's director signed for the box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Assignment {
    /// Its counter.
    pub counter: u64,
    /// When it was signed, unix seconds.
    pub signed: Option<i64>,
    /// When it expires, unix seconds.
    pub not_after: i64,
    /// Target names.
    pub targets: Vec<String>,
    /// The counter that the box last achieved.
    pub achieved: Option<u64>,
    /// The counter it works on.
    pub pursuing: Option<u64>,
    /// SHA-256 of the settings, hex.
    pub settings_digest: String,
}

/// The box's verdict lease as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lease {
    /// Models that policy ties to one; `*` stands for all.
    pub demanded: Vec<String>,
    /// Where it stands.
    pub state: LeaseState,
    /// When it ends, unix seconds.
    pub until: Option<i64>,
    /// Models that a person took out of it.
    pub without: Vec<String>,
    /// Who changed it last; empty when nobody did.
    pub changed_by: String,
    /// When, unix seconds.
    pub changed: Option<i64>,
    /// Whether a person withdrew something: then it may be granted.
    pub withdrawn: bool,
    /// Whether the signed-in person may change it.
    pub may_change: bool,
}

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// No verdict counts now: what the box has goes on until it ends.
    #[default]
    NotRenewed,
    /// Given.
    Held,
    /// Taken back, by a person or because a fault was found.
    Withdrawn,
}

impl LeaseState {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotRenewed => "not renewed: no verdict counts now; what the box has goes on until it ends",
            Self::Held => "held",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The shape that goes with it.
    #[must_use]
    pub const fn shape(self) -> &'static str {
        match self {
            Self::NotRenewed => "○",
            Self::Held => "●",
            Self::Withdrawn => "■",
        }
    }

    /// The tone's class.
    #[must_use]
    pub const fn tone(self) -> &'static str {
        match self {
            Self::NotRenewed => "unknown",
            Self::Held => "trusted",
            Self::Withdrawn => "refused",
        }
    }
}

/// Where applications reach the box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Door {
    /// `https://ADDRESS:PORT`.
    pub url: String,
    /// SHA-256 of the certificate's SPKI, hex.
    pub spki: String,
}

/// An application's token; the secret itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Token {
    /// Short public id.
    pub id: String,
    /// Who it was given to; from outside.
    pub name: String,
    /// Models it may use; empty for all.
    pub models: Vec<String>,
    /// When made, unix seconds.
    pub created: Option<i64>,
    /// When it ends, unix seconds.
    pub expires: Option<i64>,
}

/// Head of the box's own record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordHead {
    /// Entries.
    pub size: u64,
    /// Root hash, hex.
    pub root: String,
    /// When the console cosigned it, unix seconds.
    pub cosigned: i64,
}

/// What the signed-in person may do on this page; what is false is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actions {
    /// Approve the enrolment.
    pub approve: bool,
    /// Refuse the enrolment.
    pub refuse: bool,
    /// Ask for fresh evidence.
    pub attest: bool,
    /// Releases that may be assigned; empty shows no form.
    pub assign: Vec<AssignOption>,
    /// Make a token for an application.
    pub token: bool,
    /// Take the box out of the fleet.
    pub retire: bool,
    /// Why nothing can be done, when nothing can, for example "your role `viewer` may look".
    pub why_not: String,
}

/// A release that may be assigned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssignOption {
    /// Target name, the form's value, for example `models/guide/1.0.0/release.json`.
    pub target: String,
    /// What a person reads, for example `guide 1.0.0, 9.1 MB`.
    pub title: String,
    /// It is what the box has already.
    pub current: bool,
}

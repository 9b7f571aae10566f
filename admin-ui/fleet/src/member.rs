//! One box of the fleet: its keys, where its membership stands, what is known about it.
//!
//! Refuses to call a box a member before a person approved it, and never forgets which EK its name is bound to.
//! Invariant: an identifier belongs to one EK and an EK to one identifier, for as long as the row exists.

use freehold_protocol::report::BoxReport;
use serde::{Deserialize, Serialize};

use crate::challenge::{Challenge, SpentNonce};
use crate::verdict::Verdict;

/// What the endorsement key's root says about the TPM. Derived, never declared by the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TpmKind {
    /// Chains to a root of a chip vendor.
    Hardware,
    /// Chains to a named software root.
    Software,
    /// Nobody vouches for it: a person approved the EK's digest.
    Unproven,
}

impl TpmKind {
    /// The word as a person reads it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
            Self::Unproven => "unproven",
        }
    }
}

/// Why the endorsement key is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum EkTrust {
    /// A certificate chain to a root that the console was given.
    Chain {
        /// The root's subject as text, shown escaped.
        root: String,
        /// What that root stands for.
        kind: TpmKind,
    },
    /// The TPM carries no certificate: a person has to approve the EK's digest.
    Hash,
}

impl EkTrust {
    /// What kind of TPM may be claimed from this.
    #[must_use]
    pub const fn kind(&self) -> TpmKind {
        match self {
            Self::Chain { kind, .. } => *kind,
            Self::Hash => TpmKind::Unproven,
        }
    }
}

/// The keys of a box, all proven to live in the TPM of its EK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// TPMT_PUBLIC of the attestation key.
    #[serde(with = "hex::serde")]
    pub ak_public: Vec<u8>,
    /// TPMT_PUBLIC of the TLS key.
    #[serde(with = "hex::serde")]
    pub tls_public: Vec<u8>,
    /// SHA-256 of the TLS key's SPKI, hex: how the console knows the box.
    pub tls_spki: String,
    /// The TLS key's SPKI (DER), from which certificates are issued.
    #[serde(with = "hex::serde")]
    pub tls_spki_der: Vec<u8>,
    /// Digest over EK, AK and TLS key that people compare, hex.
    pub fingerprint: String,
    /// The record's public key (SPKI, DER), said over the TLS key's own connection while it enrolled. Empty for a box of the
    /// version before, which did not say it: no head of its record is cosigned until it enrols anew.
    #[serde(default, with = "hex::serde")]
    pub record_spki_der: Vec<u8>,
}

/// Where a membership stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Membership {
    /// The proof holds; a person has to compare and approve.
    Waiting,
    /// A person approved it.
    Approved {
        /// Who.
        by: String,
        /// When, Unix seconds.
        at: i64,
    },
    /// A person refused it.
    Refused {
        /// Who.
        by: String,
        /// When, Unix seconds.
        at: i64,
    },
}

/// What the director last told a box to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentHead {
    /// Its counter: counts up for ever, per box.
    pub counter: u64,
    /// Names of the TUF targets.
    pub targets: Vec<String>,
    /// Unix seconds after which a box refuses it.
    pub not_after: i64,
    /// When it was made, Unix seconds.
    pub at: i64,
    /// By whom.
    pub by: String,
}

/// The last head of a box's record that this console cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CosignedHead {
    /// Number of entries.
    pub size: u64,
    /// Root hash, hex.
    pub root: String,
    /// When, Unix seconds.
    pub at: i64,
}

/// An application's token of one box. The token itself is known to nobody here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Short public identifier.
    pub id: String,
    /// Who it was given to.
    pub name: String,
    /// SHA-256 of the token, hex.
    pub sha256: String,
    /// Models it may use; empty means every model of the box.
    pub models: Vec<String>,
    /// Unix seconds after which it is refused.
    pub expires: Option<i64>,
    /// When it was made, Unix seconds.
    pub made_at: i64,
    /// By whom.
    pub made_by: String,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its identifier, bound to its EK.
    pub box_id: String,
    /// The site it stands at.
    pub site: String,
    /// The name people gave it; shown escaped, never trusted.
    pub label: String,
    /// SHA-256 of the EK's SubjectPublicKeyInfo, hex.
    pub ek: String,
    /// TPMT_PUBLIC of the EK.
    #[serde(with = "hex::serde")]
    pub ek_public: Vec<u8>,
    /// Why the EK is believed.
    pub ek_trust: EkTrust,
    /// Where the membership stands.
    pub membership: Membership,
    /// Keys of an approved box.
    pub active: Option<Keys>,
    /// Keys that wait for a person: a first enrolment, or the same EK with new keys (a cleared TPM).
    pub pending: Option<Keys>,
    /// When the box first proved itself, Unix seconds.
    pub enrolled_at: i64,
    /// The last verdict, however old.
    pub verdict: Option<Verdict>,
    /// The last verdict that allowed a change.
    pub last_good: Option<Verdict>,
    /// What it was last told to run.
    pub assignment: Option<AssignmentHead>,
    /// The head of its record as last cosigned.
    pub cosigned: Option<CosignedHead>,
    /// Tokens of its applications.
    pub tokens: Vec<TokenRow>,
    /// A person wants new evidence now.
    #[serde(skip)]
    pub attest_wanted: bool,
    /// The last report.
    #[serde(skip)]
    pub report: Option<BoxReport>,
    /// When the last report came, by the console's clock.
    #[serde(skip)]
    pub report_at: Option<i64>,
    /// The last inventory, which comes only when it changed.
    #[serde(skip)]
    pub inventory: Option<serde_json::Value>,
    /// The open challenge. Never stored: a console that starts again accepts no old nonce.
    #[serde(skip)]
    pub challenge: Option<Challenge>,
    /// Nonces that may no longer be answered, newest last, so that a refusal can say why.
    #[serde(skip)]
    pub spent: Vec<SpentNonce>,
}

impl Member {
    /// Whether a person approved this box.
    #[must_use]
    pub const fn is_approved(&self) -> bool {
        matches!(self.membership, Membership::Approved { .. })
    }

    /// Whether a person has to decide something about its enrolment.
    #[must_use]
    pub fn waits_for_person(&self) -> bool {
        self.pending.is_some() && !matches!(self.membership, Membership::Refused { .. })
    }

    /// The keys that a person compares: those that wait, else those in use.
    #[must_use]
    pub fn shown_keys(&self) -> Option<&Keys> {
        self.pending.as_ref().or(self.active.as_ref())
    }
}

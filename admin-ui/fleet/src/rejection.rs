//! Every way in which the fleet says no.
//!
//! Refuses to tell a stranger what would have been accepted: no variant carries a secret or an expected activation value.
//! Invariant: one variant per fault, one stable code per variant, and [`FleetRejection::CODES`] lists them all.

use freehold_verify::Refusal;

/// A refusal by the fleet's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetRejection {
    /// The message names another fleet.
    #[error("the box was paired with fleet `{found}`")]
    OtherFleet {
        /// This fleet.
        expected: String,
        /// What the message says.
        found: String,
    },
    /// The message names a site that this console does not serve.
    #[error("the box was paired with site `{found}`")]
    OtherSite {
        /// This console's site.
        expected: String,
        /// What the message says.
        found: String,
    },
    /// The identifier is not of the form `word-word-hex`.
    #[error("the box identifier has {length} bytes and is not of the form `amber-fox-9d1e`")]
    BadBoxId {
        /// Its length in bytes.
        length: usize,
    },
    /// The label is too long or holds control characters.
    #[error("the label has {length} bytes, or holds control characters")]
    BadLabel {
        /// Its length in bytes.
        length: usize,
    },
    /// The identifier is bound to another EK.
    #[error("`{box_id}` is bound to another endorsement key")]
    IdTaken {
        /// The identifier.
        box_id: String,
    },
    /// The EK is enrolled under another identifier.
    #[error("this endorsement key is enrolled as `{box_id}`")]
    EkTaken {
        /// Under which identifier.
        box_id: String,
    },
    /// The TLS key belongs to another box.
    #[error("this TLS key belongs to `{box_id}`")]
    KeyTaken {
        /// To which box.
        box_id: String,
    },
    /// The TPM is software and this fleet was made without them.
    #[error("the TPM is software, and this fleet was made for hardware TPMs only")]
    SimulatedRefused,
    /// A person refused this box.
    #[error("a person refused the enrolment of `{box_id}`")]
    RefusedByPerson {
        /// Which box.
        box_id: String,
    },
    /// Too many enrolments are open or wait.
    #[error("{open} enrolments are open or wait for a person")]
    Busy {
        /// How many.
        open: usize,
    },
    /// No such session, or it was used.
    #[error("there is no such enrolment session, or it was used")]
    SessionUnknown,
    /// The session ran out.
    #[error("the enrolment session ran out")]
    SessionExpired,
    /// The session was begun by another key.
    #[error("the enrolment session was begun with another TLS key")]
    SessionOfOtherKey,
    /// The activation or the certification does not hold.
    #[error("the proof of possession does not hold: {reason}")]
    ProofFailed {
        /// What the verifier said, without secrets.
        reason: String,
        /// The verifier's own code.
        code: &'static str,
    },
    /// No such box, or not approved.
    #[error("`{box_id}` is not an approved box of this fleet")]
    UnknownBox {
        /// The identifier, possibly made up.
        box_id: String,
    },
    /// There is nothing to approve or refuse.
    #[error("no enrolment of `{box_id}` waits for a person")]
    NothingWaits {
        /// The identifier.
        box_id: String,
    },
    /// The fingerprint that the person confirmed is not the one that waits.
    #[error("the fingerprint that was confirmed is not the one that waits")]
    FingerprintDiffers {
        /// What waits.
        expected: String,
        /// What was confirmed.
        found: String,
    },
    /// An EK without certificate needs its hash approved by name.
    #[error("the TPM carries no certificate, its endorsement key must be approved by hash")]
    EkNotApproved {
        /// SHA-256 of the EK's SubjectPublicKeyInfo, hex.
        ek: String,
    },
    /// The nonce was never issued, or is too old to be remembered.
    #[error("a nonce of {length} bytes that was never issued to this box")]
    NonceUnknown {
        /// Its length in bytes.
        length: usize,
    },
    /// A newer nonce was issued.
    #[error("a newer nonce was issued after this one")]
    NonceSuperseded,
    /// It was answered before.
    #[error("the nonce was answered before")]
    NonceUsed,
    /// It ran out.
    #[error("the nonce ran out at {expires}, now is {now}")]
    NonceExpired {
        /// Unix seconds.
        expires: i64,
        /// Unix seconds.
        now: i64,
    },
    /// It was issued to another box.
    #[error("the nonce was issued to `{owner}`")]
    NonceOfOtherBox {
        /// To which box.
        owner: String,
    },
    /// The source of randomness repeated itself.
    #[error("the source of randomness repeated a nonce")]
    NonceRepeated,
    /// An assignment without targets, or with too many.
    #[error("an assignment names {found} targets, between 1 and {limit} are allowed")]
    BadTargets {
        /// How many were named.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The counter that was signed is not the next one.
    #[error("the assignment has counter {found}, the next one is {expected}")]
    CounterNotNext {
        /// The next counter.
        expected: u64,
        /// The counter given.
        found: u64,
    },
    /// The box holds a verdict that allows no change.
    #[error("`{box_id}` is {word}: nothing new may be installed")]
    NotTrusted {
        /// Which box.
        box_id: String,
        /// Its verdict.
        word: &'static str,
    },
    /// A change of a lease names too many models, or a name that is none.
    #[error("a lease names at most {limit} models, each with a name of 1 to 128 bytes")]
    BadLease {
        /// The most.
        limit: usize,
    },
    /// The token's name, models or number are out of bounds.
    #[error("a token needs a name of 1 to 64 printable characters, and a box has at most {limit} tokens")]
    BadToken {
        /// How many tokens a box may have.
        limit: usize,
    },
    /// No such token.
    #[error("there is no token `{id}`")]
    TokenUnknown {
        /// Its identifier.
        id: String,
    },
    /// The box's record went back or forked.
    #[error("the record of `{box_id}` has {found} entries, {expected} were cosigned")]
    RecordRollback {
        /// Which box.
        box_id: String,
        /// What was cosigned.
        expected: u64,
        /// What was shown.
        found: u64,
    },
}

impl FleetRejection {
    /// Every code of this enum that is its own; `enrol.id`, `enrol.other_ek` and `enrol.same_ek` are
    /// `freehold_verify::identity::EnrolRejection`'s, `quote.nonce` and `quote.nonce_expired` those of evidence: the same
    /// faults, found earlier.
    pub const CODES: &[&str] = &[
        "enrol.other_fleet",
        "enrol.other_site",
        "enrol.bad_label",
        "enrol.key_taken",
        "enrol.simulated_refused",
        "enrol.refused_by_person",
        "enrol.busy",
        "enrol.session_unknown",
        "enrol.session_expired",
        "enrol.session_other_key",
        "enrol.proof_failed",
        "enrol.unknown_box",
        "enrol.nothing_waits",
        "enrol.fingerprint_differs",
        "enrol.ek_not_approved",
        "quote.nonce_superseded",
        "quote.nonce_used",
        "quote.nonce_other_box",
        "console.nonce_repeated",
        "console.bad_targets",
        "console.counter_not_next",
        "console.not_trusted",
        "console.bad_token",
        "console.bad_lease",
        "console.token_unknown",
        "record.rollback",
    ];
}

impl Refusal for FleetRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherFleet { .. } => "enrol.other_fleet",
            Self::OtherSite { .. } => "enrol.other_site",
            Self::BadBoxId { .. } => "enrol.id",
            Self::BadLabel { .. } => "enrol.bad_label",
            Self::IdTaken { .. } => "enrol.other_ek",
            Self::EkTaken { .. } => "enrol.same_ek",
            Self::KeyTaken { .. } => "enrol.key_taken",
            Self::SimulatedRefused => "enrol.simulated_refused",
            Self::RefusedByPerson { .. } => "enrol.refused_by_person",
            Self::Busy { .. } => "enrol.busy",
            Self::SessionUnknown => "enrol.session_unknown",
            Self::SessionExpired => "enrol.session_expired",
            Self::SessionOfOtherKey => "enrol.session_other_key",
            Self::ProofFailed { .. } => "enrol.proof_failed",
            Self::UnknownBox { .. } => "enrol.unknown_box",
            Self::NothingWaits { .. } => "enrol.nothing_waits",
            Self::FingerprintDiffers { .. } => "enrol.fingerprint_differs",
            Self::EkNotApproved { .. } => "enrol.ek_not_approved",
            Self::NonceUnknown { .. } => "quote.nonce",
            Self::NonceSuperseded => "quote.nonce_superseded",
            Self::NonceUsed => "quote.nonce_used",
            Self::NonceExpired { .. } => "quote.nonce_expired",
            Self::NonceOfOtherBox { .. } => "quote.nonce_other_box",
            Self::NonceRepeated => "console.nonce_repeated",
            Self::BadTargets { .. } => "console.bad_targets",
            Self::CounterNotNext { .. } => "console.counter_not_next",
            Self::NotTrusted { .. } => "console.not_trusted",
            Self::BadToken { .. } => "console.bad_token",
            Self::BadLease { .. } => "console.bad_lease",
            Self::TokenUnknown { .. } => "console.token_unknown",
            Self::RecordRollback { .. } => "record.rollback",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::OtherFleet { expected, .. } | Self::OtherSite { expected, .. } => Some(expected.clone()),
            Self::FingerprintDiffers { expected, .. } => Some(expected.clone()),
            Self::CounterNotNext { expected, .. } | Self::RecordRollback { expected, .. } => Some(expected.to_string()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::OtherFleet { found, .. } | Self::OtherSite { found, .. } => Some(found.clone()),
            Self::FingerprintDiffers { found, .. } => Some(found.clone()),
            Self::CounterNotNext { found, .. } | Self::RecordRollback { found, .. } => Some(found.to_string()),
            _ => None,
        }
    }
}

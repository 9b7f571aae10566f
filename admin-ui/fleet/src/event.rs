//! Events: everything that can happen to a fleet, and what comes of it.
//!
//! Refuses to carry unverified claims as facts: cryptographic work is done before an event is made, and the event says what
//! came of it. Invariant: randomness and time enter through an event or its `now`, nowhere else.

use freehold_protocol::report::BoxReport;

use crate::challenge::Challenge;
use crate::effect::{Effect, Entry};
use crate::enrolment::Session;
use crate::lease::LeaseChange;
use crate::member::{AssignmentHead, CosignedHead, Member, TokenRow};
use crate::rejection::FleetRejection;
use crate::verdict::Verdict;

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A box began to enrol; its EK and AK were checked already.
    EnrolBegun(Box<Session>),
    /// A session's proof of possession was checked.
    ProofChecked {
        /// Which session.
        session: String,
        /// SHA-256 of the SPKI of the key that sent it, hex.
        tls_spki: String,
        /// What the verifier said: nothing, or the fault's code and sentence.
        fault: Option<(&'static str, String)>,
    },
    /// A person approved what waits.
    Approved {
        /// Which box.
        box_id: String,
        /// The fingerprint as confirmed, hex.
        fingerprint: String,
        /// The EK hash, where the TPM carries no certificate.
        ek: Option<String>,
        /// Who.
        by: String,
    },
    /// A person refused what waits.
    Refused {
        /// Which box.
        box_id: String,
        /// Who.
        by: String,
    },
    /// A person took a box out of the fleet.
    Removed {
        /// Which box.
        box_id: String,
        /// Who.
        by: String,
    },
    /// A box asked for a challenge.
    ChallengeAsked {
        /// Which box.
        box_id: String,
        /// 32 random bytes.
        nonce: [u8; 32],
    },
    /// The answer to a challenge came by stick: the challenge is open again, as it was issued.
    ChallengeBack {
        /// Which box.
        box_id: String,
        /// The challenge as it was kept.
        challenge: Challenge,
    },
    /// A box answered a challenge; its evidence has not been looked at yet.
    ChallengeAnswered {
        /// Which box.
        box_id: String,
        /// The nonce that the evidence names.
        nonce: Vec<u8>,
    },
    /// Evidence was appraised, or could not be.
    Appraised {
        /// Which box.
        box_id: String,
        /// The verdict.
        verdict: Box<Verdict>,
        /// The evidence as it came.
        evidence: Vec<u8>,
    },
    /// A person assigned releases; the document is signed already.
    Assigned {
        /// Which box.
        box_id: String,
        /// The head.
        head: AssignmentHead,
        /// The signed document.
        envelope: Vec<u8>,
    },
    /// A box asked for its assignment.
    AssignmentAsked {
        /// Which box.
        box_id: String,
    },
    /// A box reported.
    Reported {
        /// Which box.
        box_id: String,
        /// What.
        report: Box<BoxReport>,
    },
    /// A box showed the head of its record; consistency was checked already.
    CheckpointShown {
        /// Which box.
        box_id: String,
        /// The head.
        head: CosignedHead,
    },
    /// A person made a token for an application.
    TokenMade {
        /// For which box.
        box_id: String,
        /// The row; the token itself is not in it.
        token: TokenRow,
    },
    /// A person withdrew a token.
    TokenWithdrawn {
        /// Of which box.
        box_id: String,
        /// Which.
        id: String,
        /// Who.
        by: String,
    },
    /// A person withdrew or granted a box's verdict lease.
    LeaseChanged {
        /// Of which box.
        box_id: String,
        /// How.
        change: LeaseChange,
        /// Who.
        by: String,
    },
    /// A person wants evidence now.
    AttestWanted {
        /// From which box.
        box_id: String,
        /// Who.
        by: String,
    },
}

/// What the caller hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done, nothing to say.
    Done,
    /// A challenge to send.
    Challenge(Challenge),
    /// The nonce that evidence must be bound to; it is spent now.
    Nonce([u8; 32]),
    /// The row as it is after the event.
    Member(Box<Member>),
    /// The counter of the assignment that the box may fetch, if any.
    Assignment(Option<u64>),
    /// Whether a report changed anything.
    Report {
        /// False for a repeated or older one.
        taken: bool,
    },
}

/// What comes of an event. Effects are applied in either case: a refusal is recorded, and a failed proof ends its session.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What changes.
    pub effects: Vec<Effect>,
    /// What the caller hears.
    pub answer: Result<Answer, FleetRejection>,
}

impl Outcome {
    pub(crate) fn accepted(answer: Answer, effects: Vec<Effect>) -> Self {
        Self {
            effects,
            answer: Ok(answer),
        }
    }

    pub(crate) fn refused(rejection: FleetRejection) -> Self {
        Self {
            effects: Vec::new(),
            answer: Err(rejection),
        }
    }

    pub(crate) fn record(mut self, entry: Entry) -> Self {
        self.effects.push(Effect::Record(entry));
        self
    }
}

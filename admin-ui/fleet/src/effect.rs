//! Effects: what a decision changes, as data that is stored, recorded and applied.
//!
//! Refuses to be partial: a decision's effects are stored in one transaction and applied together or not at all. Invariant:
//! an effect says everything needed to apply it; applying one reads nothing but the fleet.

use freehold_protocol::report::BoxReport;
use serde::{Deserialize, Serialize};

use crate::challenge::Challenge;
use crate::enrolment::Session;
use crate::lease::LeaseOrder;
use crate::member::{AssignmentHead, CosignedHead, Member, TokenRow};
use crate::verdict::Verdict;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An enrolment session was opened (memory only).
    SessionOpened(Box<Session>),
    /// A session ended: used, failed or run out (memory only).
    SessionClosed {
        /// Which.
        session: String,
    },
    /// A box's row is new or changed in its membership or keys.
    BoxSaved(Box<Member>),
    /// A box left the fleet.
    BoxRemoved {
        /// Which.
        box_id: String,
    },
    /// A nonce was issued (memory only).
    ChallengeIssued {
        /// To whom.
        box_id: String,
        /// The challenge.
        challenge: Challenge,
    },
    /// A nonce was answered or ran out (memory only).
    ChallengeSpent {
        /// Whose.
        box_id: String,
        /// Which.
        nonce: [u8; 32],
    },
    /// A verdict was reached.
    VerdictReached {
        /// About whom.
        box_id: String,
        /// The verdict.
        verdict: Box<Verdict>,
        /// The evidence as it came, kept for `freehold-inspect`.
        evidence: Vec<u8>,
    },
    /// A challenge was answered and no verdict could be kept: what was known before does not count any more (memory only).
    VerdictLost {
        /// About whom.
        box_id: String,
    },
    /// A box got a new assignment.
    Assigned {
        /// Which box.
        box_id: String,
        /// What.
        head: AssignmentHead,
        /// The signed document.
        envelope: Vec<u8>,
    },
    /// A report was taken.
    ReportTaken {
        /// Of whom.
        box_id: String,
        /// The report.
        report: Box<BoxReport>,
        /// Unix seconds by the console's clock.
        at: i64,
    },
    /// The head of a box's record was cosigned.
    Cosigned {
        /// Whose.
        box_id: String,
        /// The head.
        head: CosignedHead,
    },
    /// A token was made.
    TokenMade {
        /// For which box.
        box_id: String,
        /// The token's row.
        token: TokenRow,
    },
    /// A token was withdrawn.
    TokenWithdrawn {
        /// Of which box.
        box_id: String,
        /// Which.
        id: String,
    },
    /// A person withdrew or granted a verdict lease.
    LeaseSaved {
        /// Of which box.
        box_id: String,
        /// Where it stands now.
        order: LeaseOrder,
    },
    /// A person wants evidence now (memory only).
    AttestWanted {
        /// From whom.
        box_id: String,
    },
    /// An entry for the console's record.
    Record(Entry),
}

impl Effect {
    /// Whether the effect must be on disk before anybody hears of it.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        !matches!(
            self,
            Self::SessionOpened(_)
                | Self::SessionClosed { .. }
                | Self::ChallengeIssued { .. }
                | Self::ChallengeSpent { .. }
                | Self::AttestWanted { .. }
                | Self::VerdictLost { .. }
                | Self::ReportTaken { .. }
                | Self::Record(_)
        )
    }
}

/// One entry of the console's record: who did what to what, and with what outcome. No secrets, no prompts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Format version, 1.
    pub v: u8,
    /// What happened, `area.verb`: `enrol.approved`, `verdict.reached`, `session.signed_in`.
    pub kind: String,
    /// Unix seconds by the console's clock.
    pub at: i64,
    /// The site.
    pub site: String,
    /// Who: an account's name, `box:ID`, or `console`.
    pub who: String,
    /// What it was about: a box, a release, an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The refusal's code when it did not happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Facts, flat.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

impl Entry {
    /// An entry without facts.
    #[must_use]
    pub fn new(kind: &str, at: i64, site: &str, who: &str) -> Self {
        Self {
            v: 1,
            kind: kind.to_owned(),
            at,
            site: site.to_owned(),
            who: who.to_owned(),
            about: None,
            code: None,
            facts: serde_json::Map::new(),
        }
    }

    /// Says what it was about.
    #[must_use]
    pub fn about(mut self, about: &str) -> Self {
        self.about = Some(about.to_owned());
        self
    }

    /// Says that it was refused.
    #[must_use]
    pub fn refused(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

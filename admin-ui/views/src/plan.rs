//! One change: what it would do, its digest, and the button that does it.
//!
//! Refuses to be vague: every line says before and after. Invariant: the confirmation carries the digest of exactly what
//! is shown, so that a plan that has changed since is refused.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fault, Fingerprint, Shell};

/// `GET /plans/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanPage {
    /// The frame.
    pub shell: Shell,
    /// Its id.
    pub id: String,
    /// What it does, for example `Approve box amber-fox-9d1e`.
    pub title: String,
    /// The word on the button, for example `Approve this box`.
    pub verb: String,
    /// Whether the button is for something that cannot be undone.
    pub grave: bool,
    /// Where it stands.
    pub state: PlanState,
    /// The lines, in the order in which they happen.
    pub lines: Vec<Line>,
    /// What follows for people, sentences.
    pub consequences: Vec<String>,
    /// How it can be undone, or that it cannot; never empty.
    pub undo: String,
    /// Fingerprints to compare before confirming, for example of a box that enrols.
    pub compare: Vec<Fingerprint>,
    /// What approvers are asked, when the publisher's policy wants people.
    pub approval: Option<ApprovalPart>,
    /// The digest of the plan (SHA-256 of its canonical form), with words to read aloud.
    pub digest: Fingerprint,
    /// Who proposed it.
    pub proposed_by: String,
    /// When, unix seconds.
    pub proposed: i64,
    /// Who confirmed or withdrew it; empty while it waits.
    pub decided_by: String,
    /// When, unix seconds.
    pub decided: Option<i64>,
    /// Why it was not done, when it was not.
    pub faults: Vec<Fault>,
    /// This person may confirm.
    pub may_confirm: bool,
    /// Why not, for example "your role `viewer` may look"; empty when they may.
    pub why_not: String,
    /// Where the subject of the plan is found, for example `/boxes/amber-fox-9d1e`.
    pub subject_href: String,
    /// The words of that link.
    pub subject: String,
}

/// What approvers see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApprovalPart {
    /// How many people have to approve.
    pub needed: u32,
    /// Who did.
    pub given: Vec<Approved>,
    /// Digest of what they sign.
    pub digest: Fingerprint,
    /// Until when boxes take it, unix seconds.
    pub until: i64,
    /// This person may approve.
    pub may_approve: bool,
    /// Why not; empty when they may.
    pub why_not: String,
    /// The challenge for the passkey, base64url.
    pub challenge: String,
    /// The relying party of the passkeys.
    pub relying_party: String,
    /// This person's passkeys, base64url.
    pub credentials: Vec<String>,
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approved {
    /// Who.
    pub name: String,
    /// When, unix seconds.
    pub at: i64,
}

impl ApprovalPart {
    pub(crate) fn missing(&self) -> usize {
        usize::try_from(self.needed)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.given.len())
    }
}

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// It waits for confirmation.
    #[default]
    Waiting,
    /// It was confirmed and done.
    Done,
    /// It was confirmed and refused, see the faults.
    Refused,
    /// It was withdrawn.
    Withdrawn,
    /// What it was made from has changed; it has to be proposed again.
    Outdated,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Line {
    /// What changes, for example `membership`.
    pub what: String,
    /// Before; empty when there was nothing.
    pub before: String,
    /// After; empty when it is removed.
    pub after: String,
}

#[derive(Template)]
#[template(path = "plan.html")]
struct Whole<'a> {
    m: &'a PlanPage,
    shell: &'a Shell,
}

impl PlanPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

impl PlanState {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waits for confirmation",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Outdated => "outdated: propose it again",
        }
    }

    const fn tone(self) -> &'static str {
        match self {
            Self::Waiting => "attention",
            Self::Done => "trusted",
            Self::Refused => "refused",
            Self::Withdrawn | Self::Outdated => "unknown",
        }
    }

    const fn shape(self) -> &'static str {
        match self {
            Self::Waiting => "▲",
            Self::Done => "●",
            Self::Refused => "■",
            Self::Withdrawn | Self::Outdated => "○",
        }
    }
}

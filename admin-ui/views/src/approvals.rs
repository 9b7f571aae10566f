//! What waits for a decision: enrolments whose fingerprint a person compares, and plans.
//!
//! Refuses to approve from a list: each decision has its own page with the digest of what is decided. Invariant: a waiting
//! box is shown with its fingerprint, in words and hex, before the button.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::one_box::Tpm;
use crate::shell::{Fingerprint, Shell};

/// `GET /approvals`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApprovalsPage {
    /// The frame.
    pub shell: Shell,
    /// Boxes that proved their keys and wait, oldest first.
    pub enrolments: Vec<Enrolment>,
    /// Plans that wait for confirmation, oldest first.
    pub plans: Vec<WaitingPlan>,
    /// What was decided lately, newest first.
    pub decided: Vec<Decided>,
    /// This person may decide; else the buttons are not shown.
    pub may_decide: bool,
    /// The command that pairs a box, shown when nothing waits.
    pub pair_command: String,
}

/// A box that waits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Enrolment {
    /// Its identifier.
    pub id: String,
    /// The name people gave it; from outside.
    pub label: String,
    /// Its site.
    pub site: String,
    /// What to compare with the box's own screen.
    pub fingerprint: Fingerprint,
    /// What kind of TPM.
    pub tpm: Tpm,
    /// The root of its EK, or that it has none.
    pub ek_root: String,
    /// The proof was complete at, unix seconds.
    pub since: i64,
    /// A warning, for example "this EK was a member before (retired on 2026-11-02)"; empty when none.
    pub warning: String,
}

/// A plan that waits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WaitingPlan {
    /// Its id, see [`crate::address::plan`].
    pub id: String,
    /// What it would do, one line.
    pub title: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// When, unix seconds.
    pub since: i64,
    /// Its digest, hex.
    pub digest: String,
}

/// A decision that was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decided {
    /// What, one line.
    pub title: String,
    /// By whom.
    pub by: String,
    /// When, unix seconds.
    pub at: i64,
    /// How, for example `approved`, `refused`, `withdrawn`.
    pub outcome: String,
    /// Where to read on.
    pub href: String,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct Whole<'a> {
    m: &'a ApprovalsPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "approvals.html", block = "live")]
struct Live<'a> {
    m: &'a ApprovalsPage,
    shell: &'a Shell,
}

impl ApprovalsPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    fn waiting(&self) -> usize {
        self.enrolments.len() + self.plans.len()
    }

    /// The fragment `live`, or the whole page for another name.
    #[must_use]
    pub fn render_fragment(&self, id: &str) -> String {
        match id {
            "live" => self.shell.with_words(&Live {
                m: self,
                shell: &self.shell,
            }),
            _ => self.render(),
        }
    }
}

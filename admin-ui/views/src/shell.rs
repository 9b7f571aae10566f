//! What surrounds every page: navigation, search, who is signed in, notices, the time.
//!
//! Refuses to show a link to a page that does not exist. Invariant: development signing keys are a red bar on every page.

use askama::Template;
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

/// The frame of a page of a signed-in person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shell {
    /// The fleet's name, shown at the top left.
    pub fleet: String,
    /// Program version, for example `0.1.0`.
    pub version: String,
    /// Now, unix seconds. Every relative time of the page counts from here.
    pub now: i64,
    /// Minutes that the console's (or the person's) wall clock is ahead of UTC; 0 shows UTC.
    pub utc_offset_minutes: i16,
    /// Who is signed in; `None` on the sign-in page and on errors before signing in (then there is no navigation).
    pub person: Option<Person>,
    /// Token of the forms against cross-site requests (field `csrf`).
    pub csrf: String,
    /// The current path and query, for example `/boxes?verdict=refused`: what live fragments ask for again.
    pub path: String,
    /// How many things wait for a person, by navigation word; 0 shows no number.
    pub waiting: Waiting,
    /// Which parts of the navigation exist in this console.
    pub parts: Parts,
    /// Development signing keys are in use: a red bar on every page.
    pub development_keys: bool,
    /// At least one box of the fleet proves itself with a software TPM: a quiet bar that says so.
    pub simulated: bool,
    /// One sentence after a change, shown once, for example "box amber-fox-9d1e was approved".
    pub notice: Option<Notice>,
    /// Text of the search field.
    pub query: String,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    /// Account name.
    pub name: String,
    /// Role as people say it: `viewer`, `auditor`, `operator`, `approver`, `administrator`.
    pub role: String,
}

/// How many things wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// Needs on the overview.
    pub overview: u32,
    /// Boxes refused or in need of attention.
    pub boxes: u32,
    /// Models refused somewhere.
    pub models: u32,
    /// Rollouts halted.
    pub rollouts: u32,
    /// Enrolments and plans that wait for a decision.
    pub approvals: u32,
    /// Faults found in records.
    pub record: u32,
    /// Keys, roots or accounts that need care.
    pub settings: u32,
}

/// Which optional parts of the console exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
    /// Rollouts (`/rollouts`).
    pub rollouts: bool,
    /// Reports (`/reports`).
    pub reports: bool,
}

/// A sentence about what just happened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notice {
    /// The sentence.
    pub text: String,
    /// Whether it went well.
    pub outcome: Outcome,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    #[default]
    Done,
    /// Not done.
    NotDone,
}

/// A fingerprint with a way to compare it by eye.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    /// What it is of, for example `EK public (SHA-256)`.
    pub of: String,
    /// Lower-case hex, shown in groups of four.
    pub hex: String,
    /// Words that can be read aloud, the same as on the other screen; empty when there are none.
    pub words: String,
}

/// A fault with its stable code; the sentences come from `freehold-explain`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code, for example `boot.pcr`.
    pub code: String,
    /// What exactly, one line, for example "event 23, variable `db`: 1 certificate added".
    pub message: String,
    /// What would have been accepted.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
    /// Since when, unix seconds.
    pub since: Option<i64>,
    /// Whether it still stands.
    pub standing: Standing,
}

/// Whether a fault still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It holds now.
    #[default]
    Current,
    /// It was found, and what was found it in is no longer what counts.
    Past,
}

impl From<RefusalReport> for Fault {
    fn from(report: RefusalReport) -> Self {
        Self {
            code: report.code,
            message: report.message,
            expected: report.expected,
            found: report.found,
            since: None,
            standing: Standing::Current,
        }
    }
}

impl Fault {
    pub(crate) const fn mark(&self) -> &'static str {
        match self.standing {
            Standing::Current => "current",
            Standing::Past => "past",
        }
    }
}

/// The navigation beside a fragment: its counts follow, too (htmx swaps it out of band).
#[derive(Template)]
#[template(path = "words.html")]
struct Words<'a> {
    shell: &'a Shell,
    again: bool,
}

/// One word of the navigation.
pub(crate) struct Word {
    pub(crate) word: &'static str,
    pub(crate) href: &'static str,
    pub(crate) waiting: u32,
    pub(crate) here: bool,
}

impl Shell {
    /// A fragment of a page with the navigation's counts as they are now.
    pub(crate) fn with_words(&self, fragment: &impl Template) -> String {
        let mut html = crate::text::page(fragment);
        html.push_str(&crate::text::page(&Words {
            shell: self,
            again: true,
        }));
        html
    }

    pub(crate) fn navigation(&self) -> Vec<Word> {
        let w = self.waiting;
        let words = [
            ("Overview", crate::address::OVERVIEW, w.overview, true),
            ("Boxes", crate::address::BOXES, w.boxes, true),
            ("Models", crate::address::MODELS, w.models, true),
            ("Rollouts", crate::address::ROLLOUTS, w.rollouts, self.parts.rollouts),
            ("Approvals", crate::address::APPROVALS, w.approvals, true),
            ("Reports", crate::address::REPORTS, 0, self.parts.reports),
            ("Record", crate::address::RECORD, w.record, true),
            ("Settings", crate::address::SETTINGS, w.settings, true),
        ];
        words
            .into_iter()
            .filter(|(.., exists)| *exists)
            .map(|(word, href, waiting, _)| Word {
                word,
                href,
                waiting,
                here: self.is_at(href),
            })
            .collect()
    }

    /// Whether this page has a live fragment and somebody may listen.
    pub(crate) fn follows(&self) -> bool {
        let path = self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path);
        let listening = [
            crate::address::BOXES,
            crate::address::APPROVALS,
            crate::address::ROLLOUTS,
            crate::address::MODELS,
            crate::address::RELEASES,
            crate::address::RECORD,
            crate::address::STICKS,
        ];
        self.person.is_some()
            && (path == crate::address::OVERVIEW || listening.iter().any(|word| path.starts_with(word)))
    }

    fn is_at(&self, href: &str) -> bool {
        let path = self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path);
        match href {
            crate::address::OVERVIEW => path == "/",
            crate::address::MODELS => path.starts_with(href) || path.starts_with(crate::address::RELEASES),
            crate::address::APPROVALS => path.starts_with(href) || path.starts_with("/plans"),
            // Sticks are how boxes without a network are reached.
            crate::address::BOXES => path.starts_with(href) || path.starts_with(crate::address::STICKS),
            _ => path == href || path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/')),
        }
    }
}

impl Outcome {
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not_done",
        }
    }
}

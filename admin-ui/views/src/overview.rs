//! The overview: what needs a person now, what is going on, what is there.
//!
//! Refuses to celebrate. Invariant: what needs a person stands first, and nothing that needs nobody stands among it.

use askama::Template;
use freehold_protocol::status::VerdictWord;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OverviewPage {
    /// The frame.
    pub shell: Shell,
    /// What needs a person, most urgent first.
    pub needs: Vec<Need>,
    /// What is going on by itself, newest first.
    pub doing: Vec<Doing>,
    /// The fleet by verdict.
    pub verdicts: VerdictCounts,
    /// The fleet by site, in the order to show.
    pub sites: Vec<Site>,
    /// Time of the oldest proof among boxes that have one, unix seconds.
    pub oldest_proof: Option<i64>,
    /// Figures of today, for example requests served.
    pub today: Vec<Figure>,
    /// The first run's steps, shown until all are done.
    pub steps: Vec<Step>,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// Its mark.
    pub mark: VerdictWord,
    /// What it is about, for example `amber-fox-9d1e` or `approval`.
    pub subject: String,
    /// Where or whose, for example `Radiology B`.
    pub place: String,
    /// What is the matter, one line, for example "PCR 7: db changed (1 certificate added)".
    pub text: String,
    /// The refusal code, when there is one.
    pub code: Option<String>,
    /// Since when, unix seconds.
    pub since: i64,
    /// The word of the link: `Look`, `Decide`, `Compare`.
    pub verb: String,
    /// Where it leads, a path of this console.
    pub href: String,
}

/// Something that goes on by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Doing {
    /// Whose, for example the box's label.
    pub subject: String,
    /// One sentence, for example "fetching models/guide/1.0.0".
    pub text: String,
    /// Share done, 0 to 1, when known.
    pub share: Option<f64>,
    /// Since when or last heard, unix seconds.
    pub at: i64,
    /// Where it leads.
    pub href: String,
}

/// Number of boxes by verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VerdictCounts {
    /// Trusted.
    pub trusted: u32,
    /// Trusted (simulated).
    pub simulated: u32,
    /// Attention.
    pub attention: u32,
    /// Refused.
    pub refused: u32,
    /// Unknown.
    pub unknown: u32,
}

impl VerdictCounts {
    /// All boxes.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.each().iter().map(|(_, count)| *count).sum()
    }

    /// Each verdict with its count, in the order in which they are shown.
    #[must_use]
    pub const fn each(&self) -> [(VerdictWord, u32); 5] {
        [
            (VerdictWord::Trusted, self.trusted),
            (VerdictWord::TrustedSimulated, self.simulated),
            (VerdictWord::Attention, self.attention),
            (VerdictWord::Refused, self.refused),
            (VerdictWord::Unknown, self.unknown),
        ]
    }

    /// Boxes that are neither trusted nor trusted (simulated).
    #[must_use]
    pub const fn not_trusted(&self) -> u32 {
        self.attention.saturating_add(self.refused).saturating_add(self.unknown)
    }

    /// Counts one more box.
    pub const fn add(&mut self, verdict: VerdictWord) {
        match verdict {
            VerdictWord::Trusted => self.trusted = self.trusted.saturating_add(1),
            VerdictWord::TrustedSimulated => self.simulated = self.simulated.saturating_add(1),
            VerdictWord::Attention => self.attention = self.attention.saturating_add(1),
            VerdictWord::Refused => self.refused = self.refused.saturating_add(1),
            VerdictWord::Unknown => self.unknown = self.unknown.saturating_add(1),
        }
    }
}

/// One site of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its boxes by verdict.
    pub verdicts: VerdictCounts,
    /// Time of its oldest proof, unix seconds.
    pub oldest_proof: Option<i64>,
}

/// A number with its unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figure {
    /// What is counted, for example `requests answered`.
    pub name: String,
    /// The number, grouped by the page.
    pub value: u64,
    /// Its unit, for example `requests`, `tokens/s`; empty when the name says it.
    pub unit: String,
    /// Where the number comes from, for example `reports of 3 boxes since 00:00`.
    pub source: String,
}

/// One step of the first run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// What to do, for example `Pair a box`.
    pub title: String,
    /// Why, and how.
    pub text: String,
    /// A command to copy; empty when a page does it.
    pub command: String,
    /// Where it is done in the console; empty when only a command does it.
    pub href: String,
    /// Already done.
    pub done: bool,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Whole<'a> {
    m: &'a OverviewPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "overview.html", block = "live")]
struct Live<'a> {
    m: &'a OverviewPage,
    shell: &'a Shell,
}

impl OverviewPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    /// The fragment `live` (all that changes), or the whole page for another name.
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

//! What is known to be wrong with what runs: findings over the fleet, worst first, and where a package is.
//!
//! Refuses to look calm when nothing is known: old or missing advisories stand on top. Invariant: how bad a finding is stands in a
//! word, never in a colour alone.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fault, Shell};

/// `GET /releases/advisories`; query: `package`, `all`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdvisoriesPage {
    /// The frame.
    pub shell: Shell,
    /// Files that could not be read.
    pub faults: Vec<Fault>,
    /// How many advisories are known.
    pub known: usize,
    /// The latest change of any of them, unix seconds; `None` when there are none.
    pub modified: Option<i64>,
    /// What is old about them; empty when nothing is.
    pub stale: String,
    /// Releases without a bill that some box runs.
    pub without_bill: Vec<String>,
    /// The findings, open ones first.
    pub rows: Vec<FindingRow>,
    /// How many there are in all: the page shows the worst.
    pub total: usize,
    /// The package that was asked for; empty for none.
    pub package: String,
    /// Where it is.
    pub places: Vec<PlaceRow>,
    /// Whether this person may accept findings.
    pub may_accept: bool,
    /// The command that publishes advisories, shown when there are none.
    pub publish_command: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FindingRow {
    /// The advisory.
    pub advisory: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// One line.
    pub summary: String,
    /// `critical`, `high`, `medium`, `low`, `none`, `unknown`.
    pub severity: String,
    /// The package, without a version.
    pub package: String,
    /// The version that is there.
    pub version: String,
    /// Versions that are free of it.
    pub fixed: Vec<String>,
    /// How many boxes have it.
    pub boxes: usize,
    /// `open`, `open again: expired`, `accepted by anna until …`, `not affected: …`.
    pub state: String,
    /// Whether somebody has to look.
    pub open: bool,
}

/// One place of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlaceRow {
    /// The box.
    pub box_id: String,
    /// The release.
    pub part: String,
    /// The package with its version.
    pub component: String,
}

impl FindingRow {
    /// The class and shape of a severity: what is bad stands out without colour, too.
    pub(crate) fn mark(&self) -> (&'static str, &'static str) {
        if !self.open {
            return ("quiet", "·");
        }
        match self.severity.as_str() {
            "critical" | "unknown" => ("refused", "■"),
            "high" => ("attention", "▲"),
            _ => ("soft", "○"),
        }
    }
}

#[derive(Template)]
#[template(path = "advisories.html")]
struct Whole<'a> {
    m: &'a AdvisoriesPage,
    shell: &'a Shell,
}

impl AdvisoriesPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

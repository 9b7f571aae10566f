//! A new rollout: what to bring where, and how carefully.
//!
//! Refuses to begin anything: the form leads to a plan, and the plan has a page of its own. Invariant: what was typed comes back
//! when it is refused.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fault, Shell};

/// `GET /rollouts/new`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewRolloutPage {
    /// The frame.
    pub shell: Shell,
    /// Releases that may be chosen: target name and what people read.
    pub releases: Vec<(String, String)>,
    /// What stands in the fields.
    pub typed: Typed,
    /// Why the last try made no plan.
    pub fault: Option<Fault>,
    /// How many boxes the fleet has.
    pub boxes: u32,
}

/// What stands in the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Typed {
    /// Target name of the release.
    pub release: String,
    /// The query for boxes.
    pub boxes: String,
    /// Canaries, separated by commas.
    pub canaries: String,
    /// The waves, one a line.
    pub waves: String,
    /// How many boxes may be out of service at once.
    pub unavailable: String,
    /// And at each site.
    pub unavailable_per_site: String,
    /// How many may fail.
    pub failure_budget: String,
    /// How many others have to approve.
    pub approvals: String,
    /// Golden answers that must be right, percent.
    pub answers: String,
    /// Tokens a second, percent of before.
    pub speed: String,
    /// The window, for example `Europe/Berlin 1-5 22:00 6h`; empty: at any time.
    pub window: String,
}

#[derive(Template)]
#[template(path = "new-rollout.html")]
struct Whole<'a> {
    m: &'a NewRolloutPage,
    shell: &'a Shell,
}

impl NewRolloutPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

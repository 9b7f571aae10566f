//! Rollouts: what is under way, what waits for a person, what was.
//!
//! Refuses to call a rollout well by its share alone: how many went back stands beside it. Invariant: what is not over comes
//! first.

use askama::Template;
use askama::filters::Safe;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// `GET /rollouts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RolloutsPage {
    /// The frame.
    pub shell: Shell,
    /// Those that are not over, newest first.
    pub open: Vec<RolloutRow>,
    /// Those that are over, newest first.
    pub over: Vec<RolloutRow>,
    /// This person may propose one.
    pub may_propose: bool,
    /// The command that does the same.
    pub command: String,
}

/// One rollout in a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RolloutRow {
    /// Its identifier.
    pub id: String,
    /// Name of the release, without its kind.
    pub name: String,
    /// Versions before, joined; empty when the boxes ran nothing of that name.
    pub from: String,
    /// The version that it brings.
    pub version: String,
    /// Where it stands.
    pub standing: Standing,
    /// One sentence on what it does or waits for now.
    pub doing: String,
    /// Its boxes by stage.
    pub counts: StageCounts,
    /// The wave in work and how many there are, for example `wave 2 of 3`.
    pub wave: String,
    /// Who proposed it.
    pub by: String,
    /// When it last changed, unix seconds.
    pub changed: i64,
}

/// Where a rollout stands, with the tone that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The word, for example `running`.
    pub word: String,
    /// How it is to be looked at.
    pub mood: Mood,
}

/// How a rollout is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// It waits for a person.
    #[default]
    Waits,
    /// It goes on by itself.
    Goes,
    /// It ended well.
    Well,
    /// It went wrong.
    Wrong,
    /// It was ended.
    Ended,
}

impl Mood {
    pub(crate) const fn tone(self) -> &'static str {
        match self {
            Self::Waits => "attention",
            Self::Goes => "going",
            Self::Well => "trusted",
            Self::Wrong => "refused",
            Self::Ended => "unknown",
        }
    }

    pub(crate) const fn shape(self) -> &'static str {
        match self {
            Self::Waits => "▲",
            Self::Goes => "▶",
            Self::Well => "●",
            Self::Wrong => "■",
            Self::Ended => "○",
        }
    }
}

/// Boxes by how far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageCounts {
    /// Every gate holds.
    pub healthy: u32,
    /// Told, and nothing said yet.
    pub ordered: u32,
    /// Went back, failed or silent.
    pub failed: u32,
    /// Not touched yet.
    pub waiting: u32,
}

impl StageCounts {
    /// All boxes.
    #[must_use]
    pub const fn all(&self) -> u32 {
        self.healthy
            .saturating_add(self.ordered)
            .saturating_add(self.failed)
            .saturating_add(self.waiting)
    }

    /// `26 of 40 healthy, 3 under way, 1 went back`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let grouped = |count: u32| crate::text::grouped(count);
        let mut parts = vec![format!("{} of {} healthy", grouped(self.healthy), grouped(self.all()))];
        if self.ordered > 0 {
            parts.push(format!("{} under way", grouped(self.ordered)));
        }
        if self.failed > 0 {
            parts.push(format!("{} went back or failed", grouped(self.failed)));
        }
        if self.waiting > 0 {
            parts.push(format!("{} waiting", grouped(self.waiting)));
        }
        parts.join(", ")
    }

    /// A bar of the boxes by stage; the sentence stands beside it, so that colour is never alone.
    pub(crate) fn strip(&self) -> Safe<String> {
        const WIDTH: u64 = 1000;
        let total = u64::from(self.all());
        let (mut bars, mut sum) = (String::new(), 0_u64);
        let parts = [
            ("trusted", self.healthy),
            ("going", self.ordered),
            ("refused", self.failed),
        ];
        for (class, count) in parts {
            if count == 0 || total == 0 {
                continue;
            }
            let left = sum * WIDTH / total;
            sum += u64::from(count);
            // At least 6 of 1,000, so that one box among 500 is seen.
            let width = (sum * WIDTH / total - left).max(6);
            let left = left.min(WIDTH - width);
            bars.push_str(&format!(
                "<rect class=\"{class}\" x=\"{left}\" width=\"{width}\" height=\"12\"/>"
            ));
        }
        Safe(format!(
            "<svg class=\"strip\" viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><rect class=\"track\" width=\"1000\" height=\"12\"/>{bars}</svg>",
            self.sentence()
        ))
    }
}

#[derive(Template)]
#[template(path = "rollouts.html")]
struct Whole<'a> {
    m: &'a RolloutsPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "rollouts.html", block = "live")]
struct Live<'a> {
    m: &'a RolloutsPage,
    shell: &'a Shell,
}

impl RolloutsPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
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

//! The plan of a rollout: everything that is decided before anybody approves.
//!
//! Refuses to hold a query or a rule that could mean something else tomorrow: boxes are named one by one. Invariant: what is
//! approved is [`Plan::digest`], and equal digests mean equal plans.

use std::collections::BTreeMap;

use freehold_trust::{Sha256Digest, sha256};
use serde::{Deserialize, Serialize};

use super::window::Window;

/// The version of this form of plan.
pub const VERSION: u32 = 1;

/// A release, as an assignment names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReleaseRef {
    /// Its kind and name, for example `models/triage-8b`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its descriptor, hex.
    pub sha256: String,
}

/// One box of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBox {
    /// Which.
    pub box_id: String,
    /// Where it stands.
    pub site: String,
    /// What it ran when the plan was made, and goes back to; `None`: nothing of this name.
    pub from: Option<ReleaseRef>,
    /// Bytes that it lacks.
    pub bytes: u64,
    /// Whether it is reached by stick only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_stick: bool,
}

/// A part of the boxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// How many of the plan's boxes, counted on from the wave before.
    pub boxes: u32,
    /// Seconds after the start before which it does not begin.
    pub start_after: i64,
    /// Whether a person has to let it begin.
    #[serde(default)]
    pub person: bool,
}

/// What a box must show to count as healthy. Its own health check is always one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Whether a verdict of the box after the change is needed.
    pub verdict: bool,
    /// Golden answers that must be right, in percent.
    pub answers_percent: u8,
    /// Requests that may fail, of a thousand.
    pub errors_permille: u16,
    /// Tokens a second, in percent of before.
    pub speed_percent: u16,
    /// Seconds for which a whole wave must have been healthy before the next begins.
    pub soak: i64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            verdict: true,
            answers_percent: 100,
            errors_permille: 10,
            speed_percent: 80,
            soak: 0,
        }
    }
}

/// How many boxes may be out of service at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// In all.
    pub unavailable: u32,
    /// At each site.
    pub unavailable_per_site: u32,
}

/// When boxes may be sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnTime {
    /// In their site's window, like everything else.
    #[default]
    InWindow,
    /// At any time.
    Anytime,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub v: u32,
    /// The rollout's identifier.
    pub id: String,
    /// Who proposed it.
    pub by: String,
    /// What the boxes shall run.
    pub release: ReleaseRef,
    /// Which boxes, in the order in which they are reached.
    pub boxes: Vec<PlannedBox>,
    /// The waves; together they are all boxes.
    pub waves: Vec<Wave>,
    /// The gates.
    pub gates: Gates,
    /// The limits.
    pub limits: Limits,
    /// Maintenance windows by site; a site without one may be touched at any time.
    pub windows: BTreeMap<String, Window>,
    /// When boxes may be sent back.
    pub returns: ReturnTime,
    /// How many boxes may fail.
    pub failure_budget: u32,
    /// Seconds after which an ordered box that says nothing counts as silent.
    pub patience: i64,
    /// How many people have to approve.
    pub approvals: u32,
    /// Unix seconds after which nothing new is begun.
    pub deadline: i64,
}

impl Plan {
    /// SHA-256 over the plan's JSON: fields in the order above, maps sorted. What people approve.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        // A plan holds no map with keys that are not text, so it always has a JSON form.
        sha256(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Bytes that all boxes together lack.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.boxes.iter().fold(0, |sum, one| sum.saturating_add(one.bytes))
    }

    /// The places of a wave's boxes in [`Plan::boxes`].
    #[must_use]
    pub fn places(&self, wave: usize) -> std::ops::Range<usize> {
        let size = |wave: &Wave| usize::try_from(wave.boxes).unwrap_or(usize::MAX);
        let first = self.waves.iter().take(wave).map(size).fold(0, usize::saturating_add);
        let count = self.waves.get(wave).map_or(0, size);
        first.min(self.boxes.len())..first.saturating_add(count).min(self.boxes.len())
    }
}

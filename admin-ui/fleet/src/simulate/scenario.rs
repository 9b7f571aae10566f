//! Scenarios: a fleet, a release with its faults, a rollout, and what people do meanwhile.
//!
//! Refuses what it does not know: an unknown field is an error, so that a typing mistake is not a silent default.

use serde::{Deserialize, Serialize};

use crate::rollout::{Gates, Limits, ReturnTime, RolloutRejection, WaveSpec, Window};

/// Boxes of a scenario at most: bounds memory and time of a file that somebody else wrote.
pub const MAX_BOXES: u32 = 100_000;
/// Days of a scenario at most.
pub const MAX_DAYS: u32 = 90;

/// A scenario, as its file has it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line that says what happens.
    pub title: String,
    /// What all chance follows from.
    pub seed: u64,
    /// How many days are played.
    pub days: u32,
    /// When it begins, RFC 3339.
    pub begins: String,
    /// The sites.
    pub sites: Vec<SiteWish>,
    /// What is wrong with the release and the boxes.
    #[serde(default)]
    pub release: ReleaseQuality,
    /// The rollout.
    #[serde(default)]
    pub rollout: RolloutWish,
    /// What people do.
    #[serde(default)]
    pub happenings: Vec<Happening>,
}

/// A group of sites that are alike.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SiteWish {
    /// Their name; with `count` above one, a number is added.
    pub name: String,
    /// How many such sites.
    #[serde(default = "one")]
    pub count: u32,
    /// Boxes at each.
    pub boxes: u32,
    /// Their maintenance window.
    #[serde(default)]
    pub window: Option<Window>,
    /// Whether they are reached by stick only.
    #[serde(default)]
    pub by_stick: bool,
}

/// Shares of boxes, of a thousand, at which something goes wrong, and how long things take.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseQuality {
    /// Boxes whose own health check fails and that go back by themselves.
    pub goes_back_permille: u32,
    /// Boxes that confirm and give wrong golden answers.
    pub wrong_answers_permille: u32,
    /// Boxes that confirm and are too slow.
    pub slow_permille: u32,
    /// Boxes whose verdict after the change is bad.
    pub bad_verdict_permille: u32,
    /// Boxes that never answer again.
    pub silent_permille: u32,
    /// Boxes that are switched off when it begins, and come back on some day.
    pub away_permille: u32,
    /// Minutes from order to answer, least and most.
    pub minutes: (u32, u32),
    /// Days until a stick comes back, least and most.
    pub stick_days: (u32, u32),
}

impl Default for ReleaseQuality {
    fn default() -> Self {
        Self {
            goes_back_permille: 0,
            wrong_answers_permille: 0,
            slow_permille: 0,
            bad_verdict_permille: 0,
            silent_permille: 0,
            away_permille: 0,
            minutes: (6, 40),
            stick_days: (1, 6),
        }
    }
}

/// The rollout of a scenario.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutWish {
    /// Waves; none means the usual schedule.
    pub waves: Vec<WaveSpec>,
    /// Gates.
    pub gates: Gates,
    /// Limits.
    pub limits: Limits,
    /// When boxes may be sent back.
    pub returns: ReturnTime,
    /// Boxes that may fail.
    pub failure_budget: u32,
    /// Hours after which an ordered box counts as silent.
    pub patience_hours: u32,
    /// Days until the deadline.
    pub deadline_days: u32,
}

impl Default for RolloutWish {
    fn default() -> Self {
        Self {
            waves: Vec::new(),
            gates: Gates::default(),
            limits: Limits {
                unavailable: 200,
                unavailable_per_site: 10,
            },
            returns: ReturnTime::InWindow,
            failure_budget: 20,
            patience_hours: 6,
            deadline_days: 30,
        }
    }
}

/// Something that a person does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Happening {
    /// Hours after the beginning.
    pub hour: u32,
    /// `pause`, `resume`, `abort`, `roll back` or `allow wave N`.
    pub says: String,
}

/// A scenario that cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioFault {
    /// Its beginning is no time.
    #[error("`{0}` is no time of the form 2026-11-02T08:00:00Z")]
    Begins(String),
    /// Too many boxes or days.
    #[error("at most {MAX_BOXES} boxes and {MAX_DAYS} days can be played")]
    TooLarge,
    /// Nobody understands what a person does.
    #[error("`{0}` is none of pause, resume, abort, roll back, allow wave N")]
    Says(String),
    /// The plan cannot be.
    #[error("the plan cannot be")]
    Plan(#[from] RolloutRejection),
}

const fn one() -> u32 {
    1
}

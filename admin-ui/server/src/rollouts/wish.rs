//! What a person asks for, before there is a plan.
//!
//! Refuses fields that it does not know: a mistyped limit would else be no limit. Invariant: what is left out becomes a number
//! that stands in the plan, so that nothing is decided later.

use std::collections::BTreeMap;

use freehold_fleet::rollout::{Gates, Limits, ReturnTime, WaveSize, WaveSpec, Window};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Seconds after which an ordered box that says nothing counts as silent, unless the wish says otherwise.
const PATIENCE: i64 = 2 * 3600;
/// Hours after the last wave's earliest time at which nothing new is begun any more.
const LAST_HOURS: i64 = 7 * 24;

const fn one() -> u32 {
    1
}

fn everything() -> String {
    "all".to_owned()
}

/// A rollout as a person asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutWish)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Target name of the release's descriptor, for example `models/triage-8b/2.1/release.json`.
    pub release: String,
    /// Which boxes: `all`, or terms such as `site=north label=ward-*`.
    #[serde(default = "everything")]
    pub boxes: String,
    /// The waves, each with one of `canaries` (identifiers or labels), `count` and `percent`, and with `start_after` (seconds)
    /// and `person`. Without any: 1, 5, 15, 40, 60, 90 and 100 %, over six days.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub waves: Vec<WaveSpec>,
    /// What a box must show to count as healthy.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub gates: Gates,
    /// How many boxes may be out of service at once; a twentieth, and at least one, if left out.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub limits: Option<Limits>,
    /// Maintenance windows by site.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub windows: BTreeMap<String, Window>,
    /// When boxes may be sent back: `in_window` or `anytime`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub returns: ReturnTime,
    /// How many boxes may fail; a fiftieth, rounded down, if left out.
    #[serde(default)]
    pub failure_budget: Option<u32>,
    /// Seconds after which a box that says nothing counts as silent; two hours if left out.
    #[serde(default)]
    pub patience: Option<i64>,
    /// How many others have to approve the plan.
    #[serde(default = "one")]
    pub approvals: u32,
    /// Hours until nothing new is begun; a week after the last wave if left out.
    #[serde(default)]
    pub deadline_hours: Option<u32>,
    /// Boxes that are reached by stick only, identifiers or labels.
    #[serde(default)]
    pub by_stick: Vec<String>,
}

impl Wish {
    /// The limits for so many boxes.
    #[must_use]
    pub fn limits_for(&self, boxes: usize) -> Limits {
        let share = u32::try_from(boxes.div_ceil(20)).unwrap_or(u32::MAX).max(1);
        self.limits.unwrap_or(Limits {
            unavailable: share,
            unavailable_per_site: share,
        })
    }

    /// How many of so many boxes may fail.
    #[must_use]
    pub fn budget_for(&self, boxes: usize) -> u32 {
        let share = u32::try_from(boxes.checked_div(50).unwrap_or(0)).unwrap_or(u32::MAX);
        self.failure_budget.unwrap_or(share)
    }

    /// How long a box may say nothing.
    #[must_use]
    pub fn patience(&self) -> i64 {
        self.patience.unwrap_or(PATIENCE).max(1)
    }

    /// Until when something may be begun.
    #[must_use]
    pub fn deadline(&self, now: i64) -> i64 {
        let waves = if self.waves.is_empty() {
            WaveSpec::usual()
        } else {
            self.waves.clone()
        };
        let last = waves.iter().map(|wave| wave.start_after).max().unwrap_or(0);
        let seconds = match self.deadline_hours {
            Some(hours) => i64::from(hours).saturating_mul(3600),
            None => last.saturating_add(LAST_HOURS.saturating_mul(3600)),
        };
        now.saturating_add(seconds)
    }

    /// The waves with canaries as identifiers.
    #[must_use]
    pub fn waves_with(&self, resolve: impl Fn(&str) -> String) -> Vec<WaveSpec> {
        let mut waves = self.waves.clone();
        for wave in &mut waves {
            if let WaveSize::Canaries(names) = &mut wave.size {
                for name in names {
                    *name = resolve(name);
                }
            }
        }
        waves
    }
}

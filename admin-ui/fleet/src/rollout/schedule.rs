//! From a wish to a plan: which boxes in which wave.
//!
//! Refuses waves that leave a box out or go backwards. Invariant: the same draft gives the same plan, and no site comes first
//! because of its name: boxes are ordered by a digest of the rollout's identifier and theirs, canaries before them.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::sha256;
use serde::{Deserialize, Serialize};

use super::plan::{Gates, Limits, Plan, PlannedBox, ReleaseRef, ReturnTime, VERSION, Wave};
use super::rejection::RolloutRejection;
use super::window::Window;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// How far a wave reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveSize {
    /// These boxes, by identifier. Only in the first wave.
    Canaries(Vec<String>),
    /// So many more boxes.
    Count(u32),
    /// Up to this share of all boxes of the plan, rounded up; at least one box more than before.
    Percent(u8),
}

/// One wave as a person asks for it. An unknown field is refused: a mistyped time would else be no time at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenWave")]
pub struct WaveSpec {
    /// How far it reaches.
    #[serde(flatten)]
    pub size: WaveSize,
    /// Seconds after the start before which it does not begin.
    pub start_after: i64,
    /// Whether a person has to let it begin.
    pub person: bool,
}

/// A wave as a file has it; a flattened size and refused unknown fields do not go together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWave {
    canaries: Option<Vec<String>>,
    count: Option<u32>,
    percent: Option<u8>,
    #[serde(default)]
    start_after: i64,
    #[serde(default)]
    person: bool,
}

impl TryFrom<WrittenWave> for WaveSpec {
    type Error = &'static str;

    fn try_from(written: WrittenWave) -> Result<Self, Self::Error> {
        let size = match (written.canaries, written.count, written.percent) {
            (Some(names), None, None) => WaveSize::Canaries(names),
            (None, Some(count), None) => WaveSize::Count(count),
            (None, None, Some(percent)) => WaveSize::Percent(percent),
            _ => return Err("a wave has one of `canaries`, `count` and `percent`"),
        };
        Ok(Self {
            size,
            start_after: written.start_after,
            person: written.person,
        })
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The rollout's identifier.
    pub id: String,
    /// Who proposes it.
    pub by: String,
    /// The release.
    pub release: ReleaseRef,
    /// The boxes that the query gave.
    pub boxes: Vec<PlannedBox>,
    /// The waves; empty means [`WaveSpec::usual`].
    pub waves: Vec<WaveSpec>,
    /// The gates.
    pub gates: Gates,
    /// The limits.
    pub limits: Limits,
    /// Windows by site.
    pub windows: BTreeMap<String, Window>,
    /// When boxes may be sent back.
    pub returns: ReturnTime,
    /// How many boxes may fail.
    pub failure_budget: u32,
    /// Seconds after which an ordered box counts as silent.
    pub patience: i64,
    /// How many people have to approve.
    pub approvals: u32,
    /// Unix seconds after which nothing new is begun.
    pub deadline: i64,
}

impl WaveSpec {
    /// The usual schedule: 1 % after 4 hours, 5 % after a day, 15 % after two, then 40, 60, 90 and 100 %, a day apart.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        [
            (1, 4 * HOUR),
            (5, DAY),
            (15, 2 * DAY),
            (40, 3 * DAY),
            (60, 4 * DAY),
            (90, 5 * DAY),
            (100, 6 * DAY),
        ]
        .into_iter()
        .map(|(percent, start_after)| Self {
            size: WaveSize::Percent(percent),
            start_after,
            person: false,
        })
        .collect()
    }
}

impl Draft {
    /// The plan.
    ///
    /// # Errors
    ///
    /// What cannot be: no boxes, a box twice, a canary that is not among them, waves that do not lead through all boxes, a limit
    /// of nothing, a window that never opens, a deadline before `now`.
    pub fn plan(self, now: i64) -> Result<Plan, RolloutRejection> {
        if self.boxes.is_empty() {
            return Err(RolloutRejection::NoBoxes);
        }
        if self.limits.unavailable == 0 || self.limits.unavailable_per_site == 0 {
            return Err(RolloutRejection::Limit);
        }
        if self.deadline <= now {
            return Err(RolloutRejection::Deadline {
                deadline: self.deadline,
                now,
            });
        }
        for (site, window) in &self.windows {
            window.check(site)?;
        }
        let waves = if self.waves.is_empty() {
            WaveSpec::usual()
        } else {
            self.waves
        };
        let boxes = order(&self.id, self.boxes, &waves)?;
        let waves = resolve(&waves, boxes.len())?;
        Ok(Plan {
            v: VERSION,
            id: self.id,
            by: self.by,
            release: self.release,
            boxes,
            waves,
            gates: self.gates,
            limits: self.limits,
            windows: self.windows,
            returns: self.returns,
            failure_budget: self.failure_budget,
            patience: self.patience,
            approvals: self.approvals,
            deadline: self.deadline,
        })
    }
}

fn order(id: &str, boxes: Vec<PlannedBox>, waves: &[WaveSpec]) -> Result<Vec<PlannedBox>, RolloutRejection> {
    let canaries: Vec<&String> = waves
        .iter()
        .filter_map(|wave| match &wave.size {
            WaveSize::Canaries(names) => Some(names),
            _ => None,
        })
        .flatten()
        .collect();
    let mut seen = BTreeSet::new();
    for one in &boxes {
        if !seen.insert(one.box_id.clone()) {
            return Err(RolloutRejection::BoxTwice {
                box_id: one.box_id.clone(),
            });
        }
    }
    let mut named = BTreeSet::new();
    for canary in &canaries {
        if !seen.contains(*canary) {
            return Err(RolloutRejection::Canary {
                box_id: (*canary).clone(),
            });
        }
        if !named.insert(*canary) {
            return Err(RolloutRejection::BoxTwice {
                box_id: (*canary).clone(),
            });
        }
    }
    let mut boxes: Vec<_> = boxes
        .into_iter()
        .map(|one| {
            let place = canaries.iter().position(|name| **name == one.box_id);
            let digest = sha256(format!("{id}\n{}", one.box_id).as_bytes());
            // Those that somebody has to walk to come last: by then the release has shown itself on the others.
            ((place.is_none(), place, one.by_stick, digest), one)
        })
        .collect();
    boxes.sort_by_key(|(key, _)| *key);
    Ok(boxes.into_iter().map(|(_, one)| one).collect())
}

fn resolve(waves: &[WaveSpec], all: usize) -> Result<Vec<Wave>, RolloutRejection> {
    let wrong = |found: String| RolloutRejection::Waves { found };
    let mut reached = 0_usize;
    let mut last = 0_i64;
    let mut resolved = Vec::new();
    for (place, spec) in waves.iter().enumerate() {
        if spec.start_after < last {
            return Err(wrong(format!(
                "wave {} begins before the one before it",
                place.saturating_add(1)
            )));
        }
        last = spec.start_after;
        let count = match &spec.size {
            WaveSize::Canaries(_) if place > 0 => return Err(wrong("canaries after the first wave".to_owned())),
            WaveSize::Canaries(names) => names.len(),
            WaveSize::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            WaveSize::Percent(percent) if *percent == 0 || *percent > 100 => {
                return Err(wrong(format!("{percent} %")));
            }
            WaveSize::Percent(percent) => all
                .saturating_mul(usize::from(*percent))
                .div_ceil(100)
                .saturating_sub(reached),
        };
        let count = count.min(all.saturating_sub(reached));
        // In a small fleet several shares are the same boxes: such a wave would be empty and is left out.
        if count == 0 {
            continue;
        }
        reached = reached.saturating_add(count);
        resolved.push(Wave {
            boxes: u32::try_from(count).unwrap_or(u32::MAX),
            start_after: spec.start_after,
            person: spec.person,
        });
    }
    if reached < all {
        return Err(wrong(format!(
            "{} of {all} boxes are in no wave",
            all.saturating_sub(reached)
        )));
    }
    Ok(resolved)
}

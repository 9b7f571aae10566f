//! A rollout's state and its one way to change.
//!
//! Refuses to change but by [`Rollout::apply`]. Invariant: the changes that were stored, applied to the plan, give the state in
//! memory; and [`Rollout::orders`] says at any moment what every box should have been told, so that a console that was killed
//! tells them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::facts::Fact;
use super::member::{Direction, Progress, Stage};
use super::plan::{Plan, ReleaseRef};

/// Why a rollout goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// More boxes failed than the budget allows.
    Budget {
        /// How many failed.
        failed: u32,
        /// The box that crossed the line.
        last: String,
    },
    /// A person said so.
    Person {
        /// Who.
        by: String,
    },
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Proposed; waits for approval and start.
    #[default]
    Proposed,
    /// It goes on.
    Running,
    /// A person paused it.
    Paused {
        /// Who.
        by: String,
    },
    /// Boxes are sent back.
    RollingBack(Stopped),
    /// Every box that had it is back.
    RolledBack(Stopped),
    /// Every box of the plan has been dealt with.
    Done,
    /// A person ended it; boxes stay as they are.
    Aborted {
        /// Who.
        by: String,
    },
    /// The deadline passed before it was done.
    Expired,
}

impl Phase {
    /// The word as a person reads it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::RollingBack(_) => "rolling back",
            Self::RolledBack(_) => "rolled back",
            Self::Done => "done",
            Self::Aborted { .. } => "aborted",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing will happen any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(
            self,
            Self::RolledBack(_) | Self::Done | Self::Aborted { .. } | Self::Expired
        )
    }
}

/// What a box is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which box.
    pub box_id: String,
    /// Which way.
    pub direction: Direction,
    /// What it shall run; `None`: nothing of this name.
    pub run: Option<ReleaseRef>,
    /// Whether it goes by stick.
    pub by_stick: bool,
}

/// One change of a rollout, stored before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Somebody approved the plan.
    Approved {
        /// Who.
        by: String,
    },
    /// It began.
    Started {
        /// Unix seconds.
        at: i64,
    },
    /// It stands elsewhere.
    PhaseSet(Phase),
    /// A wave began, counted from 0.
    WaveBegun {
        /// Which.
        wave: usize,
        /// Unix seconds.
        at: i64,
    },
    /// A person let a wave begin.
    WaveAllowed {
        /// Which, counted from 0.
        wave: usize,
        /// Who.
        by: String,
    },
    /// A fact was added.
    FactAdded {
        /// Place of the box in the plan.
        place: usize,
        /// What.
        fact: Fact,
    },
    /// A box is out of service, or back, for reasons of its own.
    Down {
        /// Place of the box in the plan.
        place: usize,
        /// Whether it is out of service.
        down: bool,
    },
    /// A box is at another stage.
    StageSet {
        /// Place of the box in the plan.
        place: usize,
        /// Where.
        stage: Stage,
        /// Unix seconds.
        at: i64,
    },
}

/// A rollout. Stored as its plan and its changes, in order; a copy costs little, because the plan never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    pub(crate) plan: Arc<Plan>,
    pub(crate) phase: Phase,
    pub(crate) approvals: Vec<String>,
    pub(crate) started: Option<i64>,
    /// When each wave began; its length is the number of waves that have.
    pub(crate) waves: Vec<i64>,
    /// Who let which wave begin.
    pub(crate) allowed: BTreeMap<usize, String>,
    pub(crate) boxes: Vec<Progress>,
}

impl Rollout {
    /// A rollout of `plan`, proposed.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let boxes = vec![Progress::default(); plan.boxes.len()];
        Self {
            plan: Arc::new(plan),
            phase: Phase::Proposed,
            approvals: Vec::new(),
            started: None,
            waves: Vec::new(),
            allowed: BTreeMap::new(),
            boxes,
        }
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Who approved the plan.
    #[must_use]
    pub fn approvals(&self) -> &[String] {
        &self.approvals
    }

    /// When it began, Unix seconds.
    #[must_use]
    pub const fn started(&self) -> Option<i64> {
        self.started
    }

    /// When each wave that has begun did, Unix seconds.
    #[must_use]
    pub fn waves_begun(&self) -> &[i64] {
        &self.waves
    }

    /// Where each box is, in the order of the plan.
    #[must_use]
    pub fn progress(&self) -> &[Progress] {
        &self.boxes
    }

    /// How many boxes are at a stage for which `holds`.
    #[must_use]
    pub fn count(&self, holds: impl Fn(&Stage) -> bool) -> usize {
        self.boxes.iter().filter(|one| holds(&one.stage)).count()
    }

    /// The place of a box in the plan.
    #[must_use]
    pub fn place(&self, box_id: &str) -> Option<usize> {
        self.plan.boxes.iter().position(|one| one.box_id == box_id)
    }

    /// Every order that is in force: what each touched box should have been told last. Telling it again changes nothing.
    pub fn orders(&self) -> impl Iterator<Item = Order> + '_ {
        self.plan.boxes.iter().zip(&self.boxes).filter_map(|(planned, one)| {
            let direction = match one.stage {
                Stage::Waiting => return None,
                Stage::Ordered | Stage::Healthy | Stage::Silent | Stage::Failed { .. } => Direction::Forward,
                Stage::WentBack { .. } | Stage::ReturnOrdered { .. } | Stage::Returned { .. } => Direction::Back,
            };
            Some(Order {
                box_id: planned.box_id.clone(),
                direction,
                run: match direction {
                    Direction::Forward => Some(self.plan.release.clone()),
                    Direction::Back => planned.from.clone(),
                },
                by_stick: planned.by_stick,
            })
        })
    }

    /// Applies one change. Total: a change about a box that is not in the plan changes nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Approved { by } => {
                if !self.approvals.contains(by) {
                    self.approvals.push(by.clone());
                }
            }
            Change::Started { at } => {
                self.started = Some(*at);
                self.phase = Phase::Running;
            }
            Change::PhaseSet(phase) => self.phase = phase.clone(),
            Change::WaveBegun { wave, at } => {
                if *wave == self.waves.len() {
                    self.waves.push(*at);
                }
            }
            Change::WaveAllowed { wave, by } => drop(self.allowed.insert(*wave, by.clone())),
            Change::FactAdded { place, fact } => {
                if let Some(one) = self.boxes.get_mut(*place) {
                    one.facts = one.facts.join(fact);
                }
            }
            Change::Down { place, down } => {
                if let Some(one) = self.boxes.get_mut(*place) {
                    one.down = *down;
                }
            }
            Change::StageSet { place, stage, at } => {
                if let Some(one) = self.boxes.get_mut(*place) {
                    if matches!(stage, Stage::Ordered | Stage::ReturnOrdered { .. }) {
                        one.told_at = Some(*at);
                    }
                    one.since = Some(*at);
                    one.stage = stage.clone();
                }
            }
        }
    }

    /// Applies all changes, in order.
    pub fn apply_all(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply(change);
        }
    }
}

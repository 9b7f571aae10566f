//! Rollouts in the running console: kept, driven, turned into assignments.
//!
//! Refuses to send what is not stored, and to store half of a decision. Invariant: what is in memory is the plan and the changes
//! that the store holds, so a console that was killed at any point goes on from there; an order is sent again until the
//! assignment that carries it is the box's last one, and never after that.

mod approve;
mod decide;
mod orders;
mod propose;
mod run;
pub mod shown;
mod wish;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError, RwLock};

use freehold_fleet::rollout::{Phase, Plan, Rollout, WaitingOn};
use freehold_store::{RolloutApprovalRow, RolloutChangeRow, RolloutRow};

pub use propose::Preview;
pub use run::drive;
pub use wish::Wish;

use crate::approvals::{Asked, Given};

/// One rollout with what is kept beside it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The rollout.
    pub rollout: Rollout,
    /// When it was proposed, Unix seconds.
    pub at: i64,
    /// What was said beside the plan when it was proposed.
    pub risks: Vec<String>,
    /// What approvers are asked and what they answered, where the publisher's policy wants their passkeys.
    pub asked: Option<Asked>,
    /// The number of the next change.
    next: i64,
    /// When it last changed, Unix seconds.
    pub changed: i64,
}

/// What a rollout wants of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wants {
    /// Approvals are missing.
    Approval,
    /// Somebody has to begin it.
    Start,
    /// Somebody has to resume it, or end it.
    Resume,
    /// Somebody has to let this wave begin, counted from 1.
    Wave(usize),
    /// It stopped by itself, and sends boxes back.
    Look,
}

impl Kept {
    /// What it wants of a person at `now`, if anything.
    #[must_use]
    pub fn needs(&self, now: i64) -> Option<Wants> {
        let plan = self.rollout.plan();
        match self.rollout.phase() {
            Phase::Proposed => {
                let needed = usize::try_from(plan.approvals).unwrap_or(usize::MAX);
                let approved = self.rollout.approvals().len() >= needed;
                Some(if approved { Wants::Start } else { Wants::Approval })
            }
            Phase::Paused { .. } => Some(Wants::Resume),
            Phase::RollingBack(_) => Some(Wants::Look),
            Phase::Running => {
                let first = plan.places(self.rollout.waves_begun().len()).start;
                match self.rollout.waiting_on(first, now)? {
                    WaitingOn::Person { wave } => Some(Wants::Wave(wave)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A rollout that was just proposed.
    #[must_use]
    pub const fn proposed(rollout: Rollout, risks: Vec<String>, asked: Option<Asked>, at: i64) -> Self {
        Self {
            rollout,
            at,
            risks,
            asked,
            next: 0,
            changed: at,
        }
    }
}

/// All rollouts.
#[derive(Debug, Default)]
pub struct Rollouts {
    all: RwLock<BTreeMap<String, Kept>>,
    /// One decision at a time: the changes of a rollout are numbered.
    turn: tokio::sync::Mutex<()>,
    /// One tick at a time: a second one beside it would send the same orders.
    ticking: tokio::sync::Mutex<()>,
    /// Told when a tick may find something to do.
    wake: tokio::sync::Notify,
    /// Boxes whose order was refused when it was to be assigned, with the time of the next try.
    held: Mutex<HashMap<String, i64>>,
}

/// A stored rollout cannot be read by this program.
#[derive(Debug, thiserror::Error)]
#[error("the stored rollout `{id}` cannot be read")]
pub struct Unreadable {
    /// Which.
    id: String,
    /// Why.
    #[source]
    source: serde_json::Error,
}

impl Rollouts {
    /// What the store holds.
    ///
    /// # Errors
    /// When a row cannot be read: going on without one of its changes could tell a box the wrong thing.
    pub fn of(
        rows: Vec<RolloutRow>,
        changes: Vec<RolloutChangeRow>,
        approvals: Vec<RolloutApprovalRow>,
    ) -> Result<Self, Unreadable> {
        let mut all = BTreeMap::new();
        for row in rows {
            let unreadable = |source| Unreadable {
                id: row.id.clone(),
                source,
            };
            let plan: Plan = serde_json::from_str(&row.plan).map_err(unreadable)?;
            let risks = serde_json::from_str(&row.risks).map_err(unreadable)?;
            let asked = row.asked.as_deref().map(serde_json::from_str).transpose();
            let kept = Kept::proposed(Rollout::new(plan), risks, asked.map_err(unreadable)?, row.at);
            all.insert(row.id.clone(), kept);
        }
        for row in changes {
            let Some(kept) = all.get_mut(&row.rollout) else {
                continue;
            };
            let change = serde_json::from_str(&row.document).map_err(|source| Unreadable {
                id: row.rollout.clone(),
                source,
            })?;
            kept.rollout.apply(&change);
            kept.next = row.number.saturating_add(1);
            kept.changed = row.at;
        }
        for row in approvals {
            let Some(kept) = all.get_mut(&row.rollout) else {
                continue;
            };
            let given: Given = serde_json::from_str(&row.document).map_err(|source| Unreadable {
                id: row.rollout.clone(),
                source,
            })?;
            kept.add_approval(given);
        }
        Ok(Self {
            all: RwLock::new(all),
            ..Self::default()
        })
    }

    /// One rollout.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Kept> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All of them, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Kept> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Kept> = all.values().cloned().collect();
        all.sort_by_key(|kept| std::cmp::Reverse(kept.at));
        all
    }

    /// Those that are not over.
    #[must_use]
    pub fn open(&self) -> Vec<Kept> {
        let mut open = self.all();
        open.retain(|kept| !kept.rollout.phase().is_over());
        open
    }

    /// Something happened that a rollout may care about.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

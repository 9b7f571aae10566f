//! One box within a rollout: how far it is.
//!
//! Refuses to count a box as fine because nothing bad was heard. Invariant: a stage says whether the box may be serving
//! ([`Stage::is_out_of_service`]) and whether it counts against the failure budget ([`Stage::is_failure`]).

use serde::{Deserialize, Serialize};

use super::facts::Facts;

/// Which way a box is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the plan's release.
    Forward,
    /// To what it ran before.
    Back,
}

/// How far a box is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not touched yet.
    #[default]
    Waiting,
    /// Told, and nothing said yet.
    Ordered,
    /// It runs the release and every gate holds.
    Healthy,
    /// It went back by itself.
    WentBack {
        /// Why, a refusal code.
        code: String,
    },
    /// A gate does not hold; it is to go back.
    Failed {
        /// Which gate.
        gate: String,
    },
    /// It has not answered in time.
    Silent,
    /// Told to go back.
    ReturnOrdered {
        /// Whether it had failed before.
        failed: bool,
    },
    /// It runs what it ran before.
    Returned {
        /// Whether it had failed before.
        failed: bool,
    },
}

impl Stage {
    /// Whether the box may be out of service because of the rollout.
    #[must_use]
    pub const fn is_out_of_service(&self) -> bool {
        matches!(
            self,
            Self::Ordered | Self::Failed { .. } | Self::Silent | Self::ReturnOrdered { .. }
        )
    }

    /// Whether it counts against the failure budget.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::WentBack { .. }
                | Self::Failed { .. }
                | Self::Silent
                | Self::ReturnOrdered { failed: true }
                | Self::Returned { failed: true }
        )
    }

    /// Whether a wave has nothing more to expect of it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Healthy | Self::WentBack { .. } | Self::Returned { .. })
    }

    /// Whether the box runs, or may run, the plan's release.
    #[must_use]
    pub const fn has_release(&self) -> bool {
        matches!(self, Self::Ordered | Self::Healthy | Self::Failed { .. } | Self::Silent)
    }

    /// The word as a person reads it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ordered => "ordered",
            Self::Healthy => "healthy",
            Self::WentBack { .. } => "went back",
            Self::Failed { .. } => "failed",
            Self::Silent => "silent",
            Self::ReturnOrdered { .. } => "told to go back",
            Self::Returned { .. } => "back",
        }
    }
}

/// A box's place in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// How far it is.
    pub stage: Stage,
    /// When it was last told something, Unix seconds.
    pub told_at: Option<i64>,
    /// When its stage last changed, Unix seconds.
    pub since: Option<i64>,
    /// What it and its verifier said.
    pub facts: Facts,
    /// Whether it is out of service for reasons of its own.
    pub down: bool,
}

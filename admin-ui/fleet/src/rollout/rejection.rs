//! Every way in which a rollout says no.
//!
//! Refuses "not now" as a refusal: what waits is [`super::WaitingOn`]. Invariant: one variant per fault, one code per variant.

use freehold_verify::Refusal;

/// A plan that cannot be, or a command that may not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutRejection {
    /// The query cannot be understood.
    #[error("the query for boxes is not understood: {found}")]
    Query {
        /// The word.
        found: String,
    },
    /// A box is part of another rollout of the same release line.
    #[error("the box `{box_id}` is part of rollout `{other}`, which is not over")]
    Busy {
        /// Which.
        box_id: String,
        /// The other rollout.
        other: String,
    },
    /// The query found nothing.
    #[error("the plan has no boxes")]
    NoBoxes,
    /// A box is named twice.
    #[error("the box `{box_id}` is named twice")]
    BoxTwice {
        /// Which.
        box_id: String,
    },
    /// A canary is not among the boxes.
    #[error("the canary `{box_id}` is not among the boxes of the plan")]
    Canary {
        /// Which.
        box_id: String,
    },
    /// The waves are not all boxes, or not in order.
    #[error("the waves are not a way through all boxes: {found}")]
    Waves {
        /// What is wrong.
        found: String,
    },
    /// A limit that lets nothing happen.
    #[error("a limit of no box at all lets nothing happen")]
    Limit,
    /// A window that cannot be understood.
    #[error("the window of site `{site}` cannot be: {found}")]
    Window {
        /// Whose.
        site: String,
        /// What is wrong.
        found: String,
    },
    /// The deadline has passed.
    #[error("the deadline has passed")]
    Deadline {
        /// Unix seconds.
        deadline: i64,
        /// Now, Unix seconds.
        now: i64,
    },
    /// The plan is not the one that was shown.
    #[error("the plan is not the one that was shown")]
    PlanChanged {
        /// Digest of the plan, hex.
        expected: String,
        /// What was approved, hex.
        found: String,
    },
    /// The approver is the one who proposed it.
    #[error("`{by}` proposed this plan and cannot approve it")]
    OwnPlan {
        /// Who.
        by: String,
    },
    /// Too few people have approved.
    #[error("{found} of {expected} people have approved")]
    NotApproved {
        /// How many are needed.
        expected: u32,
        /// How many there are.
        found: u32,
    },
    /// The rollout has not begun.
    #[error("the rollout has not begun")]
    NotStarted,
    /// The rollout is over, or on its way back.
    #[error("the rollout is {phase}, and cannot be told that any more")]
    Ended {
        /// How.
        phase: &'static str,
    },
    /// There is no such wave, or it waits for nobody.
    #[error("wave {wave} does not wait for a person")]
    NoSuchWave {
        /// Counted from 1.
        wave: usize,
    },
}

impl RolloutRejection {
    /// All codes.
    pub const CODES: &'static [&'static str] = &[
        "rollout.query",
        "rollout.busy",
        "rollout.no_boxes",
        "rollout.box_twice",
        "rollout.canary",
        "rollout.waves",
        "rollout.limit",
        "rollout.window",
        "rollout.deadline",
        "rollout.plan_changed",
        "rollout.own_plan",
        "rollout.not_approved",
        "rollout.not_started",
        "rollout.ended",
        "rollout.no_such_wave",
    ];
}

impl Refusal for RolloutRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Query { .. } => "rollout.query",
            Self::Busy { .. } => "rollout.busy",
            Self::NoBoxes => "rollout.no_boxes",
            Self::BoxTwice { .. } => "rollout.box_twice",
            Self::Canary { .. } => "rollout.canary",
            Self::Waves { .. } => "rollout.waves",
            Self::Limit => "rollout.limit",
            Self::Window { .. } => "rollout.window",
            Self::Deadline { .. } => "rollout.deadline",
            Self::PlanChanged { .. } => "rollout.plan_changed",
            Self::OwnPlan { .. } => "rollout.own_plan",
            Self::NotApproved { .. } => "rollout.not_approved",
            Self::NotStarted => "rollout.not_started",
            Self::Ended { .. } => "rollout.ended",
            Self::NoSuchWave { .. } => "rollout.no_such_wave",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::PlanChanged { expected, .. } => Some(expected.clone()),
            Self::NotApproved { expected, .. } => Some(expected.to_string()),
            Self::Deadline { deadline, .. } => Some(deadline.to_string()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Query { found }
            | Self::PlanChanged { found, .. }
            | Self::Waves { found }
            | Self::Window { found, .. } => Some(found.clone()),
            Self::NotApproved { found, .. } => Some(found.to_string()),
            Self::Deadline { now, .. } => Some(now.to_string()),
            _ => None,
        }
    }
}

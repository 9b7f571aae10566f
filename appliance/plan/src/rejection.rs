//! Why the planner refuses a target.
//!
//! Refuses nothing that time or room would cure: that is waiting. Invariant: [`PlanRejection::CODES`] lists every code.

use freehold_verify::Refusal;

/// Why a target of an assignment is not pursued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRejection {
    /// Meant for other hardware.
    #[error("`{target}` is meant for other hardware")]
    Hardware {
        /// The target.
        target: String,
        /// The classes that it is meant for.
        meant: Vec<String>,
        /// The classes of this box.
        here: Vec<String>,
    },
    /// An operating system for a box that runs another one.
    #[error("the release is the system `{found}`")]
    System {
        /// What runs here; empty where the box is a program on somebody's system.
        here: String,
        /// The release's.
        found: String,
    },
    /// Two releases of one model in one assignment.
    #[error("the assignment names `{name}` twice")]
    Twice {
        /// The model's name.
        name: String,
    },
}

impl PlanRejection {
    /// Every code of this enum, and the reasons for stopping what is no longer assigned or permitted.
    pub const CODES: &[&str] = &[
        "plan.hardware",
        "plan.twice",
        "plan.system",
        "plan.not_assigned",
        "plan.not_permitted",
        "plan.room",
    ];
}

impl Refusal for PlanRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Hardware { .. } => "plan.hardware",
            Self::Twice { .. } => "plan.twice",
            Self::System { .. } => "plan.system",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Hardware { here, .. } => Some(here.join(", ")),
            Self::Twice { .. } => Some("one release of each model".to_owned()),
            Self::System { here, .. } => Some(here.clone()),
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Hardware { meant, .. } => Some(meant.join(", ")),
            Self::Twice { .. } => None,
            Self::System { found, .. } => Some(found.clone()),
        }
    }
}

//! What must happen on a box: desired state × what is there → a plan.
//!
//! Refuses to do anything, to read a clock, and to leave a choice for later: a plan is data that can be shown, compared by
//! its digest, and carried out step by step. The one invariant: the plan of an achieved state has no steps.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod desired;
mod health;
mod observed;
mod plan;
mod planner;
mod rejection;
mod show;
mod system;

pub use desired::{Desired, Place, WantedFile, WantedModel};
pub use health::{HealthRejection, MAX_SELF_TEST, Question, SelfTest};
pub use observed::{EngineState, Observed, Permission, Purpose, RunPermission, RunningEngine, StoredFile, StoredModel};
pub use plan::{PLAN_VERSION, Plan, Step, Waiting, WaitingOn};
pub use planner::plan;
pub use rejection::PlanRejection;
pub use system::{ObservedSystem, SystemStanding, WantedSystem};

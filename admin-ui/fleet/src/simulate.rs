//! A rollout over a fleet that does not exist, with the state machine that the console uses.
//!
//! Refuses any chance that the seed does not give: the same scenario has the same transcript, on every machine. Invariant: the
//! simulation only plays boxes and people; every decision is [`crate::rollout::Rollout`]'s own.

mod clockwork;
mod fleet;
mod scenario;
mod transcript;

pub use clockwork::{Finding, Played, play};
pub use scenario::{Happening, ReleaseQuality, RolloutWish, Scenario, ScenarioFault, SiteWish};

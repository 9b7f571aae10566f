//! Rollouts: what is refused, what never happens, and transcripts that a person can read.

#[path = "rollout/fixture.rs"]
mod fixture;
#[path = "rollout/hearing.rs"]
mod hearing;
#[path = "rollout/properties.rs"]
mod properties;
#[path = "rollout/refusals.rs"]
mod refusals;
#[path = "rollout/scenarios.rs"]
mod scenarios;
#[path = "support/fixture.rs"]
mod support;
#[path = "rollout/windows.rs"]
mod windows;

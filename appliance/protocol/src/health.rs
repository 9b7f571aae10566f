//! How a box is with each release that it tried: the box's own word, from its own health check.
//!
//! Refuses a claim without numbers: a ratio is two counts, a speed is what was measured. Invariant: a box says `confirmed` or
//! `went_back` by itself, without asking anybody, and says it again until its console has heard it.

use serde::{Deserialize, Serialize};

/// Most entries of a report: what a box has now, and what it tried lately.
pub const HEALTH_LIMIT: usize = 64;

/// How far a box is with a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HealthState {
    /// It runs, and its health check has not ended.
    Trying,
    /// It runs, and every check of the box holds.
    Confirmed,
    /// A check did not hold: the box runs what it ran before.
    WentBack {
        /// The check, as a refusal code.
        code: String,
    },
}

/// Golden answers of a self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// How many were as expected.
    pub right: u32,
    /// How many were asked.
    pub total: u32,
}

/// Requests of applications since the release was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Answered to their end.
    pub served: u64,
    /// Failed for a reason of the box or its engine.
    pub failed: u64,
}

/// How fast the engine writes, in thousandths of a token a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// With this release, measured by its self-test.
    pub now: Option<u64>,
    /// With the one that ran before it, measured the same way.
    pub before: Option<u64>,
}

/// How a box is with one release: a model, an engine, or the system itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseHealth {
    /// SHA-256 of the release's descriptor, hex.
    pub release: String,
    /// Its kind's folder and name, for example `models/triage-8b`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far the box is with it.
    pub state: HealthState,
    /// Its self-test; `None`: the release brings none, or it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// Requests since it was started.
    #[serde(default)]
    pub requests: Requests,
    /// How fast it is.
    #[serde(default)]
    pub speed: Speed,
}

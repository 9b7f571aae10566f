//! The numbers that a fleet is run by.
//!
//! Refuses to change while a fleet lives, where the design says so: whether software TPMs are accepted is fixed when the
//! fleet is made. Invariant: every number here says which attack or accident it bounds.

use serde::{Deserialize, Serialize};

/// Limits and intervals, all in seconds unless the name says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Whether boxes with a software TPM may join; never more than "trusted (simulated)" all the same.
    pub accept_simulated: bool,
    /// How long a nonce may be answered. Bounds how long a recorded quote could be held back before it is shown.
    pub challenge_ttl: i64,
    /// How long an enrolment session stays open. Bounds the memory that strangers can hold.
    pub session_ttl: i64,
    /// How many enrolment sessions may be open at once: bounds the memory that 10,000 strangers can hold.
    pub max_sessions: usize,
    /// How many enrolments may wait for a person: bounds the list that a stranger with many TPMs can grow.
    pub max_waiting: usize,
    /// Age at which the console asks a box for new evidence.
    pub attest_every: i64,
    /// Age at which a verdict is no longer shown as current: "could not tell" is never "yes".
    pub verdict_max_age: i64,
    /// Seconds between two reports of a box.
    pub report_every: u32,
    /// Seconds without any report or evidence after which a box is "away".
    pub away_after: i64,
    /// How long an assignment may be taken up by a box.
    pub assignment_ttl: i64,
    /// Sites beside the console's own, where boxes may stand: a box that was paired for another one is refused.
    #[serde(default)]
    pub sites: Vec<String>,
    /// How long a good verdict lets models run that policy ties to one: the longest that a box goes on with them while its
    /// console is away, or after it stopped proving itself.
    #[serde(default = "lease_ttl")]
    pub lease_ttl: i64,
    /// How long a challenge, a credential and a verdict count that travel by stick: the way there and back. Bounds how long
    /// evidence could be held back by whoever carries it.
    #[serde(default = "stick_max_age")]
    pub stick_max_age: i64,
}

/// An hour: many times the interval of proofs, so that a console that is restarted stops nothing.
const fn lease_ttl() -> i64 {
    3600
}

impl Rules {
    /// The age of a verdict at which new evidence is asked for: early enough that a lease is renewed before it ends.
    #[must_use]
    pub fn evidence_every(&self) -> i64 {
        self.attest_every.min(self.lease_ttl / 2)
    }
}

/// A month: a site that is visited less often has its boxes unknown in between, which is the truth.
const fn stick_max_age() -> i64 {
    31 * 86_400
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            accept_simulated: false,
            challenge_ttl: 60,
            session_ttl: 300,
            max_sessions: 4096,
            max_waiting: 2048,
            attest_every: 300,
            verdict_max_age: 900,
            report_every: 30,
            away_after: 120,
            assignment_ttl: 30 * 86_400,
            lease_ttl: lease_ttl(),
            stick_max_age: stick_max_age(),
            sites: Vec::new(),
        }
    }
}

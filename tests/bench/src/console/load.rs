//! All boxes: enrolled and approved, then each with its own clock.
//!
//! Invariant: the rounds of all boxes are spread evenly over the interval, and so is their evidence over its own, as in a fleet
//! that was not switched on by one switch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::simulated::SimulatedBox;
use super::world::{Administrator, World};

/// Enrolments at once: a fleet is not taken in in one second either.
const AT_ONCE: usize = 16;
/// Rounds between two proofs of a box: 300 s, the console's own rule, at a round every 30 s.
const PROOF_EVERY: usize = 10;

/// Makes all boxes members, each with its first verdict.
pub async fn enrol_all(
    world: &World,
    administrator: &Arc<Administrator>,
    count: usize,
) -> anyhow::Result<Vec<SimulatedBox>> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<JoinHandle<anyhow::Result<SimulatedBox>>> = (0..count)
        .map(|number| {
            let (room, administrator) = (room.clone(), administrator.clone());
            let (places, maker) = (world.places.clone(), world.maker.clone());
            tokio::spawn(async move {
                let _room = room.acquire().await?;
                let (mut made, fingerprint) = SimulatedBox::enrol(number, places, &maker).await?;
                let path = format!("/api/v1/boxes/{}/approve", made.id);
                administrator
                    .call(Method::POST, &path, Some(&json!({"fingerprint": fingerprint})))
                    .await?;
                made.attest().await?;
                Ok(made)
            })
        })
        .collect();
    let mut boxes = Vec::with_capacity(count);
    for task in tasks {
        boxes.push(task.await?.context("enrolling")?);
    }
    Ok(boxes)
}

/// What was done so far.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Reports.
    pub reports: u64,
    /// Proofs.
    pub evidence: u64,
    /// Heads of records.
    pub records: u64,
    /// Rounds that failed.
    pub failed: u64,
    /// Why the last one did.
    pub last_failure: String,
}

#[derive(Default)]
struct Tally {
    rounds: AtomicU64,
    evidence: AtomicU64,
    failed: AtomicU64,
    last_failure: Mutex<String>,
}

/// Every box with its clock.
pub struct Rounds {
    tally: Arc<Tally>,
    tasks: Vec<JoinHandle<()>>,
}

impl Rounds {
    /// Starts them all.
    pub fn start(boxes: Vec<SimulatedBox>, every: Duration) -> Self {
        let tally = Arc::new(Tally::default());
        let count = u32::try_from(boxes.len().max(1)).unwrap_or(u32::MAX);
        let began = Instant::now();
        let tasks = boxes
            .into_iter()
            .enumerate()
            .map(|(number, member)| {
                let first = began + every / count * u32::try_from(number).unwrap_or(0);
                tokio::spawn(keep_on(member, number, first, every, tally.clone()))
            })
            .collect();
        Self { tally, tasks }
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        let rounds = self.tally.rounds.load(Ordering::Relaxed);
        Counts {
            reports: rounds,
            records: rounds,
            evidence: self.tally.evidence.load(Ordering::Relaxed),
            failed: self.tally.failed.load(Ordering::Relaxed),
            last_failure: self
                .tally
                .last_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// Ends them all.
    pub fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

async fn keep_on(mut member: SimulatedBox, number: usize, first: Instant, every: Duration, tally: Arc<Tally>) {
    let mut clock = tokio::time::interval_at(first, every);
    for round in 0_usize.. {
        clock.tick().await;
        match member.round((round + number).is_multiple_of(PROOF_EVERY)).await {
            Ok(done) => {
                tally.rounds.fetch_add(1, Ordering::Relaxed);
                tally.evidence.fetch_add(u64::from(done.evidence), Ordering::Relaxed);
            }
            Err(error) => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                *tally.last_failure.lock().unwrap_or_else(PoisonError::into_inner) =
                    format!("{}: {error:#}", member.id);
            }
        }
    }
}

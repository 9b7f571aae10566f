//! What the box found about each release that it tried: confirmed, or gone back, with numbers.
//!
//! Refuses to forget that a release went back before the console can have heard it. Invariant: a release is confirmed by the
//! box's own check alone, and what is written here survives a restart.

use std::collections::{BTreeMap, BTreeSet};

use freehold_execute::{Admitted, Reading};
use freehold_protocol::health::{Answers, HEALTH_LIMIT, HealthState, ReleaseHealth, Requests, Speed};
use freehold_trust::Sha256Digest;
use freehold_verify::release::ReleaseKind;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::state::State;

/// Where it is kept.
const FILE: &str = "health.json";
/// Releases that are remembered after they left the store.
const REMEMBERED: usize = 16;
/// How often an engine may fail to start before its release counts as broken here.
pub(crate) const ENGINE_TRIES: u32 = 3;

/// One release that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tried {
    name: String,
    version: String,
    state: HealthState,
    answers: Option<Answers>,
    speed: Speed,
    /// How often its engine failed to start while it was on trial.
    engine_failures: u32,
    /// When its state last changed, unix seconds.
    at: i64,
    /// Counts up with every change, since the clock may not.
    turn: u64,
}

/// Every release that was tried, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthBook {
    v: u32,
    turn: u64,
    tried: BTreeMap<Sha256Digest, Tried>,
}

impl HealthBook {
    /// What was kept; a book of another form is no book, and every release is checked again.
    pub(crate) fn stored(state: &State) -> Result<Self, Fault> {
        let book = state.json::<Self>(FILE)?.filter(|book| book.v == 1);
        Ok(book.unwrap_or(Self {
            v: 1,
            ..Self::default()
        }))
    }

    /// Writes it.
    pub(crate) fn keep(&self, state: &State) -> Result<(), Fault> {
        state.put_json(FILE, self)
    }

    /// The releases that were confirmed here.
    pub(crate) fn confirmed(&self) -> BTreeSet<Sha256Digest> {
        let confirmed = (self.tried.iter()).filter(|(_, tried)| tried.state == HealthState::Confirmed);
        confirmed.map(|(release, _)| *release).collect()
    }

    /// By a model's name, the stored release of it that was confirmed last.
    pub(crate) fn standing(&self, stored: &BTreeMap<Sha256Digest, Admitted>) -> BTreeMap<String, Sha256Digest> {
        let mut latest: BTreeMap<String, (u64, Sha256Digest)> = BTreeMap::new();
        for (release, tried) in &self.tried {
            if tried.state != HealthState::Confirmed || !stored.contains_key(release) {
                continue;
            }
            let one = latest.entry(tried.name.clone()).or_insert((tried.turn, *release));
            if tried.turn > one.0 {
                *one = (tried.turn, *release);
            }
        }
        latest.into_iter().map(|(name, (_, release))| (name, release)).collect()
    }

    /// What a release of this name ran at before, by its self-test.
    fn speed_before(&self, name: &str, release: &Sha256Digest) -> Option<u64> {
        (self.tried.iter())
            .filter(|(other, tried)| *other != release && tried.name == name && tried.state == HealthState::Confirmed)
            .max_by_key(|(_, tried)| tried.turn)
            .and_then(|(_, tried)| tried.speed.now)
    }

    /// Notes how a health check ended.
    pub(crate) fn ended(&mut self, admitted: &Admitted, reading: Reading, state: HealthState, now: i64) {
        self.turn = self.turn.saturating_add(1);
        let tried = Tried {
            name: admitted.name.clone(),
            version: admitted.version.clone(),
            answers: reading.answers.map(|(right, total)| Answers { right, total }),
            speed: Speed {
                now: reading.speed,
                before: self.speed_before(&admitted.name, &admitted.release),
            },
            state,
            engine_failures: 0,
            at: now,
            turn: self.turn,
        };
        self.tried.insert(admitted.release, tried);
    }

    /// Notes that the engine of a release did not start; answers how often that was while the release was on trial, `None`
    /// when it was confirmed before.
    pub(crate) fn engine_failed(&mut self, admitted: &Admitted, now: i64) -> Option<u32> {
        let turn = self.turn;
        let tried = self.tried.entry(admitted.release).or_insert_with(|| Tried {
            name: admitted.name.clone(),
            version: admitted.version.clone(),
            state: HealthState::Trying,
            answers: None,
            speed: Speed::default(),
            engine_failures: 0,
            at: now,
            turn,
        });
        match tried.state {
            HealthState::Confirmed => None,
            _ => {
                tried.engine_failures = tried.engine_failures.saturating_add(1);
                Some(tried.engine_failures)
            }
        }
    }

    /// A new assignment asks for these releases: what went back is tried again, once it is there.
    pub(crate) fn asked(&mut self, wanted: &BTreeSet<Sha256Digest>) {
        self.tried.retain(|release, tried| {
            !(wanted.contains(release) && matches!(tried.state, HealthState::WentBack { .. }))
        });
    }

    /// Forgets what left the store long ago.
    pub(crate) fn prune(&mut self, stored: &BTreeMap<Sha256Digest, Admitted>) {
        let mut gone: Vec<(u64, Sha256Digest)> = (self.tried.iter())
            .filter(|(release, _)| !stored.contains_key(release))
            .map(|(release, tried)| (tried.turn, *release))
            .collect();
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(REMEMBERED);
        for (_, release) in gone.into_iter().take(surplus) {
            self.tried.remove(&release);
        }
    }

    /// For a report: what was tried, and what is being tried, latest first.
    pub(crate) fn report<'a>(
        &self,
        pursued: impl Iterator<Item = (&'a Sha256Digest, &'a str, &'a str)>,
        requests: impl Fn(&Sha256Digest) -> Requests,
    ) -> Vec<ReleaseHealth> {
        let full = |name: &str| format!("{}/{name}", ReleaseKind::Model.folder());
        let mut said: Vec<(u64, ReleaseHealth)> = (self.tried.iter())
            .map(|(release, tried)| {
                let health = ReleaseHealth {
                    release: release.to_hex(),
                    name: full(&tried.name),
                    version: tried.version.clone(),
                    state: tried.state.clone(),
                    answers: tried.answers,
                    requests: requests(release),
                    speed: tried.speed,
                };
                (tried.turn, health)
            })
            .collect();
        for (release, name, version) in pursued.filter(|(release, ..)| !self.tried.contains_key(release)) {
            let health = ReleaseHealth {
                release: release.to_hex(),
                name: full(name),
                version: version.to_owned(),
                state: HealthState::Trying,
                answers: None,
                requests: Requests::default(),
                speed: Speed::default(),
            };
            said.push((u64::MAX, health));
        }
        said.sort_by(|(turn, _), (other, _)| other.cmp(turn));
        said.into_iter().map(|(_, health)| health).take(HEALTH_LIMIT).collect()
    }
}

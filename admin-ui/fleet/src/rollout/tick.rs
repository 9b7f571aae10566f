//! The tick: from plan, facts and time to the next changes.
//!
//! Refuses to look at anything else, and to act where it could not tell. Invariant: a tick right after a tick changes nothing.

use super::facts::Judgement;
use super::member::Stage;
use super::state::{Change, Phase, Rollout, Stopped};
use super::waiting::Room;

impl Rollout {
    /// The changes that are due at `now`, in the order in which they hold. Changes nothing itself.
    #[must_use]
    pub fn tick(&self, now: i64) -> Vec<Change> {
        let mut next = Next {
            rollout: self.clone(),
            changes: Vec::new(),
            now,
        };
        next.judge();
        next.guard();
        match next.rollout.phase {
            Phase::Running => {
                next.return_failed();
                next.waves();
            }
            Phase::RollingBack(_) => next.roll_back(),
            _ => {}
        }
        next.changes
    }
}

/// The state as the changes so far leave it.
struct Next {
    rollout: Rollout,
    changes: Vec<Change>,
    now: i64,
}

impl Next {
    fn change(&mut self, change: Change) {
        self.rollout.apply(&change);
        self.changes.push(change);
    }

    fn stage(&mut self, place: usize, stage: Stage) {
        let at = self.now;
        self.change(Change::StageSet { place, stage, at });
    }

    /// Turns facts into stages.
    fn judge(&mut self) {
        for place in 0..self.rollout.boxes.len() {
            if let Some(stage) = self.judged(place) {
                self.stage(place, stage);
            }
        }
    }

    fn judged(&self, place: usize) -> Option<Stage> {
        let one = self.rollout.boxes.get(place)?;
        let by_stick = self.rollout.plan.boxes.get(place)?.by_stick;
        let patience = self.rollout.plan.patience;
        let is_late = one.told_at.is_some_and(|told| self.now.saturating_sub(told) > patience);
        let stage = match (&one.stage, one.facts.judge(&self.rollout.plan.gates)) {
            (Stage::Waiting | Stage::WentBack { .. } | Stage::Returned { .. }, _) => return None,
            (Stage::ReturnOrdered { failed }, _) if one.facts.back => Stage::Returned { failed: *failed },
            (Stage::ReturnOrdered { .. }, _) => return None,
            (_, Judgement::WentBack { code }) => Stage::WentBack { code },
            (_, Judgement::Failed { gate }) => Stage::Failed { gate: gate.to_owned() },
            (_, Judgement::Healthy) => Stage::Healthy,
            (Stage::Ordered, Judgement::Open) if is_late && !by_stick => Stage::Silent,
            (_, Judgement::Open) => return None,
        };
        (stage != one.stage).then_some(stage)
    }

    /// Stops what has gone too far: too many failures, too late.
    fn guard(&mut self) {
        if !matches!(self.rollout.phase, Phase::Running | Phase::Paused { .. }) {
            return;
        }
        let failed = u32::try_from(self.rollout.count(Stage::is_failure)).unwrap_or(u32::MAX);
        if failed > self.rollout.plan.failure_budget {
            let boxes = self.rollout.plan.boxes.iter().zip(&self.rollout.boxes);
            let last = boxes
                .filter(|(_, one)| one.stage.is_failure())
                .max_by_key(|(_, one)| one.since)
                .map(|(planned, _)| planned.box_id.clone())
                .unwrap_or_default();
            self.change(Change::PhaseSet(Phase::RollingBack(Stopped::Budget { failed, last })));
        } else if self.now >= self.rollout.plan.deadline {
            self.change(Change::PhaseSet(Phase::Expired));
        }
    }

    /// Sends boxes back at which a gate does not hold.
    fn return_failed(&mut self) {
        let mut room = Room::of(&self.rollout, self.now);
        for place in 0..self.rollout.boxes.len() {
            let is_failed =
                matches!(self.rollout.boxes.get(place), Some(one) if matches!(one.stage, Stage::Failed { .. }));
            if is_failed && self.rollout.may_return(place, &room).is_ok() {
                room.take(&self.rollout, place);
                self.stage(place, Stage::ReturnOrdered { failed: true });
            }
        }
    }

    /// Begins the next wave when it may, and orders boxes of those that have begun.
    fn waves(&mut self) {
        let next = self.rollout.waves.len();
        if self.rollout.may_begin(next, self.now).is_ok() {
            self.change(Change::WaveBegun {
                wave: next,
                at: self.now,
            });
        }
        let begun = self.rollout.plan.places(self.rollout.waves.len().saturating_sub(1)).end;
        let begun = if self.rollout.waves.is_empty() { 0 } else { begun };
        let mut room = Room::of(&self.rollout, self.now);
        for place in 0..begun {
            if self.rollout.may_order(place, &room).is_ok() {
                room.take(&self.rollout, place);
                self.stage(place, Stage::Ordered);
            }
        }
        let is_done = self.rollout.waves.len() == self.rollout.plan.waves.len()
            && self
                .rollout
                .boxes
                .iter()
                .all(|one| one.stage.is_settled() || one.stage == Stage::Silent);
        if is_done {
            self.change(Change::PhaseSet(Phase::Done));
        }
    }

    /// Sends every box back that has the release.
    fn roll_back(&mut self) {
        let mut room = Room::of(&self.rollout, self.now);
        for place in 0..self.rollout.boxes.len() {
            let Some(one) = self.rollout.boxes.get(place) else {
                continue;
            };
            let failed = one.stage.is_failure();
            if one.stage.has_release() && self.rollout.may_return(place, &room).is_ok() {
                room.take(&self.rollout, place);
                self.stage(place, Stage::ReturnOrdered { failed });
            }
        }
        let is_back = self
            .rollout
            .boxes
            .iter()
            .all(|one| !one.stage.has_release() && !matches!(one.stage, Stage::ReturnOrdered { .. }));
        if let (true, Phase::RollingBack(why)) = (is_back, &self.rollout.phase) {
            let done = Phase::RolledBack(why.clone());
            self.change(Change::PhaseSet(done));
        }
    }
}

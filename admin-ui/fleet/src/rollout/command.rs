//! What people and boxes say to a rollout.
//!
//! Refuses a command that may not be, and never half of one. Invariant: a command that has already taken effect answers with
//! no change, so that it may be repeated.

use super::facts::Fact;
use super::member::{Progress, Stage};
use super::rejection::RolloutRejection;
use super::state::{Change, Phase, Rollout, Stopped};

/// A command of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Approves the plan with this digest.
    Approve {
        /// Who.
        by: String,
        /// SHA-256 of the plan that was shown, hex.
        digest: String,
    },
    /// Begins.
    Start {
        /// Who.
        by: String,
    },
    /// Begins nothing more for now.
    Pause {
        /// Who.
        by: String,
    },
    /// Goes on.
    Resume {
        /// Who.
        by: String,
    },
    /// Begins nothing more; boxes stay as they are.
    Abort {
        /// Who.
        by: String,
    },
    /// Sends every box back that has the release.
    RollBack {
        /// Who.
        by: String,
    },
    /// Lets a wave begin that waits for a person.
    AllowWave {
        /// Who.
        by: String,
        /// Which, counted from 1.
        wave: usize,
    },
}

impl Rollout {
    /// What comes of a command at `now`. Changes nothing.
    ///
    /// # Errors
    ///
    /// Why it may not be.
    pub fn command(&self, command: &Command, now: i64) -> Result<Vec<Change>, RolloutRejection> {
        let over = || RolloutRejection::Ended {
            phase: self.phase.word(),
        };
        match command {
            Command::Approve { by, digest } => self.approve(by, digest),
            Command::Start { .. } => self.start(now),
            Command::AllowWave { by, wave } => self.allow(by, *wave),
            Command::Pause { by } => match &self.phase {
                Phase::Proposed => Err(RolloutRejection::NotStarted),
                Phase::Paused { .. } => Ok(Vec::new()),
                Phase::Running => Ok(vec![Change::PhaseSet(Phase::Paused { by: by.clone() })]),
                _ => Err(over()),
            },
            Command::Resume { .. } => match &self.phase {
                Phase::Proposed => Err(RolloutRejection::NotStarted),
                Phase::Running => Ok(Vec::new()),
                Phase::Paused { .. } => Ok(vec![Change::PhaseSet(Phase::Running)]),
                _ => Err(over()),
            },
            Command::Abort { by } => match &self.phase {
                Phase::Aborted { .. } => Ok(Vec::new()),
                phase if phase.is_over() => Err(over()),
                _ => Ok(vec![Change::PhaseSet(Phase::Aborted { by: by.clone() })]),
            },
            Command::RollBack { by } => match &self.phase {
                Phase::Proposed => Err(RolloutRejection::NotStarted),
                Phase::RollingBack(_) | Phase::RolledBack(_) => Ok(Vec::new()),
                // Also what is done, aborted or expired can be taken back.
                _ => Ok(vec![Change::PhaseSet(Phase::RollingBack(Stopped::Person {
                    by: by.clone(),
                }))]),
            },
        }
    }

    /// What a box, or the verifier of its evidence, adds. A fact about a box that was not told anything, or that is not in the
    /// plan, adds nothing.
    #[must_use]
    pub fn hear(&self, box_id: &str, fact: &Fact) -> Vec<Change> {
        self.place(box_id)
            .map(|place| self.hear_at(place, fact))
            .unwrap_or_default()
    }

    /// [`Rollout::hear`] for the box at a place of the plan.
    #[must_use]
    pub fn hear_at(&self, place: usize, fact: &Fact) -> Vec<Change> {
        let is_answer = |one: &Progress| match fact {
            // What a box runs before it is told to go back says nothing about going back.
            Fact::Back => matches!(one.stage, Stage::ReturnOrdered { .. }),
            _ => one.told_at.is_some(),
        };
        match self.boxes.get(place) {
            Some(one) if is_answer(one) && one.facts.join(fact) != one.facts => vec![Change::FactAdded {
                place,
                fact: fact.clone(),
            }],
            _ => Vec::new(),
        }
    }

    /// That a box is out of service, or back, for reasons of its own.
    #[must_use]
    pub fn hear_down(&self, box_id: &str, down: bool) -> Vec<Change> {
        match self
            .place(box_id)
            .and_then(|place| Some((place, self.boxes.get(place)?)))
        {
            Some((place, one)) if one.down != down => vec![Change::Down { place, down }],
            _ => Vec::new(),
        }
    }

    fn approve(&self, by: &str, digest: &str) -> Result<Vec<Change>, RolloutRejection> {
        if self.phase.is_over() {
            return Err(RolloutRejection::Ended {
                phase: self.phase.word(),
            });
        }
        let expected = self.plan.digest().to_string();
        if digest != expected {
            return Err(RolloutRejection::PlanChanged {
                expected,
                found: digest.to_owned(),
            });
        }
        if by == self.plan.by {
            return Err(RolloutRejection::OwnPlan { by: by.to_owned() });
        }
        if self.approvals.iter().any(|known| known == by) {
            return Ok(Vec::new());
        }
        Ok(vec![Change::Approved { by: by.to_owned() }])
    }

    fn start(&self, now: i64) -> Result<Vec<Change>, RolloutRejection> {
        match &self.phase {
            Phase::Proposed => {}
            phase if phase.is_over() => return Err(RolloutRejection::Ended { phase: phase.word() }),
            _ => return Ok(Vec::new()),
        }
        let found = u32::try_from(self.approvals.len()).unwrap_or(u32::MAX);
        if found < self.plan.approvals {
            return Err(RolloutRejection::NotApproved {
                expected: self.plan.approvals,
                found,
            });
        }
        if now >= self.plan.deadline {
            return Err(RolloutRejection::Deadline {
                deadline: self.plan.deadline,
                now,
            });
        }
        Ok(vec![Change::Started { at: now }])
    }

    fn allow(&self, by: &str, wave: usize) -> Result<Vec<Change>, RolloutRejection> {
        if self.phase.is_over() {
            return Err(RolloutRejection::Ended {
                phase: self.phase.word(),
            });
        }
        let place = wave
            .checked_sub(1)
            .filter(|place| self.plan.waves.get(*place).is_some_and(|wave| wave.person));
        match place {
            None => Err(RolloutRejection::NoSuchWave { wave }),
            Some(place) if self.allowed.contains_key(&place) => Ok(Vec::new()),
            Some(place) => Ok(vec![Change::WaveAllowed {
                wave: place,
                by: by.to_owned(),
            }]),
        }
    }
}

//! The clockwork of a simulation: time goes on, boxes answer, the rollout ticks, everything is written down and checked.
//!
//! Refuses to help the rollout: what it does wrong is a [`Finding`], looked for with the plan alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::fleet::{Fate, boxes, fate, release};
use super::scenario::{MAX_BOXES, MAX_DAYS, Scenario, ScenarioFault};
use super::transcript::Transcript;
use crate::rollout::{Change, Command, Draft, Fact, Rollout, Stage};

/// Seconds between two looks at the fleet.
const STEP: i64 = 300;

/// Something that a rollout must never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A box was told something outside its window.
    OutsideWindow {
        /// Which.
        box_id: String,
    },
    /// More boxes than allowed were told at once.
    OverLimit {
        /// How many were out of service.
        found: u32,
    },
    /// A box was told twice to go the same way.
    ToldTwice {
        /// Which.
        box_id: String,
    },
}

/// A simulation that was played.
#[derive(Debug, Clone)]
pub struct Played {
    /// What happened, for a person.
    pub transcript: String,
    /// What must never happen and did.
    pub findings: Vec<Finding>,
    /// The rollout as it ended.
    pub rollout: Rollout,
}

enum Coming {
    Facts(usize),
    Back(usize),
    Returns(usize),
    Says(Command),
}

/// Plays a scenario.
///
/// # Errors
///
/// [`ScenarioFault`]: the scenario cannot be played.
pub fn play(scenario: &Scenario) -> Result<Played, ScenarioFault> {
    let count: u64 = scenario
        .sites
        .iter()
        .map(|site| u64::from(site.boxes).saturating_mul(u64::from(site.count)))
        .sum();
    if count > u64::from(MAX_BOXES) || scenario.days > MAX_DAYS {
        return Err(ScenarioFault::TooLarge);
    }
    let begins: jiff::Timestamp = scenario
        .begins
        .parse()
        .map_err(|_| ScenarioFault::Begins(scenario.begins.clone()))?;
    let begins = begins.as_second();
    let plan = draft(scenario, begins).plan(begins)?;
    let fates: Vec<Fate> = plan.boxes.iter().map(|planned| fate(scenario, planned)).collect();
    let mut player = Player {
        transcript: Transcript::new(scenario, &plan, begins),
        rollout: Rollout::new(plan),
        fates,
        coming: BTreeMap::new(),
        due: BinaryHeap::new(),
        findings: Vec::new(),
    };
    for happening in &scenario.happenings {
        let at = begins.saturating_add(i64::from(happening.hour).saturating_mul(3600));
        player.at(at, Coming::Says(understand(&happening.says)?));
    }
    player.begin(begins)?;
    player.run(begins, scenario.days);
    let transcript = player.transcript.close(&player.rollout, &player.findings);
    Ok(Played {
        transcript,
        findings: player.findings,
        rollout: player.rollout,
    })
}

fn draft(scenario: &Scenario, begins: i64) -> Draft {
    let wish = &scenario.rollout;
    let boxes = boxes(scenario);
    let windows = scenario.sites.iter().flat_map(|site| {
        let window = site.window.clone();
        let names = boxes
            .iter()
            .map(|planned| &planned.site)
            .filter(move |name| **name == site.name || name.starts_with(&format!("{} ", site.name)));
        names.filter_map(move |name| Some((name.clone(), window.clone()?)))
    });
    let windows = windows.collect();
    Draft {
        id: scenario.title.clone(),
        by: "operator".to_owned(),
        release: release("2"),
        boxes,
        waves: wish.waves.clone(),
        gates: wish.gates,
        limits: wish.limits,
        windows,
        returns: wish.returns,
        failure_budget: wish.failure_budget,
        patience: i64::from(wish.patience_hours).saturating_mul(3600),
        approvals: 1,
        deadline: begins.saturating_add(i64::from(wish.deadline_days).saturating_mul(86_400)),
    }
}

fn understand(says: &str) -> Result<Command, ScenarioFault> {
    let by = "operator".to_owned();
    Ok(match says {
        "pause" => Command::Pause { by },
        "resume" => Command::Resume { by },
        "abort" => Command::Abort { by },
        "roll back" => Command::RollBack { by },
        _ => {
            let wave = says.strip_prefix("allow wave ").and_then(|number| number.parse().ok());
            let wave = wave.ok_or_else(|| ScenarioFault::Says(says.to_owned()))?;
            Command::AllowWave { by, wave }
        }
    })
}

struct Player {
    transcript: Transcript,
    rollout: Rollout,
    fates: Vec<Fate>,
    coming: BTreeMap<u64, Coming>,
    due: BinaryHeap<Reverse<(i64, u64)>>,
    findings: Vec<Finding>,
}

impl Player {
    fn at(&mut self, when: i64, what: Coming) {
        let number = self
            .coming
            .last_key_value()
            .map_or(0, |(last, _)| last.saturating_add(1));
        self.coming.insert(number, what);
        self.due.push(Reverse((when, number)));
    }

    fn begin(&mut self, now: i64) -> Result<(), ScenarioFault> {
        let digest = self.rollout.plan().digest().to_string();
        let by = "approver".to_owned();
        for command in [Command::Approve { by: by.clone(), digest }, Command::Start { by }] {
            let changes = self.rollout.command(&command, now)?;
            self.rollout.apply_all(&changes);
        }
        for place in 0..self.fates.len() {
            if let Some(away) = self.fates.get(place).and_then(|fate| fate.away) {
                self.rollout.apply(&Change::Down { place, down: true });
                self.at(now.saturating_add(away), Coming::Returns(place));
            }
        }
        Ok(())
    }

    fn run(&mut self, begins: i64, days: u32) {
        let ends = begins.saturating_add(i64::from(days).saturating_mul(86_400));
        let mut now = begins;
        while now <= ends {
            self.transcript.day(&self.rollout, now);
            self.hear(now);
            let changes = self.rollout.tick(now);
            self.look(&changes, now);
            if self.rollout.phase().is_over() && self.due.is_empty() {
                break;
            }
            now = now.saturating_add(STEP);
        }
    }

    fn hear(&mut self, now: i64) {
        while let Some(Reverse((when, number))) = self.due.peek().copied() {
            if when > now {
                break;
            }
            self.due.pop();
            let Some(coming) = self.coming.remove(&number) else {
                continue;
            };
            let changes = match coming {
                Coming::Facts(place) => {
                    let facts = self.fates.get(place).map(|fate| fate.facts.clone()).unwrap_or_default();
                    facts
                        .iter()
                        .flat_map(|fact| self.rollout.hear_at(place, fact))
                        .collect()
                }
                Coming::Back(place) => self.rollout.hear_at(place, &Fact::Back),
                Coming::Returns(place) => vec![Change::Down { place, down: false }],
                Coming::Says(command) => {
                    let answer = self.rollout.command(&command, now);
                    self.transcript.says(&command, answer.as_ref().err(), now);
                    answer.unwrap_or_default()
                }
            };
            self.transcript.changes(&self.rollout, &changes, now);
            self.rollout.apply_all(&changes);
        }
    }

    /// Applies what a tick decided, checks it against the plan, and lets boxes answer.
    fn look(&mut self, changes: &[Change], now: i64) {
        self.transcript.changes(&self.rollout, changes, now);
        for change in changes {
            let before = match change {
                Change::StageSet { place, .. } => self.rollout.progress().get(*place).map(|one| one.stage.clone()),
                _ => None,
            };
            self.rollout.apply(change);
            if let Change::StageSet { place, stage, .. } = change
                && matches!(stage, Stage::Ordered | Stage::ReturnOrdered { .. })
            {
                self.check(*place, before.as_ref(), stage, now);
                self.answer(*place, stage, now);
            }
        }
        let out = u32::try_from(self.out_of_service()).unwrap_or(u32::MAX);
        self.transcript.most_out(out);
    }

    fn out_of_service(&self) -> usize {
        let boxes = self.rollout.plan().boxes.iter().zip(self.rollout.progress());
        boxes
            .filter(|(planned, one)| !planned.by_stick && one.stage.is_out_of_service())
            .count()
    }

    fn check(&mut self, place: usize, before: Option<&Stage>, stage: &Stage, now: i64) {
        let plan = self.rollout.plan();
        let Some(planned) = plan.boxes.get(place) else { return };
        let box_id = planned.box_id.clone();
        let may_any = planned.by_stick
            || (matches!(stage, Stage::ReturnOrdered { .. }) && plan.returns == crate::rollout::ReturnTime::Anytime);
        let closed = plan
            .windows
            .get(&planned.site)
            .is_some_and(|window| window.closes(now).is_none());
        if closed && !may_any {
            self.findings.push(Finding::OutsideWindow { box_id: box_id.clone() });
        }
        if before == Some(stage) {
            self.findings.push(Finding::ToldTwice { box_id });
        }
        let found = u32::try_from(self.out_of_service()).unwrap_or(u32::MAX);
        let adds = before.is_some_and(|stage| !stage.is_out_of_service());
        if adds && found > self.rollout.plan().limits.unavailable {
            self.findings.push(Finding::OverLimit { found });
        }
    }

    fn answer(&mut self, place: usize, stage: &Stage, now: i64) {
        let Some(fate) = self.fates.get(place) else { return };
        let takes = fate.takes;
        // A box that never answers does not answer to going back either.
        if fate.facts.is_empty() {
            return;
        }
        let coming = match stage {
            Stage::Ordered => Coming::Facts(place),
            _ => Coming::Back(place),
        };
        self.at(now.saturating_add(takes), coming);
    }
}

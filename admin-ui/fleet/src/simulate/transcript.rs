//! What a simulation looks like to a person.
//!
//! Refuses to leave out what went wrong: findings stand at the end, also when there are none.

use std::fmt::Write as _;

use super::clockwork::Finding;
use super::scenario::Scenario;
use crate::rollout::{Change, Command, Phase, Plan, Rollout, RolloutRejection, Stage, Stopped};

/// Lines about single boxes before the rest is only counted.
const SINGLE: usize = 6;
const DAY: i64 = 86_400;

pub(super) struct Transcript {
    text: String,
    begins: i64,
    days: i64,
    singles: usize,
    most_out: u32,
}

impl Transcript {
    pub(super) fn new(scenario: &Scenario, plan: &Plan, begins: i64) -> Self {
        let mut text = format!("{}\n\n", scenario.title);
        let sites: std::collections::BTreeSet<_> = plan.boxes.iter().map(|one| &one.site).collect();
        let sticks = plan.boxes.iter().filter(|one| one.by_stick).count();
        let _ = writeln!(
            text,
            "{} boxes at {} sites, {} of them by stick; {} → {}; seed {}",
            plan.boxes.len(),
            sites.len(),
            sticks,
            plan.release.name,
            plan.release.version,
            scenario.seed
        );
        let _ = writeln!(
            text,
            "at most {} out of service, {} a site; failure budget {}; begins {}\n",
            plan.limits.unavailable, plan.limits.unavailable_per_site, plan.failure_budget, scenario.begins
        );
        Self {
            text,
            begins,
            days: 0,
            singles: 0,
            most_out: 0,
        }
    }

    pub(super) const fn most_out(&mut self, out: u32) {
        if out > self.most_out {
            self.most_out = out;
        }
    }

    /// One line for each day that begins.
    pub(super) fn day(&mut self, rollout: &Rollout, now: i64) {
        let day = now.saturating_sub(self.begins).checked_div(DAY).unwrap_or(0);
        if day <= self.days || rollout.phase().is_over() {
            return;
        }
        self.days = day;
        self.line(now, &format!("· {}", counts(rollout)));
    }

    pub(super) fn says(&mut self, command: &Command, refused: Option<&RolloutRejection>, now: i64) {
        let what = match command {
            Command::Approve { .. } => "approves".to_owned(),
            Command::Start { .. } => "starts it".to_owned(),
            Command::Pause { .. } => "pauses it".to_owned(),
            Command::Resume { .. } => "lets it go on".to_owned(),
            Command::Abort { .. } => "aborts it".to_owned(),
            Command::RollBack { .. } => "rolls it back".to_owned(),
            Command::AllowWave { wave, .. } => format!("lets wave {wave} begin"),
        };
        let answer = refused.map(|why| format!("  refused: {why}")).unwrap_or_default();
        self.line(now, &format!("a person {what}{answer}"));
    }

    pub(super) fn changes(&mut self, rollout: &Rollout, changes: &[Change], now: i64) {
        for change in changes {
            match change {
                Change::WaveBegun { wave, .. } => {
                    let boxes = rollout.plan().places(*wave).len();
                    let all = rollout.plan().waves.len();
                    let number = wave.saturating_add(1);
                    self.line(now, &format!("wave {number} of {all} begins: {boxes} boxes"));
                }
                Change::PhaseSet(phase) => self.phase(phase, now),
                Change::StageSet { place, stage, .. } => {
                    let name = rollout.plan().boxes.get(*place).map_or("", |one| one.box_id.as_str());
                    self.single(name, stage, now);
                }
                _ => {}
            }
        }
    }

    fn phase(&mut self, phase: &Phase, now: i64) {
        let text = match phase {
            Phase::RollingBack(Stopped::Budget { failed, last }) => {
                format!("STOPS: {failed} boxes failed, the last was {last}; every box goes back")
            }
            Phase::RollingBack(Stopped::Person { .. }) => "every box goes back".to_owned(),
            Phase::RolledBack(_) => "every box is back".to_owned(),
            other => other.word().to_owned(),
        };
        self.line(now, &text);
    }

    fn single(&mut self, name: &str, stage: &Stage, now: i64) {
        let what = match stage {
            Stage::WentBack { code } => format!("went back by itself ({code})"),
            Stage::Failed { gate } => format!("fails the gate `{gate}`"),
            Stage::Silent => "has not answered".to_owned(),
            _ => return,
        };
        self.singles = self.singles.saturating_add(1);
        match self.singles.cmp(&SINGLE) {
            std::cmp::Ordering::Less | std::cmp::Ordering::Equal => self.line(now, &format!("  {name} {what}")),
            std::cmp::Ordering::Greater if self.singles == SINGLE.saturating_add(1) => {
                self.line(now, "  … further boxes are only counted");
            }
            std::cmp::Ordering::Greater => {}
        }
    }

    fn line(&mut self, now: i64, text: &str) {
        let past = now.saturating_sub(self.begins);
        let part = |unit: i64, of: i64| past.checked_div(unit).unwrap_or(0).checked_rem(of).unwrap_or(0);
        let _ = writeln!(
            self.text,
            "day {:>2} {:02}:{:02}  {text}",
            past.checked_div(DAY).unwrap_or(0),
            part(3600, 24),
            part(60, 60)
        );
    }

    pub(super) fn close(&self, rollout: &Rollout, findings: &[Finding]) -> String {
        let mut text = self.text.clone();
        let _ = writeln!(text, "\n{}: {}", rollout.phase().word(), counts(rollout));
        let _ = writeln!(text, "most out of service at once: {}", self.most_out);
        if findings.is_empty() {
            let _ = writeln!(text, "told outside a window, over a limit, or twice: none");
        }
        for finding in findings {
            let _ = writeln!(text, "WRONG: {finding:?}");
        }
        text
    }
}

fn counts(rollout: &Rollout) -> String {
    let count = |stage: fn(&Stage) -> bool| rollout.count(stage);
    let mut text = format!(
        "{} healthy, {} waiting, {} ordered",
        count(|stage| *stage == Stage::Healthy),
        count(|stage| *stage == Stage::Waiting),
        count(|stage| *stage == Stage::Ordered)
    );
    let rest: [(&str, usize); 5] = [
        ("went back", count(|stage| matches!(stage, Stage::WentBack { .. }))),
        ("failed", count(|stage| matches!(stage, Stage::Failed { .. }))),
        ("silent", count(|stage| matches!(stage, Stage::Silent))),
        (
            "told to go back",
            count(|stage| matches!(stage, Stage::ReturnOrdered { .. })),
        ),
        ("back", count(|stage| matches!(stage, Stage::Returned { .. }))),
    ];
    for (word, found) in rest.into_iter().filter(|(_, found)| *found > 0) {
        let _ = write!(text, ", {found} {word}");
    }
    let late = rollout.plan().boxes.iter().zip(rollout.progress());
    let late = late
        .filter(|(planned, one)| planned.by_stick && one.stage == Stage::Ordered)
        .count();
    if late > 0 {
        let _ = write!(text, " ({late} by stick not back yet)");
    }
    text
}

//! From what a box reported, and what its verifier said, to facts of a rollout.
//!
//! Refuses to take an old report for an answer: a report counts once the box has taken the assignment that it was told by.
//! Invariant: facts are read from the fleet's state as it is, so a console that starts again finds every one of them.

use freehold_protocol::health::{HealthState, ReleaseHealth};
use freehold_protocol::status::ModelPhase;

use super::facts::{Fact, Outcome};
use super::member::{Direction, Progress, Stage};
use super::plan::ReleaseRef;
use super::state::Order;
use crate::member::Member;

/// Fewer requests say nothing about a share of failures.
const ENOUGH_REQUESTS: u64 = 20;
/// Codes that a box can make the console keep are cut at this length.
const CODE_LIMIT: usize = 64;

/// What a box's part in a rollout is, and what to compare with.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// What it was told last.
    pub order: &'a Order,
    /// Where it stands.
    pub progress: &'a Progress,
    /// Root digest of the model that the plan's release brings, hex; `None` where it is no model.
    pub root: Option<&'a str>,
}

/// The facts that a box's last report and verdict hold about its part.
#[must_use]
pub fn heard(member: &Member, told: &Told<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let (Some(report), Some(head), Some(at)) = (&member.report, &member.assignment, told.progress.told_at) else {
        return facts;
    };
    // The box says which assignment it has taken; before that, its report is about the one before.
    let taken = report.pursuing.or(report.achieved);
    if taken != Some(head.counter) {
        return facts;
    }
    match (told.order.direction, &told.order.run) {
        (Direction::Forward, Some(release)) => {
            let of_it = |health: &&ReleaseHealth| health.release == release.sha256;
            let outcome = match report.health.iter().find(of_it) {
                Some(health) => outcome(health),
                None => refused(member, release),
            };
            if matches!(outcome, Some(Outcome::Confirmed { .. }))
                && let Some(verdict) = verdict_since(member, at, told.root)
            {
                facts.push(Fact::Verdict(verdict));
            }
            facts.extend(outcome.map(Fact::Forward));
        }
        (Direction::Back, _) if report.achieved == Some(head.counter) => {
            if matches!(told.progress.stage, Stage::ReturnOrdered { .. }) {
                facts.push(Fact::Back);
            }
        }
        _ => {}
    }
    facts
}

/// How the change went, by the box's own word.
fn outcome(health: &ReleaseHealth) -> Option<Outcome> {
    match &health.state {
        HealthState::Trying => None,
        HealthState::WentBack { code } => Some(Outcome::WentBack { code: plain(code) }),
        HealthState::Confirmed => Some(Outcome::Confirmed {
            wrong_percent: health.answers.map_or(0, |answers| {
                let wrong = answers.total.saturating_sub(answers.right);
                // One wrong answer of a thousand is not none.
                u8::try_from(part(wrong.into(), answers.total.into(), 100)).unwrap_or(100)
            }),
            errors_permille: {
                let all = health.requests.served.saturating_add(health.requests.failed);
                let share = part(health.requests.failed, all, 1000);
                if all < ENOUGH_REQUESTS {
                    0
                } else {
                    u16::try_from(share).unwrap_or(1000)
                }
            },
            slower_percent: match (health.speed.now, health.speed.before) {
                (Some(now), Some(before)) if now < before => {
                    // Rounded down: a gate at 80 % is passed by 80 %.
                    let missing = before.saturating_sub(now).saturating_mul(100);
                    u16::try_from(missing.checked_div(before).unwrap_or(0)).unwrap_or(100)
                }
                _ => 0,
            },
        }),
    }
}

/// A share in `of` parts, rounded up; of nothing it is nothing.
fn part(some: u64, all: u64, of: u64) -> u64 {
    if all == 0 {
        return 0;
    }
    some.saturating_mul(of).div_ceil(all).min(of)
}

/// A release that the box did not even take: it goes on with what it ran.
fn refused(member: &Member, release: &ReleaseRef) -> Option<Outcome> {
    let report = member.report.as_ref()?;
    let name = release.name.rsplit('/').next()?;
    let model = report
        .models
        .iter()
        .find(|model| model.name == name && model.version == release.version && model.phase == ModelPhase::Refused)?;
    let code = model.reason.as_deref().unwrap_or("release.refused");
    Some(Outcome::WentBack { code: plain(code) })
}

/// A verdict reached since the box was told, on evidence that names the new model: `Some(None)` is a good one.
fn verdict_since(member: &Member, since: i64, root: Option<&str>) -> Option<Option<String>> {
    let verdict = member.verdict.as_ref().filter(|verdict| verdict.at >= since)?;
    if !verdict.word.allows_change() {
        let code = verdict.refusals.first().map(|refusal| plain(&refusal.code));
        return Some(Some(code.unwrap_or_else(|| "verdict".to_owned())));
    }
    let names_it = root.is_none_or(|root| {
        let models = verdict.claims.get("models").and_then(serde_json::Value::as_array);
        models.is_some_and(|models| models.iter().any(|model| model.as_str() == Some(root)))
    });
    names_it.then_some(None)
}

fn plain(code: &str) -> String {
    code.chars()
        .filter(|letter| !letter.is_control())
        .take(CODE_LIMIT)
        .collect()
}

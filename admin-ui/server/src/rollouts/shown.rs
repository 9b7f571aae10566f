//! A rollout as everybody is shown it: API, pages and command line are filled from the same value.
//!
//! Refuses to say less than it knows: a box that waits says for what, one that went back says why. Invariant: shown from plan,
//! state and time alone, besides the boxes' labels.

use freehold_fleet::Fleet;
use freehold_fleet::rollout::{Phase, Plan, Progress, Stage, Stopped, WaitingOn};
use freehold_protocol::fingerprint::words_of;
use freehold_verify::webauthn::encoded;
use serde::Serialize;
use utoipa::ToSchema;

use super::Kept;
use crate::approvals::Asked;

/// One box of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BoxShown {
    /// Its identifier.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Its label; from outside.
    pub label: String,
    /// Where it stands.
    pub site: String,
    /// `waiting`, `ordered`, `healthy`, `went_back`, `failed`, `silent`, `return_ordered` or `returned`.
    pub stage: &'static str,
    /// The word for people.
    pub word: &'static str,
    /// When that began, Unix seconds.
    pub since: Option<i64>,
    /// Why it went back or failed: a refusal code, or the gate.
    pub code: Option<String>,
    /// What it waits for, while it waits.
    pub waits: Option<String>,
    /// Until when, where that is known, Unix seconds.
    pub until: Option<i64>,
    /// Whether it is reached by stick only.
    pub by_stick: bool,
    /// What it ran before: version, if any.
    pub from: Option<String>,
    /// Bytes that it lacked when the plan was made.
    pub bytes: u64,
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaveShown {
    /// From 1.
    pub number: usize,
    /// `waiting`, `running` or `done`.
    pub state: &'static str,
    /// When it began, Unix seconds.
    pub begun: Option<i64>,
    /// The earliest time at which it may begin, Unix seconds; before the start, seconds after it.
    pub earliest: i64,
    /// Whether a person has to let it begin.
    pub person: bool,
    /// What the wave itself waits for, while it waits.
    pub waits: Option<String>,
    /// Until when, where that is known, Unix seconds.
    pub until: Option<i64>,
    /// Bytes that its boxes lacked when the plan was made.
    pub bytes: u64,
    /// Its boxes, in the order in which they are reached.
    pub boxes: Vec<BoxShown>,
}

/// How many boxes are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct CountsShown {
    /// All of the plan.
    pub all: usize,
    /// Run the release, every gate holds.
    pub healthy: usize,
    /// Told, and nothing said yet.
    pub ordered: usize,
    /// Not touched yet.
    pub waiting: usize,
    /// Went back, failed, silent, or on the way back.
    pub failed: usize,
    /// Of all of them, reached by stick only.
    pub by_stick: usize,
    /// Of those, back with an answer.
    pub by_stick_back: usize,
}

/// One person's approval by passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GivenShown {
    /// The approver's name in the policy.
    pub name: String,
    /// When, Unix seconds.
    pub at: i64,
}

/// What the publisher's policy wants of people before a box takes the release. Each box checks it by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApprovalShown {
    /// How many people have to approve with a passkey.
    pub needed: u32,
    /// How many are missing.
    pub missing: u32,
    /// What is approved: JSON text, its bytes as they are signed.
    pub statement: String,
    /// SHA-256 of the statement, hex.
    pub sha256: String,
    /// Its first bytes as words, to be read aloud.
    pub words: String,
    /// The same as a passkey's challenge, base64url without padding.
    pub challenge: String,
    /// Until when boxes take it, Unix seconds.
    pub until: i64,
    /// Who approved.
    pub given: Vec<GivenShown>,
}

impl ApprovalShown {
    fn of(asked: &Asked) -> Self {
        let digest = asked.digest();
        let given = asked.given.iter().map(|given| GivenShown {
            name: given.name.clone(),
            at: given.at,
        });
        Self {
            needed: asked.needed,
            missing: asked.missing(),
            statement: asked.statement.clone(),
            sha256: digest.to_hex(),
            words: words_of(digest.as_bytes(), 8),
            challenge: encoded(digest.as_bytes()),
            until: asked.read().map(|statement| statement.not_after).unwrap_or_default(),
            given: given.collect(),
        }
    }
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RolloutShown {
    /// Its identifier.
    pub id: String,
    /// Kind's folder and name of the release.
    pub release: String,
    /// Its version.
    pub version: String,
    /// Digest of its descriptor, hex.
    pub release_sha256: String,
    /// Versions that the boxes ran before, without repetition.
    pub from: Vec<String>,
    /// Who proposed it.
    pub by: String,
    /// When, Unix seconds.
    pub at: i64,
    /// SHA-256 of the plan, hex: what people approve.
    pub digest: String,
    /// Its first bytes as words, to be read aloud.
    pub words: String,
    /// `proposed`, `running`, `paused`, `rolling_back`, `rolled_back`, `done`, `aborted` or `expired`.
    pub phase: &'static str,
    /// The word for people.
    pub word: &'static str,
    /// Why it stopped or who did, one sentence; empty while nothing is to be said.
    pub because: String,
    /// Whether it is over.
    pub over: bool,
    /// Who approved.
    pub approvals: Vec<String>,
    /// How many have to.
    pub approvals_needed: u32,
    /// What approvers are asked, where the publisher's policy wants their passkeys; else a password approves.
    pub approval: Option<ApprovalShown>,
    /// When it began, Unix seconds.
    pub started: Option<i64>,
    /// After this nothing new is begun, Unix seconds.
    pub deadline: i64,
    /// When it last changed, Unix seconds.
    pub changed: i64,
    /// Bytes that all boxes together lacked when the plan was made.
    pub bytes: u64,
    /// What could go wrong, in sentences.
    pub risks: Vec<String>,
    /// Counts.
    pub counts: CountsShown,
    /// The waves.
    pub waves: Vec<WaveShown>,
    /// Boxes that are back at what they ran before, by identifier.
    pub rolled_back: Vec<String>,
    /// Gates, as the plan has them.
    #[schema(value_type = Object)]
    pub gates: freehold_fleet::rollout::Gates,
    /// Limits, as the plan has them.
    #[schema(value_type = Object)]
    pub limits: freehold_fleet::rollout::Limits,
    /// Windows by site, as the plan has them.
    #[schema(value_type = Object)]
    pub windows: std::collections::BTreeMap<String, freehold_fleet::rollout::Window>,
    /// How many boxes may fail.
    pub failure_budget: u32,
    /// Seconds after which a box that says nothing counts as silent.
    pub patience: i64,
}

/// The phase as a word without spaces.
#[must_use]
pub const fn phase_code(phase: &Phase) -> &'static str {
    match phase {
        Phase::Proposed => "proposed",
        Phase::Running => "running",
        Phase::Paused { .. } => "paused",
        Phase::RollingBack(_) => "rolling_back",
        Phase::RolledBack(_) => "rolled_back",
        Phase::Done => "done",
        Phase::Aborted { .. } => "aborted",
        Phase::Expired => "expired",
    }
}

const fn stage_code(stage: &Stage) -> &'static str {
    match stage {
        Stage::Waiting => "waiting",
        Stage::Ordered => "ordered",
        Stage::Healthy => "healthy",
        Stage::WentBack { .. } => "went_back",
        Stage::Failed { .. } => "failed",
        Stage::Silent => "silent",
        Stage::ReturnOrdered { .. } => "return_ordered",
        Stage::Returned { .. } => "returned",
    }
}

fn stopped(why: &Stopped) -> String {
    match why {
        Stopped::Budget { failed, last } => {
            format!("{failed} failed, more than the budget allows; the last was {last}")
        }
        Stopped::Person { by } => format!("{by} said so"),
    }
}

fn because(phase: &Phase) -> String {
    match phase {
        Phase::RollingBack(why) | Phase::RolledBack(why) => stopped(why),
        Phase::Paused { by } => format!("paused by {by}"),
        Phase::Aborted { by } => format!("aborted by {by}; boxes stay as they are"),
        Phase::Expired => "the deadline passed before it was done".to_owned(),
        Phase::Proposed | Phase::Running | Phase::Done => String::new(),
    }
}

/// Why a box went back or failed; also after it is back.
fn code(one: &Progress) -> Option<String> {
    use freehold_fleet::rollout::Outcome;
    match (&one.stage, &one.facts.forward, &one.facts.verdict) {
        (Stage::WentBack { code }, ..) => Some(code.clone()),
        (Stage::Failed { gate }, ..) => Some(gate.clone()),
        (Stage::Silent, ..) => Some("silent".to_owned()),
        (Stage::ReturnOrdered { failed: true } | Stage::Returned { failed: true }, forward, verdict) => {
            match (forward, verdict) {
                (Some(Outcome::WentBack { code }), _) | (_, Some(Some(code))) => Some(code.clone()),
                _ => Some("gate".to_owned()),
            }
        }
        _ => None,
    }
}

/// A rollout as it stands at `now`.
#[must_use]
pub fn shown(kept: &Kept, fleet: &Fleet, now: i64) -> RolloutShown {
    let rollout = &kept.rollout;
    let plan = rollout.plan();
    let digest = plan.digest();
    let mut counts = CountsShown {
        all: plan.boxes.len(),
        ..CountsShown::default()
    };
    let mut rolled_back = Vec::new();
    for (planned, one) in plan.boxes.iter().zip(rollout.progress()) {
        let slot = match &one.stage {
            Stage::Healthy => &mut counts.healthy,
            Stage::Ordered => &mut counts.ordered,
            Stage::Waiting => &mut counts.waiting,
            _ => &mut counts.failed,
        };
        *slot = slot.saturating_add(1);
        if planned.by_stick {
            counts.by_stick = counts.by_stick.saturating_add(1);
            counts.by_stick_back = counts.by_stick_back.saturating_add(usize::from(one.stage.is_settled()));
        }
        if matches!(one.stage, Stage::WentBack { .. } | Stage::Returned { .. }) {
            rolled_back.push(planned.box_id.clone());
        }
    }
    let mut from: Vec<String> = (plan.boxes.iter())
        .filter_map(|one| one.from.as_ref().map(|from| from.version.clone()))
        .collect();
    from.sort();
    from.dedup();
    RolloutShown {
        id: plan.id.clone(),
        release: plan.release.name.clone(),
        version: plan.release.version.clone(),
        release_sha256: plan.release.sha256.clone(),
        from,
        by: plan.by.clone(),
        at: kept.at,
        digest: digest.to_hex(),
        words: words_of(digest.as_bytes(), 8),
        phase: phase_code(rollout.phase()),
        word: rollout.phase().word(),
        because: because(rollout.phase()),
        over: rollout.phase().is_over(),
        approvals: rollout.approvals().to_vec(),
        approvals_needed: plan.approvals,
        approval: kept.asked.as_ref().map(ApprovalShown::of),
        started: rollout.started(),
        deadline: plan.deadline,
        changed: kept.changed,
        bytes: plan.bytes(),
        risks: kept.risks.clone(),
        counts,
        waves: (0..plan.waves.len())
            .map(|wave| wave_shown(kept, fleet, wave, now))
            .collect(),
        rolled_back,
        gates: plan.gates,
        limits: plan.limits,
        windows: plan.windows.clone(),
        failure_budget: plan.failure_budget,
        patience: plan.patience,
    }
}

fn wave_shown(kept: &Kept, fleet: &Fleet, wave: usize, now: i64) -> WaveShown {
    let rollout = &kept.rollout;
    let plan: &Plan = rollout.plan();
    let places = plan.places(wave);
    let begun = rollout.waves_begun().get(wave).copied();
    let mut boxes = Vec::new();
    let (mut settled, mut bytes, mut of_wave) = (true, 0_u64, None);
    for place in places {
        let (Some(planned), Some(one)) = (plan.boxes.get(place), rollout.progress().get(place)) else {
            continue;
        };
        let is_waiting = one.stage == Stage::Waiting && !rollout.phase().is_over();
        let waiting = is_waiting.then(|| rollout.waiting_on(place, now)).flatten();
        settled &= one.stage.is_settled() || one.stage == Stage::Silent;
        bytes = bytes.saturating_add(planned.bytes);
        if begun.is_none() && of_wave.is_none() {
            of_wave.clone_from(&waiting);
        }
        boxes.push(BoxShown {
            box_id: planned.box_id.clone(),
            label: fleet
                .member(&planned.box_id)
                .map(|member| member.label.clone())
                .unwrap_or_default(),
            site: planned.site.clone(),
            stage: stage_code(&one.stage),
            word: one.stage.word(),
            since: one.since,
            code: code(one),
            waits: waiting.as_ref().map(WaitingOn::sentence),
            until: waiting.as_ref().and_then(WaitingOn::until),
            by_stick: planned.by_stick,
            from: planned.from.as_ref().map(|from| from.version.clone()),
            bytes: planned.bytes,
        });
    }
    let spec = plan.waves.get(wave);
    let after = spec.map_or(0, |spec| spec.start_after);
    WaveShown {
        number: wave.saturating_add(1),
        state: match begun {
            Some(_) if settled => "done",
            Some(_) => "running",
            None => "waiting",
        },
        begun,
        earliest: rollout.started().map_or(after, |started| started.saturating_add(after)),
        person: spec.is_some_and(|spec| spec.person),
        waits: of_wave.as_ref().map(WaitingOn::sentence),
        until: of_wave.as_ref().and_then(WaitingOn::until),
        bytes,
        boxes,
    }
}

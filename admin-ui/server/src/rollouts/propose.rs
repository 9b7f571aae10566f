//! From a wish to a plan that is shown before anybody approves: boxes, waves, times, bytes, risks.
//!
//! Refuses a release that a box would refuse, and a box that another rollout of the same release line still holds. Invariant:
//! what is proposed is stored and recorded as it is shown, with what approvers are asked about it; its digest is what people
//! approve.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use freehold_fleet::Member;
use freehold_fleet::rollout::{Candidate, Draft, Plan, PlannedBox, Query, ReleaseRef, Rollout, RolloutRejection};
use freehold_store::{RolloutChange, RolloutRow};
use freehold_trust::Sha256Digest;
use freehold_verify::release::{ReleaseDescriptor, ReleaseKind, SELF_TEST};

use super::{Kept, Wish};
use crate::approvals::Asked;
use crate::console::Console;
use crate::director::refused;
use crate::live::Changed;
use crate::random;
use crate::refused::Refused;
use crate::repository::Shelf;

/// A box that was not heard of for so long is said to be away, in seconds.
const AWAY: i64 = 600;

/// A plan with what is to be said beside it.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The plan.
    pub plan: Plan,
    /// Sentences on what could go wrong, most serious first.
    pub risks: Vec<String>,
    /// What approvers are asked, where the publisher's policy wants their passkeys.
    pub asked: Option<Asked>,
}

/// A rollout's own refusal over HTTP.
pub(crate) fn no(rejection: &RolloutRejection) -> Refused {
    let mut refused = Refused::of(rejection);
    refused.status = match rejection {
        RolloutRejection::PlanChanged { .. }
        | RolloutRejection::NotApproved { .. }
        | RolloutRejection::NotStarted
        | RolloutRejection::Ended { .. }
        | RolloutRejection::Busy { .. } => StatusCode::CONFLICT,
        RolloutRejection::OwnPlan { .. } => StatusCode::FORBIDDEN,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    refused
}

/// Kind's folder and name: what a box runs one release of.
fn line(descriptor: &ReleaseDescriptor) -> String {
    format!("{}/{}", descriptor.kind.folder(), descriptor.name)
}

/// What a box was assigned last of a line.
fn assigned(member: &Member, line: &str, shelf: &Shelf) -> Option<ReleaseRef> {
    let head = member.assignment.as_ref()?;
    let prefix = format!("{line}/");
    let target = head.targets.iter().find(|target| target.starts_with(&prefix))?;
    let descriptor = shelf.descriptors.get(target)?;
    let info = shelf.targets.as_ref()?.target(target).ok()?;
    Some(ReleaseRef {
        name: line.to_owned(),
        version: descriptor.version.clone(),
        sha256: info.sha256.to_hex(),
    })
}

/// Bytes of `new` that a box with `old` lacks.
fn lacks(new: &ReleaseDescriptor, old: Option<&ReleaseDescriptor>) -> u64 {
    let have: Vec<Sha256Digest> = old
        .iter()
        .flat_map(|old| old.files.iter().map(|file| file.sha256))
        .collect();
    new.all_files()
        .filter(|file| !have.contains(&file.sha256))
        .fold(0_u64, |sum, file| sum.saturating_add(file.length))
}

impl Console {
    /// The plan that a wish would make now. Stores nothing.
    ///
    /// # Errors
    /// The release's own code, or the rollout's.
    pub fn preview_rollout(&self, id: &str, wish: &Wish, by: &str) -> Result<Preview, Refused> {
        let now = self.now();
        let shelf = self.shelf();
        let release = shelf
            .judge(&self.0.dir, &wish.release, now)
            .map_err(|fault| refused(&fault))?;
        let line = line(&release.descriptor);
        let query = Query::parse(&wish.boxes).map_err(|rejection| no(&rejection))?;
        let goal = ReleaseRef {
            name: line.clone(),
            version: release.descriptor.version.clone(),
            sha256: release.digest.to_hex(),
        };
        let fleet = self.fleet();
        let members = || fleet.boxes().values().filter(|member| member.is_approved());
        let called = |name: &str| {
            let found = members().find(|member| member.box_id == name);
            let found = found.or_else(|| members().find(|member| member.label == name));
            found.map_or_else(|| name.to_owned(), |member| member.box_id.clone())
        };
        let by_stick: Vec<String> = wish.by_stick.iter().map(|name| called(name)).collect();
        let mut boxes = Vec::new();
        let mut counts = Counts::default();
        for member in members() {
            let models: Vec<(String, String)> = (member.report.iter().flat_map(|report| &report.models))
                .map(|model| (model.name.clone(), model.version.clone()))
                .collect();
            let verdict = fleet.verdict_of(member, now).word;
            let candidate = Candidate {
                box_id: &member.box_id,
                label: &member.label,
                site: &member.site,
                verdict,
                models: &models,
            };
            if !query.means(&candidate) {
                continue;
            }
            let from = assigned(member, &line, &shelf);
            if from.as_ref() == Some(&goal) {
                counts.already = counts.already.saturating_add(1);
                continue;
            }
            let old = from.as_ref().and_then(|from| {
                let target = format!("{}/{}/release.json", from.name, from.version);
                shelf.descriptors.get(&target)
            });
            let is_by_stick = by_stick.contains(&member.box_id);
            counts.add(
                from.is_none(),
                !verdict.allows_change(),
                !is_by_stick && away(member, now),
            );
            boxes.push(PlannedBox {
                box_id: member.box_id.clone(),
                site: member.site.clone(),
                bytes: lacks(&release.descriptor, old),
                from,
                by_stick: is_by_stick,
            });
        }
        drop(fleet);
        drop(shelf);
        let waves = wish.waves_with(|name| called_now(self, name));
        let people = self.people_wanted(&goal, boxes.iter().map(|one: &PlannedBox| one.site.as_str()));
        let draft = Draft {
            id: id.to_owned(),
            by: by.to_owned(),
            release: goal,
            waves,
            gates: wish.gates,
            limits: wish.limits_for(boxes.len()),
            windows: wish.windows.clone(),
            returns: wish.returns,
            failure_budget: wish.budget_for(boxes.len()),
            patience: wish.patience(),
            approvals: wish.approvals.max(people),
            deadline: wish.deadline(now),
            boxes,
        };
        let plan = draft.plan(now).map_err(|rejection| no(&rejection))?;
        self.not_busy(&plan)?;
        let risks = risks(&plan, &counts, &release.descriptor);
        let asked = self.ask_about_rollout(&plan);
        Ok(Preview { plan, risks, asked })
    }

    /// Refuses a plan with a box that another rollout of the same line holds.
    fn not_busy(&self, plan: &Plan) -> Result<(), Refused> {
        for kept in self.0.rollouts.open() {
            let other = kept.rollout.plan();
            if other.id == plan.id || other.release.name != plan.release.name || kept.rollout.started().is_none() {
                continue;
            }
            let held: std::collections::BTreeSet<&str> = other.boxes.iter().map(|one| one.box_id.as_str()).collect();
            if let Some(both) = plan.boxes.iter().find(|one| held.contains(one.box_id.as_str())) {
                return Err(no(&RolloutRejection::Busy {
                    box_id: both.box_id.clone(),
                    other: other.id.clone(),
                }));
            }
        }
        Ok(())
    }

    /// Whether a proposed rollout may begin: beside the others, and with what boxes want approved. The policy may ask for more
    /// by now than when the plan was made.
    pub(super) fn may_begin(&self, kept: &Kept) -> Result<(), Refused> {
        self.not_busy(kept.rollout.plan())?;
        self.approved_enough(kept).map_err(|rejection| Refused::of(&rejection))
    }

    /// Proposes a rollout: its plan is stored and shown; nothing is begun. Answers its identifier.
    ///
    /// # Errors
    /// As [`Console::preview_rollout`].
    pub async fn propose_rollout(&self, wish: &Wish, by: &str) -> Result<String, Refused> {
        let id = format!("r-{}", random::hex::<4>().map_err(|error| Refused::inside(&error))?);
        let (console, wish, who, name) = (self.clone(), wish.clone(), by.to_owned(), id.clone());
        let preview = tokio::task::spawn_blocking(move || console.preview_rollout(&name, &wish, &who))
            .await
            .map_err(|error| Refused::inside(&error))?;
        let Preview { plan, risks, asked } = match preview {
            Ok(preview) => preview,
            Err(refused) => {
                let entry = self.entry("rollout.proposed", by).refused(&refused.report.code);
                self.record(entry).await?;
                return Err(refused);
            }
        };
        let now = self.now();
        let text = |value: Result<String, serde_json::Error>| value.map_err(|error| Refused::inside(&error));
        let row = RolloutRow {
            id: id.clone(),
            at: now,
            plan: text(serde_json::to_string(&plan))?,
            risks: text(serde_json::to_string(&risks))?,
            asked: asked.as_ref().map(serde_json::to_string).map(text).transpose()?,
        };
        let entry = self
            .entry("rollout.proposed", by)
            .about(&id)
            .fact("plan", plan.digest().to_hex())
            .fact("release", format!("{} {}", plan.release.name, plan.release.version))
            .fact("boxes", plan.boxes.len());
        let kept = Kept::proposed(Rollout::new(plan), risks, asked, now);
        self.store_rollout(row, entry, kept).await?;
        self.0.live.tell(Changed::Approvals);
        Ok(id)
    }

    async fn store_rollout(&self, row: RolloutRow, entry: freehold_fleet::Entry, kept: Kept) -> Result<(), Refused> {
        let console = self.clone();
        // A task of its own: a caller that hangs up must not leave disk and memory apart.
        let done = tokio::spawn(async move {
            let _turn = console.0.rollouts.turn.lock().await;
            let id = row.id.clone();
            console
                .rollout_change(vec![RolloutChange::Proposed(row)], vec![entry])
                .await?;
            console.0.rollouts.put(id, kept);
            Ok::<(), Refused>(())
        });
        done.await.unwrap_or_else(|error| Err(Refused::inside(&error)))
    }
}

impl super::Rollouts {
    pub(super) fn put(&self, id: String, kept: Kept) {
        let mut all = self.all.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.insert(id, kept);
    }
}

fn called_now(console: &Console, name: &str) -> String {
    let fleet = console.fleet();
    let by_label = || fleet.boxes().values().find(|member| member.label == name);
    match fleet.member(name).or_else(by_label) {
        Some(member) => member.box_id.clone(),
        None => name.to_owned(),
    }
}

fn away(member: &Member, now: i64) -> bool {
    member.report_at.is_none_or(|at| now.saturating_sub(at) > AWAY)
}

/// Boxes of a plan about which something is to be said.
#[derive(Debug, Default)]
struct Counts {
    already: usize,
    first: usize,
    not_trusted: usize,
    away: usize,
}

impl Counts {
    fn add(&mut self, first: bool, not_trusted: bool, away: bool) {
        self.first = self.first.saturating_add(usize::from(first));
        self.not_trusted = self.not_trusted.saturating_add(usize::from(not_trusted));
        self.away = self.away.saturating_add(usize::from(away));
    }
}

fn boxes(count: usize) -> String {
    format!("{count} {}", if count == 1 { "box" } else { "boxes" })
}

/// What could go wrong, in sentences.
fn risks(plan: &Plan, counts: &Counts, release: &ReleaseDescriptor) -> Vec<String> {
    let mut risks = Vec::new();
    let mut say = |when: bool, text: String| {
        if when {
            risks.push(text);
        }
    };
    let largest = plan.waves.iter().map(|wave| wave.boxes).max().unwrap_or(0);
    let all = plan.boxes.len();
    say(
        plan.waves.len() == 1 && all > 1,
        format!("All {all} boxes are in one wave: a fault meets all of them at the pace of the limits."),
    );
    say(
        plan.approvals == 0,
        "Nobody else has to look at this plan before it begins.".to_owned(),
    );
    say(
        counts.first > 0,
        format!(
            "{} run nothing of this name now: there is nothing to go back to but running none.",
            boxes(counts.first)
        ),
    );
    say(
        counts.not_trusted > 0,
        format!(
            "{} have no verdict that allows change: they wait until they have one.",
            boxes(counts.not_trusted)
        ),
    );
    say(
        counts.away > 0,
        format!(
            "{} were not heard of for ten minutes: they wait until they are back.",
            boxes(counts.away)
        ),
    );
    let has_test = release.files.iter().any(|file| file.path == SELF_TEST);
    say(
        release.kind == ReleaseKind::Model && !has_test,
        "The model brings no self-test: a box only sees whether its engine starts.".to_owned(),
    );
    say(
        u64::from(plan.limits.unavailable).saturating_mul(2) > u64::try_from(all).unwrap_or(u64::MAX) && all > 1,
        format!(
            "{} of {all} boxes may be out of service at once.",
            plan.limits.unavailable
        ),
    );
    say(
        u64::from(plan.failure_budget) >= u64::from(largest) && largest > 0 && plan.failure_budget > 0,
        format!("The failure budget of {} lets a whole wave fail.", plan.failure_budget),
    );
    let mut sites: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &plan.boxes {
        let count = sites.entry(&one.site).or_default();
        *count = count.saturating_add(1);
    }
    let open: Vec<&str> = (sites.keys().copied())
        .filter(|site| !plan.windows.contains_key(*site))
        .collect();
    say(
        !open.is_empty(),
        format!(
            "No maintenance window for {}: boxes there are touched at any time.",
            open.join(", ")
        ),
    );
    say(
        counts.already > 0,
        format!(
            "{} have this release already and are not part of the plan.",
            boxes(counts.already)
        ),
    );
    risks
}

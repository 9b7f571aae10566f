//! The overview's model.
//!
//! Refuses to call something urgent that needs nobody. Invariant: refused before attention before approvals.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Html;
use freehold_fleet::Fleet;
use freehold_protocol::status::{ModelPhase, VerdictWord};
use freehold_views::OverviewPage;
use freehold_views::address;
use freehold_views::one_box::Tab;
use freehold_views::overview::{Doing, Figure, Need, Site, Step, VerdictCounts};
use freehold_views::text::counted;

use super::fragment;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::plan::{Plan, Stand};
use crate::rollouts::{Kept, Wants};

/// Most lines of one list on the page; the lists themselves are one click away.
const LINES: usize = 20;

/// `GET /`.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Html<String> {
    let page = model(&console, &visitor);
    Html(match fragment(&headers) {
        Some(id) => page.render_fragment(id),
        None => page.render(),
    })
}

fn model(console: &Console, visitor: &Visitor) -> OverviewPage {
    let shell = console.shell(Some(visitor), address::OVERVIEW);
    let now = shell.now;
    let shelf = console.shelf();
    // Before the fleet is held: it is looked into.
    let mut plans = console.0.plans.all();
    plans.retain(|plan| plan.stand == Stand::Waiting && console.sees_plan(visitor, plan));
    let rollouts = console.open_rollouts_of(visitor);
    let fleet = console.fleet_of(visitor);
    let mut verdicts = VerdictCounts::default();
    let mut oldest_proof: Option<i64> = None;
    let mut sites: BTreeMap<&str, Site> = BTreeMap::new();
    for member in fleet.boxes().values().filter(|member| member.is_approved()) {
        let word = fleet.verdict_of(member, now).word;
        let site = sites.entry(member.site.as_str()).or_insert_with(|| Site {
            name: member.site.clone(),
            ..Site::default()
        });
        verdicts.add(word);
        site.verdicts.add(word);
        if let Some(at) = member.last_good.as_ref().map(|verdict| verdict.at) {
            let older = |oldest: Option<i64>| Some(oldest.map_or(at, |oldest| oldest.min(at)));
            oldest_proof = older(oldest_proof);
            site.oldest_proof = older(site.oldest_proof);
        }
    }
    let serving = fleet
        .boxes()
        .values()
        .flat_map(|member| member.report.iter().flat_map(|report| &report.models))
        .filter(|model| model.phase == ModelPhase::Serving)
        .count();
    let boxes = u64::try_from(fleet.boxes().len()).unwrap_or(u64::MAX);
    OverviewPage {
        needs: needs(console, plans, &rollouts, &fleet, now),
        doing: rolling(&rollouts, &fleet, now)
            .into_iter()
            .chain(doing(&fleet))
            .take(LINES)
            .collect(),
        verdicts,
        sites: sites.into_values().collect(),
        oldest_proof,
        today: vec![Figure {
            name: "models serving".to_owned(),
            value: u64::try_from(serving).unwrap_or(u64::MAX),
            unit: String::new(),
            source: format!("last reports of {}", counted(boxes, "box", "boxes")),
        }],
        steps: steps(&fleet, shelf.pinned.is_some(), !shelf.descriptors.is_empty()),
        shell,
    }
}

fn needs(console: &Console, plans: Vec<Plan>, rollouts: &[Kept], fleet: &Fleet, now: i64) -> Vec<Need> {
    let mut needs = Vec::new();
    for alarm in console.alarms() {
        needs.push(Need {
            mark: VerdictWord::Refused,
            subject: "break-glass account".to_owned(),
            place: alarm.about,
            text: format!("{}. Find out who, then settle it on the access page.", alarm.detail),
            code: None,
            since: alarm.at,
            verb: "Look".to_owned(),
            href: address::ACCESS.to_owned(),
        });
    }
    let shelf = console.shelf();
    if let Some(fault) = &shelf.policy_fault {
        let means = freehold_explain::explain(&fault.report.code)
            .map(|said| said.next)
            .unwrap_or_default();
        needs.push(Need {
            mark: VerdictWord::Attention,
            subject: "policy".to_owned(),
            place: fault.target.clone(),
            text: format!(
                "{}. The policies of this program are in force instead. {means}",
                fault.report.message
            ),
            code: Some(fault.report.code.clone()),
            since: shelf.read_at,
            verb: "Look".to_owned(),
            href: address::RELEASES.to_owned(),
        });
    }
    for word in [VerdictWord::Refused, VerdictWord::Attention] {
        for member in fleet.boxes().values().filter(|member| member.is_approved()) {
            let view = fleet.verdict_of(member, now);
            let Some(verdict) = view.stored.filter(|_| view.word == word) else {
                continue;
            };
            let first = verdict.refusals.first();
            needs.push(Need {
                mark: word,
                subject: member.box_id.clone(),
                place: member.label.clone(),
                text: first.map_or_else(
                    || verdict.because.first().cloned().unwrap_or_default(),
                    |first| first.message.clone(),
                ),
                code: first.map(|first| first.code.clone()),
                since: verdict.at,
                verb: "Look".to_owned(),
                href: address::one_box(&member.box_id, Tab::Summary),
            });
        }
    }
    for member in fleet.boxes().values().filter(|member| member.waits_for_person()) {
        needs.push(Need {
            mark: VerdictWord::Unknown,
            subject: member.box_id.clone(),
            place: member.label.clone(),
            text: "asks to join; compare the fingerprint with its screen".to_owned(),
            code: None,
            since: member.enrolled_at,
            verb: "Compare".to_owned(),
            href: address::APPROVALS.to_owned(),
        });
    }
    for plan in plans {
        needs.push(Need {
            mark: VerdictWord::Attention,
            subject: "plan".to_owned(),
            place: plan.proposal.subject().to_owned(),
            text: super::plans::title(&plan.proposal),
            code: None,
            since: plan.at,
            verb: "Decide".to_owned(),
            href: address::plan(&plan.id),
        });
    }
    for kept in rollouts {
        let Some(wants) = kept.needs(now) else { continue };
        let row = super::rollouts::row(fleet, kept, now);
        let (mark, verb, text) = match wants {
            Wants::Approval => (
                VerdictWord::Attention,
                "Decide",
                "its plan waits for approval".to_owned(),
            ),
            Wants::Start => (
                VerdictWord::Attention,
                "Begin",
                "is approved and waits for somebody to begin it".to_owned(),
            ),
            Wants::Resume => (VerdictWord::Attention, "Decide", row.doing.clone()),
            Wants::Wave(wave) => (
                VerdictWord::Attention,
                "Decide",
                format!("wave {wave} waits for a person; {}", row.counts.sentence()),
            ),
            Wants::Look => (
                VerdictWord::Refused,
                "Look",
                format!("sends every box back: {}", row.doing),
            ),
        };
        needs.push(Need {
            mark,
            subject: "rollout".to_owned(),
            place: format!("{} {}", row.name, row.version),
            text,
            code: None,
            since: row.changed,
            verb: verb.to_owned(),
            href: address::rollout(&row.id),
        });
    }
    needs.truncate(LINES);
    needs
}

/// Rollouts that go on by themselves.
fn rolling(rollouts: &[Kept], fleet: &Fleet, now: i64) -> Vec<Doing> {
    let running = rollouts.iter().filter(|kept| kept.rollout.started().is_some());
    running
        .map(|kept| {
            let row = super::rollouts::row(fleet, kept, now);
            let share = f64::from(row.counts.healthy) / f64::from(row.counts.all().max(1));
            let mut text = format!("{}, {}", row.wave, row.counts.sentence());
            if !row.doing.is_empty() {
                text.push_str(&format!("; {}", row.doing));
            }
            Doing {
                subject: format!("Rollout {} {}", row.name, row.version),
                text,
                share: Some(share),
                at: row.changed,
                href: address::rollout(&row.id),
            }
        })
        .collect()
}

fn doing(fleet: &Fleet) -> Vec<Doing> {
    let mut doing: Vec<Doing> = fleet
        .boxes()
        .values()
        .filter_map(|member| {
            let report = member.report.as_ref().filter(|report| !report.doing.is_empty())?;
            let subject = if member.label.is_empty() {
                &member.box_id
            } else {
                &member.label
            };
            Some(Doing {
                subject: subject.clone(),
                text: report.doing.clone(),
                share: None,
                at: member.report_at.unwrap_or(0),
                href: address::one_box(&member.box_id, Tab::Summary),
            })
        })
        .collect();
    doing.sort_by_key(|doing| std::cmp::Reverse(doing.at));
    doing.truncate(LINES);
    doing
}

fn steps(fleet: &Fleet, publisher: bool, releases: bool) -> Vec<Step> {
    let approved = fleet.boxes().values().filter(|member| member.is_approved()).count() > 0;
    let assigned = fleet.boxes().values().any(|member| member.assignment.is_some());
    let step = |title: &str, text: &str, command: &str, href: &str, done: bool| Step {
        title: title.to_owned(),
        text: text.to_owned(),
        command: command.to_owned(),
        href: href.to_owned(),
        done,
    };
    let steps = vec![
        step(
            "Change the one-time password",
            "Nobody else knows the new one.",
            "",
            address::PASSWORD,
            true,
        ),
        step(
            "Take in the publisher's repository",
            "What may run is signed offline by your publisher. Its root is confirmed by fingerprint once.",
            "freehold-console import --state DIR --repository EXPORT --root-sha256 HEX",
            address::RELEASES,
            publisher && releases,
        ),
        step(
            "Pair a box",
            "A box learns its console from the pairing document, by stick or screen.",
            "freehold box pair",
            address::PAIRING,
            !fleet.boxes().is_empty(),
        ),
        step(
            "Approve it",
            "Compare the fingerprint on both screens.",
            "",
            address::APPROVALS,
            approved,
        ),
        step(
            "Assign a model",
            "The box fetches, checks and runs it by itself.",
            "",
            address::BOXES,
            assigned,
        ),
    ];
    if steps.iter().all(|step| step.done) {
        Vec::new()
    } else {
        steps
    }
}

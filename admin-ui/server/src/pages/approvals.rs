//! What waits for a person.
//!
//! Refuses to decide from a list. Invariant: each enrolment is shown with the fingerprint that is on the box's screen.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Html;
use freehold_fleet::EkTrust;
use freehold_protocol::fingerprint::Fingerprint as Words;
use freehold_views::approvals::{Decided, Enrolment, WaitingPlan};
use freehold_views::shell::Fingerprint;
use freehold_views::{ApprovalsPage, address};

use super::one_box::{ek_root, tpm};
use super::{fragment, plans};
use crate::console::Console;
use crate::people::action::Action;
use crate::people::place::Place;
use crate::people::session::Visitor;
use crate::plan::Stand;

/// Decisions shown.
const DECIDED: usize = 20;

/// `GET /approvals`.
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

fn model(console: &Console, visitor: &Visitor) -> ApprovalsPage {
    let shell = console.shell(Some(visitor), address::APPROVALS);
    // Before the fleet is held: it is looked into.
    let mut all = console.0.plans.all();
    all.retain(|plan| console.sees_plan(visitor, plan));
    let fleet = console.fleet_of(visitor);
    let mut enrolments: Vec<Enrolment> = fleet
        .boxes()
        .values()
        .filter(|member| member.waits_for_person())
        .filter_map(|member| {
            let keys = member.pending.as_ref()?;
            let all = Words::over(&member.ek_public, &keys.ak_public, &keys.tls_public);
            let warning = match (&member.active, &member.ek_trust) {
                (Some(_), _) => "a member asks with new keys: was its TPM cleared?",
                (None, EkTrust::Hash) => "no certificate vouches for its TPM: approving approves the EK by its digest",
                (None, EkTrust::Chain { .. }) => "",
            };
            Some(Enrolment {
                id: member.box_id.clone(),
                label: member.label.clone(),
                site: member.site.clone(),
                fingerprint: Fingerprint {
                    of: "EK, AK and TLS key together".to_owned(),
                    hex: all.hex(),
                    words: all.words(),
                },
                tpm: tpm(member.ek_trust.kind()),
                ek_root: ek_root(&member.ek_trust),
                since: member.enrolled_at,
                warning: warning.to_owned(),
            })
        })
        .collect();
    enrolments.sort_by_key(|enrolment| enrolment.since);
    let waiting = all.iter().rev().filter(|plan| plan.stand == Stand::Waiting);
    let decided = all.iter().filter(|plan| plan.decided.is_some()).take(DECIDED);
    ApprovalsPage {
        enrolments,
        plans: waiting
            .map(|plan| WaitingPlan {
                id: plan.id.clone(),
                title: plans::title(&plan.proposal),
                proposed_by: plan.by.clone(),
                since: plan.at,
                digest: plan.digest.clone(),
            })
            .collect(),
        decided: decided
            .map(|plan| Decided {
                title: plans::title(&plan.proposal),
                by: plan.decided_by.clone(),
                at: plan.decided.unwrap_or(plan.at),
                outcome: match plan.stand {
                    Stand::Done => "done",
                    Stand::Refused(_) => "refused",
                    Stand::Withdrawn => "withdrawn",
                    Stand::Outdated => "outdated",
                    Stand::Waiting | Stand::InWork => "waits",
                }
                .to_owned(),
                href: address::plan(&plan.id),
            })
            .collect(),
        may_decide: console.permits_at(visitor, Action::DecideEnrolment, Place::Own),
        pair_command: "freehold box pair".to_owned(),
        shell,
    }
}

//! Rollouts as pages: the list, one of them, a new one, and the commands.
//!
//! Refuses a command without the digest of the plan that was shown. Invariant: what a button does is what the API does.

mod form;
mod one;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use freehold_fleet::Fleet;
use freehold_fleet::rollout::{Command, Phase, Rollout};
use freehold_views::rollouts::{Mood, RolloutRow, StageCounts, Standing};
use freehold_views::shell::Fault;
use freehold_views::{NewRolloutPage, RolloutsPage, address};

use super::{fragment, see};
use crate::console::Console;
use crate::people::action::Action;
use crate::people::guard::SafeForm;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::rollouts::Kept;
use crate::rollouts::shown::{CountsShown, RolloutShown, shown};

/// Rollouts that are over, on one page.
const OVER: usize = 50;

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Boxes by stage, for a page.
pub(super) fn counts(counts: &CountsShown) -> StageCounts {
    StageCounts {
        healthy: number(counts.healthy),
        ordered: number(counts.ordered),
        failed: number(counts.failed),
        waiting: number(counts.waiting),
    }
}

/// Where a rollout stands, for a page.
pub(super) fn standing(rollout: &Rollout) -> Standing {
    Standing {
        word: rollout.phase().word().to_owned(),
        mood: match rollout.phase() {
            Phase::Proposed | Phase::Paused { .. } => Mood::Waits,
            Phase::Running => Mood::Goes,
            Phase::Done => Mood::Well,
            Phase::RollingBack(_) | Phase::RolledBack(_) => Mood::Wrong,
            Phase::Aborted { .. } | Phase::Expired => Mood::Ended,
        },
    }
}

/// The name of a release without its kind's folder.
pub(super) fn short_name(release: &str) -> String {
    release.split_once('/').map_or(release, |(_, name)| name).to_owned()
}

/// One sentence on what a rollout does or waits for.
pub(super) fn doing(rollout: &Rollout, seen: &RolloutShown) -> String {
    if !seen.because.is_empty() {
        return seen.because.clone();
    }
    match rollout.phase() {
        Phase::Proposed if seen.approvals.len() < usize::try_from(seen.approvals_needed).unwrap_or(usize::MAX) => {
            if seen.approval.is_some() {
                "waits for approval by passkey".to_owned()
            } else {
                "waits for approval".to_owned()
            }
        }
        Phase::Proposed => "waits for somebody to begin it".to_owned(),
        Phase::Running => {
            let next = seen.waves.iter().find(|wave| wave.state == "waiting");
            let waits = next.and_then(|wave| Some((wave.number, wave.waits.as_ref()?)));
            waits.map_or_else(String::new, |(number, what)| format!("wave {number} waits {what}"))
        }
        _ => String::new(),
    }
}

/// A rollout as a row of the list and of the overview.
pub(super) fn row(fleet: &Fleet, kept: &Kept, now: i64) -> RolloutRow {
    let seen = shown(kept, fleet, now);
    let begun = seen.waves.iter().filter(|wave| wave.begun.is_some()).count();
    RolloutRow {
        id: seen.id.clone(),
        name: short_name(&seen.release),
        from: seen.from.join(", "),
        version: seen.version.clone(),
        standing: standing(&kept.rollout),
        doing: doing(&kept.rollout, &seen),
        counts: counts(&seen.counts),
        wave: if seen.started.is_some() && !seen.over {
            format!("wave {} of {}", begun.max(1), seen.waves.len())
        } else {
            String::new()
        },
        by: seen.by,
        changed: seen.changed,
    }
}

/// `GET /rollouts`.
pub async fn list(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Html<String> {
    let (mut open, mut over) = (Vec::new(), Vec::new());
    for kept in console.rollouts_of(&visitor) {
        let into = if kept.rollout.phase().is_over() {
            &mut over
        } else {
            &mut open
        };
        if into.len() < OVER {
            into.push(row(&console.fleet(), &kept, console.now()));
        }
    }
    let page = RolloutsPage {
        shell: console.shell(Some(&visitor), address::ROLLOUTS),
        open,
        over,
        may_propose: console.permits(&visitor, Action::Assign),
        command: "freehold rollout plan models/NAME/VERSION/release.json --boxes all".to_owned(),
    };
    Html(match fragment(&headers) {
        Some(id) => page.render_fragment(id),
        None => page.render(),
    })
}

/// `GET /rollouts/{id}`.
///
/// # Errors
/// 404.
pub async fn one(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Refused> {
    let kept = console.rollout_of(&visitor, &id)?;
    let page = one::model(&console, &visitor, &kept);
    Ok(Html(match fragment(&headers) {
        Some(id) => page.render_fragment(id),
        None => page.render(),
    }))
}

/// `GET /rollouts/new`.
pub async fn new(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Html<String> {
    Html(empty(&console, &visitor, form::usual(), None).render())
}

fn empty(
    console: &Console,
    visitor: &Visitor,
    typed: freehold_views::new_rollout::Typed,
    fault: Option<Fault>,
) -> NewRolloutPage {
    let shelf = console.shelf();
    let mut releases: Vec<(String, String, u64)> = (shelf.descriptors.iter())
        .filter(|(_, descriptor)| descriptor.kind != freehold_verify::release::ReleaseKind::Os)
        .filter(|(_, descriptor)| shelf.barred(descriptor).is_none())
        .map(|(target, descriptor)| {
            let name = format!(
                "{} {} ({})",
                descriptor.name,
                descriptor.version,
                descriptor.kind.word()
            );
            (target.clone(), name, descriptor.counter)
        })
        .collect();
    // Newest first within a name: that is what somebody wants to bring.
    releases.sort_by(|one, other| {
        let line = |target: &str| target.rsplitn(3, '/').nth(2).unwrap_or_default().to_owned();
        (line(&one.0), other.2).cmp(&(line(&other.0), one.2))
    });
    NewRolloutPage {
        shell: console.shell(Some(visitor), address::NEW_ROLLOUT),
        releases: releases.into_iter().map(|(target, name, _)| (target, name)).collect(),
        typed,
        fault,
        boxes: number(console.fleet().boxes().len()),
    }
}

/// `POST /rollouts/new`.
///
/// # Errors
/// 503 when it could not be recorded. What makes no plan is said on the form.
pub async fn propose(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let typed = form::typed(&form);
    let sites = console.fleet_of(&visitor).seen_sites();
    let proposed = match form::wish(&typed, &sites) {
        Ok(wish) => console.propose_rollout(&wish, &visitor.account.name).await,
        Err(refused) => Err(refused),
    };
    match proposed {
        Ok(id) => Ok(see(&address::rollout(&id))),
        Err(refused) if refused.status.is_client_error() => {
            let fault = super::shell::fault(&refused.report, None);
            let page = empty(&console, &visitor, typed, Some(fault));
            Ok((refused.status, Html(page.render())).into_response())
        }
        Err(refused) => Err(refused),
    }
}

/// `POST /rollouts/{id}/command`.
///
/// # Errors
/// 400 for an unknown command, 403, 404, 409.
pub async fn command(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let by = visitor.account.name.clone();
    let digest = form.need("digest")?.to_owned();
    let name = form.need("command")?.to_owned();
    if name == "approve" {
        let password = form.need("password")?;
        console.approve_rollout(&visitor, &id, &digest, password).await?;
        return Ok(see(&address::rollout(&id)));
    }
    if name == "approve_with_passkey" {
        let assertion = super::plans::assertion(&form)?;
        console.approve_rollout_with_passkey(&visitor, &id, assertion).await?;
        return Ok(see(&address::rollout(&id)));
    }
    let kept = console.rollout_of(&visitor, &id)?;
    console
        .allow_at_all(&visitor, Action::Assign, &console.places_of_rollout(&kept))
        .await?;
    if digest != kept.rollout.plan().digest().to_hex() {
        let message = "the page was made for another plan";
        return Err(Refused::new(StatusCode::CONFLICT, "rollout.plan_changed", message));
    }
    let command = match name.as_str() {
        "start" => {
            console.start_rollout(&visitor, &id, &digest).await?;
            return Ok(see(&address::rollout(&id)));
        }
        "pause" => Command::Pause { by },
        "resume" => Command::Resume { by },
        "abort" => Command::Abort { by },
        "rollback" => Command::RollBack { by },
        "allow" => Command::AllowWave {
            by,
            wave: form
                .need("wave")?
                .parse()
                .map_err(|_| Refused::unreadable("`wave` is a number"))?,
        },
        _ => return Err(Refused::unreadable("there is no such command")),
    };
    console.steer_rollout(&visitor, &id, command).await?;
    Ok(see(&address::rollout(&id)))
}

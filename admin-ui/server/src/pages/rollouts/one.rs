//! One rollout's page, from what everybody is shown.
//!
//! Refuses to offer a button whose command would be refused. Invariant: pictures, lists and table come from the same boxes.

use std::collections::BTreeMap;

use freehold_fleet::rollout::Phase;
use freehold_verify::RefusalReport;
use freehold_views::address;
use freehold_views::rollout::{Actions, BoxLine, Dot, RolloutPage, StageMark, WaitingGroup, WavePart, WentBack};
use freehold_views::shell::Fault;
use freehold_views::text::counted;

use super::{counts, short_name, standing};
use crate::console::Console;
use crate::pages::plans;
use crate::pages::shell::fingerprint;
use crate::people::action::Action;
use crate::people::session::Visitor;
use crate::rollouts::Kept;
use crate::rollouts::shown::{BoxShown, RolloutShown, WaveShown, shown};

/// Boxes in the table of one page.
const BOXES: usize = 100;
/// Boxes that went back, each with its fault.
const WENT_BACK: usize = 20;
/// Names of boxes that wait for the same.
const NAMES: usize = 8;

fn mark(stage: &str) -> StageMark {
    match stage {
        "ordered" => StageMark::Ordered,
        "healthy" => StageMark::Healthy,
        "went_back" => StageMark::WentBack,
        "failed" => StageMark::Failed,
        "silent" => StageMark::Silent,
        "return_ordered" => StageMark::ReturnOrdered,
        "returned" => StageMark::Returned,
        _ => StageMark::Waiting,
    }
}

fn name(one: &BoxShown) -> String {
    if one.label.is_empty() {
        one.box_id.clone()
    } else {
        one.label.clone()
    }
}

/// Seconds as a person says them.
fn span(seconds: i64) -> String {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    match seconds {
        s if s >= 172_800 && s % 86_400 == 0 => counted(count(s / 86_400), "day", "days"),
        s if s >= 3600 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 60 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// Weekdays as people say them.
fn weekdays(days: &[u8]) -> String {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let name = |day: &u8| NAMES.get(usize::from(*day).wrapping_sub(1)).copied();
    days.iter().filter_map(name).collect::<Vec<_>>().join(" ")
}

/// Why a box went back, in the words of the box, the gate or the console.
fn fault(console: &Console, one: &BoxShown) -> Fault {
    let code = one.code.clone().unwrap_or_default();
    let said = console.fleet().member(&one.box_id).and_then(|member| {
        let report = member.report.as_ref()?;
        report
            .refusals
            .iter()
            .rev()
            .find(|refusal| refusal.code == code)
            .cloned()
    });
    let message = match code.as_str() {
        "answers" => "golden answers are below the plan's gate",
        "errors" => "more requests fail than the plan's gate allows",
        "speed" => "it is slower than the plan's gate allows",
        "verdict" => "its verdict after the change does not allow it to stay",
        "silent" => "it was told, and has not answered in the plan's patience",
        _ => "the box says why it went back",
    };
    let report = said.unwrap_or(RefusalReport {
        code,
        message: message.to_owned(),
        expected: None,
        found: None,
    });
    crate::pages::shell::fault(&report, one.since)
}

fn wave(seen: &RolloutShown, wave: &WaveShown, may: bool) -> WavePart {
    let (state, at) = match (wave.state, wave.begun) {
        ("done", Some(_)) => {
            let last = wave.boxes.iter().filter_map(|one| one.since).max();
            ("done".to_owned(), last)
        }
        ("running", begun) => ("under way since".to_owned(), begun),
        _ => match &wave.waits {
            Some(what) if !seen.over => (format!("waits {what}"), wave.until),
            _ => ("not begun".to_owned(), None),
        },
    };
    WavePart {
        number: super::number(wave.number),
        dots: (wave.boxes.iter())
            .map(|one| Dot {
                name: name(one),
                stage: mark(one.stage),
            })
            .collect(),
        state,
        at,
        earliest: match seen.started {
            None if wave.earliest == 0 => "at the start".to_owned(),
            None => format!("{} after the start, at the earliest", span(wave.earliest)),
            Some(_) => String::new(),
        },
        bytes: wave.bytes,
        may_allow: may
            && wave.person
            && wave.begun.is_none()
            && seen.phase == "running"
            && wave
                .waits
                .as_deref()
                .is_some_and(|waits| waits.starts_with("for a person")),
    }
}

fn waiting(seen: &RolloutShown) -> Vec<WaitingGroup> {
    let mut groups: BTreeMap<(String, Option<i64>), Vec<String>> = BTreeMap::new();
    for one in seen.waves.iter().flat_map(|wave| &wave.boxes) {
        if let Some(what) = &one.waits {
            groups.entry((what.clone(), one.until)).or_default().push(name(one));
        }
    }
    let mut all: Vec<WaitingGroup> = groups
        .into_iter()
        .map(|((what, until), names)| {
            let rest = names.len().saturating_sub(NAMES);
            let mut shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
            if rest > 0 {
                shown.push_str(&format!(" and {rest} more"));
            }
            WaitingGroup {
                what,
                until,
                count: super::number(names.len()),
                names: shown,
            }
        })
        .collect();
    all.sort_by_key(|group| std::cmp::Reverse(group.count));
    all
}

fn terms(seen: &RolloutShown) -> Vec<(String, String)> {
    let gates = &seen.gates;
    let mut shows = vec!["its own health check".to_owned()];
    if gates.verdict {
        shows.push("a verdict after the change".to_owned());
    }
    shows.push(format!("{} % of golden answers", gates.answers_percent));
    shows.push(format!("at most {} of 1,000 requests failed", gates.errors_permille));
    shows.push(format!("at least {} % of its speed before", gates.speed_percent));
    let windows: Vec<String> = (seen.windows.iter())
        .map(|(site, window)| {
            format!(
                "{site}: {} from {:02}:{:02} for {}, {}",
                weekdays(&window.days),
                window.opens / 60,
                window.opens % 60,
                span(i64::from(window.minutes) * 60),
                window.zone
            )
        })
        .collect();
    let line = |name: &str, sentence: String| (name.to_owned(), sentence);
    vec![
        line(
            "Boxes",
            counted(u64::try_from(seen.counts.all).unwrap_or(u64::MAX), "box", "boxes"),
        ),
        line("Healthy is", shows.join("; ")),
        line(
            "Soak",
            format!("a wave has to be healthy for {} before the next", span(gates.soak)),
        ),
        line(
            "Limits",
            format!(
                "at most {} out of service at once, {} at each site",
                seen.limits.unavailable, seen.limits.unavailable_per_site
            ),
        ),
        line(
            "Budget",
            format!(
                "more than {} failed: everything stops and goes back",
                seen.failure_budget
            ),
        ),
        line(
            "Windows",
            if windows.is_empty() {
                "at any time".to_owned()
            } else {
                windows.join("; ")
            },
        ),
        line(
            "Patience",
            format!("a box that says nothing for {} counts as silent", span(seen.patience)),
        ),
        line("Release", seen.release_sha256.clone()),
    ]
}

fn actions(console: &Console, visitor: &Visitor, kept: &Kept, seen: &RolloutShown) -> Actions {
    let places = console.places_of_rollout(kept);
    let may = console.permits_at_all(visitor, Action::Assign, &places);
    let own = seen.by == visitor.account.name;
    let needed = usize::try_from(seen.approvals_needed).unwrap_or(usize::MAX);
    let is_open = matches!(kept.rollout.phase(), Phase::Proposed);
    let is_approved = seen.approvals.len() >= needed;
    let approved_by_me = seen.approvals.contains(&visitor.account.name);
    // Where boxes want passkeys, the part about approvals says who may, and why not.
    let by_passkey = seen.approval.is_some();
    let approve = is_open
        && !by_passkey
        && !is_approved
        && !approved_by_me
        && console.permits_deciding(visitor, &seen.by, &places);
    let start = is_open && may && is_approved;
    let why_not = if !is_open || start || approve || (by_passkey && !is_approved) {
        String::new()
    } else if !is_approved && own {
        "Somebody else has to approve this plan: nobody approves their own.".to_owned()
    } else if !is_approved {
        format!("The role `{}` does not decide about plans.", visitor.account.role)
    } else {
        format!("The role `{}` may look.", visitor.account.role)
    };
    Actions {
        approve,
        start,
        pause: may && matches!(kept.rollout.phase(), Phase::Running),
        resume: may && matches!(kept.rollout.phase(), Phase::Paused { .. }),
        abort: may && !seen.over,
        rollback: may
            && seen.started.is_some()
            && !matches!(kept.rollout.phase(), Phase::RollingBack(_) | Phase::RolledBack(_)),
        why_not,
    }
}

/// The page.
pub(super) fn model(console: &Console, visitor: &Visitor, kept: &Kept) -> RolloutPage {
    let seen = shown(kept, &console.fleet(), console.now());
    let places = console.places_of_rollout(kept);
    let may = console.permits_at_all(visitor, Action::Assign, &places);
    let mut boxes = Vec::new();
    let mut went_back = Vec::new();
    for part in &seen.waves {
        for one in &part.boxes {
            let stage = mark(one.stage);
            if one.code.is_some() && went_back.len() < WENT_BACK {
                let is_back = matches!(stage, StageMark::WentBack | StageMark::Returned);
                went_back.push(WentBack {
                    box_id: one.box_id.clone(),
                    label: one.label.clone(),
                    site: one.site.clone(),
                    stage,
                    since: one.since,
                    runs: one.from.clone().filter(|_| is_back).unwrap_or_default(),
                    fault: fault(console, one),
                });
            }
            boxes.push(BoxLine {
                box_id: one.box_id.clone(),
                label: one.label.clone(),
                site: one.site.clone(),
                wave: super::number(part.number),
                stage,
                since: one.since,
                from: one.from.clone().unwrap_or_default(),
                text: match (&one.code, &one.waits) {
                    (Some(code), _) => format!("`{code}`"),
                    (None, Some(waits)) => format!("waits {waits}"),
                    (None, None) => String::new(),
                },
                by_stick: one.by_stick,
            });
        }
    }
    let more = boxes.len().saturating_sub(BOXES);
    boxes.truncate(BOXES);
    let is_model = seen.release.starts_with("models/");
    let stick = &seen.counts;
    RolloutPage {
        shell: console.shell(Some(visitor), &address::rollout(&seen.id)),
        id: seen.id.clone(),
        name: short_name(&seen.release),
        from: seen.from.join(", "),
        version: seen.version.clone(),
        release_href: if is_model {
            address::model(&short_name(&seen.release), &seen.version)
        } else {
            String::new()
        },
        standing: standing(&kept.rollout),
        because: seen.because.clone(),
        is_proposed: matches!(kept.rollout.phase(), Phase::Proposed),
        counts: counts(&seen.counts),
        waves: seen.waves.iter().map(|part| wave(&seen, part, may)).collect(),
        went_back,
        waiting: if seen.started.is_some() {
            waiting(&seen)
        } else {
            Vec::new()
        },
        by_stick: if stick.by_stick == 0 {
            String::new()
        } else {
            format!(
                "{} of {} back, {} not yet",
                stick.by_stick_back,
                stick.by_stick,
                stick.by_stick.saturating_sub(stick.by_stick_back)
            )
        },
        boxes,
        more_boxes: super::number(more),
        risks: seen.risks.clone(),
        terms: terms(&seen),
        bytes: seen.bytes,
        deadline: seen.deadline,
        digest: fingerprint("plan", &seen.digest),
        by: seen.by.clone(),
        at: seen.at,
        approvals: seen.approvals.clone(),
        approvals_needed: seen.approvals_needed,
        approval: (kept.asked.as_ref()).map(|asked| plans::approval(console, visitor, asked, &seen.by, &places)),
        started: seen.started,
        actions: actions(console, visitor, kept, &seen),
    }
}

//! Reports: what a box says about itself, taken once each and in order.
//!
//! Refuses to let a report change a verdict: facts that matter for trust come as evidence. Invariant: a repeated or older
//! report changes nothing; any order and repetition ends in the same state.

use freehold_protocol::report::BoxReport;

use crate::effect::{Effect, Entry};
use crate::event::{Answer, Outcome};
use crate::rejection::FleetRejection;
use crate::state::Fleet;

/// Most entries that one report may cause: bounds how fast a box can grow the console's record.
const ENTRIES_PER_REPORT: usize = 32;

/// Whether `new` comes after `last`. Sequences start again with each boot; the box's clock may be wrong, so a report with
/// the first number of a boot counts as new unless it is the very one that was taken last.
#[must_use]
pub fn is_newer(new: &BoxReport, last: &BoxReport) -> bool {
    if new.sequence > last.sequence {
        return true;
    }
    if (new.sequence, new.at) == (last.sequence, last.at) {
        return false;
    }
    new.at > last.at || new.sequence <= 1
}

pub(crate) fn take(fleet: &Fleet, box_id: &str, report: &BoxReport, now: i64) -> Outcome {
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.is_approved()) else {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        });
    };
    if member.report.as_ref().is_some_and(|last| !is_newer(report, last)) {
        return Outcome::accepted(Answer::Report { taken: false }, Vec::new());
    }
    let mut effects = vec![Effect::ReportTaken {
        box_id: box_id.to_owned(),
        report: Box::new(report.clone()),
        at: now,
    }];
    let entry = |kind: &str| Entry::new(kind, now, &fleet.site, &format!("box:{box_id}")).about(box_id);
    let before = member.report.as_ref();
    let known = |code: &str, message: &str| {
        before.is_some_and(|last| {
            last.refusals
                .iter()
                .any(|old| old.code == code && old.message == message)
        })
    };
    for refusal in report.refusals.iter().take(ENTRIES_PER_REPORT) {
        if !known(&refusal.code, &refusal.message) {
            let code: String = refusal
                .code
                .chars()
                .filter(|letter| !letter.is_control())
                .take(64)
                .collect();
            effects.push(Effect::Record(entry("box.refused").refused(&code)));
        }
    }
    let achieved = before.and_then(|last| last.achieved);
    if report.achieved.is_some() && report.achieved != achieved {
        effects.push(Effect::Record(
            entry("assignment.achieved").fact("counter", report.achieved),
        ));
    }
    Outcome::accepted(Answer::Report { taken: true }, effects)
}

//! Reports of boxes and the heads of their records.
//!
//! Refuses to let a report change a verdict, and to cosign a record that went back or forked. Invariant: a repeated report
//! changes nothing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_fleet::member::CosignedHead;
use freehold_fleet::{Answer, Event};
use freehold_protocol::V1;
use freehold_protocol::report::{BoxReport, ClientToken, RecordCheckpoint, RecordCosignature, ReportAnswer};

use super::caller::Member;
use crate::body::Told;
use crate::console::Console;
use crate::refused::Refused;

/// Most models in one report: bounds what a box can put on a page.
const MODELS: usize = 256;
/// Refusals of a head that stand in the console's record, because they say that somebody wrote a record of another key or
/// another history.
const RECORD_FAULTS: [&str; 4] = [
    "record.signature",
    "record.unsigned",
    "record.other_origin",
    "record.proof",
];
/// Most refusals in one report, as the protocol says.
const REFUSALS: usize = 32;

/// `POST /box/v1/report`.
///
/// # Errors
/// 400 when it holds more than the protocol allows.
pub async fn take(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
    Told(report): Told<BoxReport>,
) -> Result<Json<ReportAnswer>, Refused> {
    if report.models.len() > MODELS || report.refusals.len() > REFUSALS || report.doing.len() > 512 {
        return Err(Refused::unreadable("the report holds more than the protocol allows"));
    }
    let achieved = report.achieved;
    match console
        .happen(Event::Reported {
            box_id: box_id.clone(),
            report: Box::new(report),
        })
        .await?
    {
        Answer::Report { .. } => {}
        _ => {
            return Err(Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "console.inside",
                "the report was not taken",
            ));
        }
    }
    answer(&console, &box_id, achieved).map(Json)
}

/// What a box hears after a report.
pub(crate) fn answer(console: &Console, box_id: &str, achieved: Option<u64>) -> Result<ReportAnswer, Refused> {
    let now = console.now();
    let fleet = console.fleet();
    let member = fleet.member(box_id).ok_or_else(|| Refused::not_found("box"))?;
    let tokens = member
        .tokens
        .iter()
        .filter(|token| token.expires.is_none_or(|expires| expires >= now));
    Ok(ReportAnswer {
        v: V1,
        next: fleet.rules.report_every,
        attest: fleet.wants_evidence(member, now),
        assignment: member
            .assignment
            .as_ref()
            .map(|head| head.counter)
            .filter(|counter| Some(*counter) > achieved),
        tokens: tokens
            .map(|token| ClientToken {
                id: token.id.clone(),
                name: token.name.clone(),
                sha256: token.sha256.clone(),
                models: token.models.clone(),
                expires: token.expires,
            })
            .collect(),
    })
}

/// `POST /box/v1/record`.
///
/// # Errors
/// 409 `record.rollback` when the head goes back or forks, 422 when the proof does not hold.
pub async fn checkpoint(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
    Told(message): Told<RecordCheckpoint>,
) -> Result<Json<RecordCosignature>, Refused> {
    let (head, cosignature) = match console.cosign(&box_id, &message) {
        Ok(cosigned) => cosigned,
        // The other faults are of the conversation; these are of the record.
        Err(refused) if RECORD_FAULTS.contains(&refused.report.code.as_str()) => {
            let entry = console.entry("record.shown", &format!("box:{box_id}")).about(&box_id);
            console.record(entry.refused(&refused.report.code)).await?;
            return Err(refused);
        }
        Err(refused) => return Err(refused),
    };
    let size = head.size;
    let event = Event::CheckpointShown {
        box_id: box_id.clone(),
        head: CosignedHead {
            at: console.now(),
            ..head
        },
    };
    console.happen(event).await?;
    console.keep_step(&box_id, &message, size);
    Ok(Json(RecordCosignature { v: V1, cosignature }))
}

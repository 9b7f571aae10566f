//! Evidence over the wire.
//!
//! Refuses evidence that answers no open challenge of this very box before anything else of it is looked at. Invariant: the
//! verdict is durable, with everything that it rests on, before the box hears it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_fleet::{Answer, Event, Verdict};
use freehold_protocol::report::VerdictAnswer;
use freehold_protocol::{Base64, V1};
use freehold_trust::Sha256Digest;
use freehold_verify::Refusal as _;
use freehold_verify::evidence::codec::MAX_EVIDENCE;
use time::OffsetDateTime;

use super::caller::{Key, Member};
use crate::appraise::{self, Question};
use crate::body;
use crate::console::Console;
use crate::refused::Refused;

/// `POST /box/v1/evidence`.
///
/// # Errors
/// 422 for evidence that answers no open challenge, or is none at all. A verdict, however bad, is an answer.
pub async fn take(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
    Extension(Key(peer)): Extension<Key>,
    request: Request<Body>,
) -> Result<Json<VerdictAnswer>, Refused> {
    let bytes = body::read(request, MAX_EVIDENCE).await?.to_vec();
    take_bytes(&console, &box_id, peer.spki, bytes).await.map(Json)
}

/// Takes evidence of the box with this TLS key, wherever it came from.
pub(crate) async fn take_bytes(
    console: &Console,
    box_id: &str,
    tls: Sha256Digest,
    bytes: Vec<u8>,
) -> Result<VerdictAnswer, Refused> {
    let nonce = match appraise::nonce_of(&bytes) {
        Ok(nonce) => nonce,
        Err(rejection) => {
            let entry = console.entry("evidence.shown", &format!("box:{box_id}")).about(box_id);
            console.record(entry.refused(rejection.code())).await?;
            return Err(Refused::of(&rejection));
        }
    };
    let open = console
        .fleet()
        .member(box_id)
        .and_then(|member| member.challenge.clone());
    let event = Event::ChallengeAnswered {
        box_id: box_id.to_owned(),
        nonce: nonce.to_vec(),
    };
    match console.happen(event).await {
        Ok(Answer::Nonce(_)) => {}
        Ok(_) => {
            return Err(Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "console.inside",
                "no nonce came back",
            ));
        }
        Err(refused) => {
            let entry = console.entry("evidence.shown", &format!("box:{box_id}")).about(box_id);
            console.record(entry.refused(&refused.report.code)).await?;
            return Err(refused);
        }
    }
    // The challenge that was taken is the one that was open; another request cannot have taken it in between.
    let question = open.filter(|open| open.nonce == nonce).and_then(|open| {
        let fleet = console.fleet();
        Question::about(fleet.member(box_id)?, &open, tls).map(|question| question.by_stick(&fleet.rules))
    });
    let (verdict, package) = match question {
        Some(question) => console.appraise(question, bytes).await,
        None => {
            let message = "the challenge changed while it was answered";
            (
                appraise::could_not_tell(&bytes, "console.verification_failed", message, console.now()),
                bytes,
            )
        }
    };
    let event = Event::Appraised {
        box_id: box_id.to_owned(),
        verdict: Box::new(verdict.clone()),
        evidence: package,
    };
    if let Err(refused) = console.happen(event).await {
        console.lose_verdict(box_id);
        return Err(refused);
    }
    answer(console, box_id, &verdict, &nonce)
}

fn answer(console: &Console, box_id: &str, verdict: &Verdict, nonce: &[u8]) -> Result<VerdictAnswer, Refused> {
    let (spki, assignment) = {
        let fleet = console.fleet();
        let member = fleet.member(box_id).ok_or_else(|| Refused::not_found("box"))?;
        let spki = member.active.as_ref().map(|keys| keys.tls_spki_der.clone());
        (spki, member.assignment.as_ref().map(|head| head.counter))
    };
    let certificate = match spki.filter(|_| verdict.word.allows_change()) {
        Some(spki) => {
            let issued = console
                .0
                .keys
                .fleet_ca
                .issue_box(&spki, box_id, OffsetDateTime::now_utc());
            Some(Base64(issued.map_err(|error| Refused::inside(&error))?.to_vec()))
        }
        None => None,
    };
    Ok(VerdictAnswer {
        v: V1,
        verdict: verdict.word,
        because: verdict.because.clone(),
        refusals: verdict.refusals.clone(),
        certificate,
        time: Some(Base64(console.signed_time(nonce))),
        assignment: assignment.filter(|_| verdict.word.allows_change()),
    })
}

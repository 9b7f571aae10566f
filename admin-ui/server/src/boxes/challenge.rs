//! A fresh nonce for a box that wants to prove itself.
//!
//! Refuses to repeat one. Invariant: 256 bits from the system's source, for the calling key only, single use.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_fleet::{Answer, Event};
use freehold_protocol::report::{Challenge, ChallengeRequest};
use freehold_protocol::{Base64, V1};

use super::caller::Member;
use crate::body::Told;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// `POST /box/v1/challenge`.
///
/// # Errors
/// The fleet's refusal; 503 when randomness fails.
pub async fn issue(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
    Told(_): Told<ChallengeRequest>,
) -> Result<Json<Challenge>, Refused> {
    let nonce = random::bytes::<32>().map_err(|error| Refused::inside(&error))?;
    match console.happen(Event::ChallengeAsked { box_id, nonce }).await? {
        Answer::Challenge(challenge) => Ok(Json(Challenge {
            v: V1,
            nonce: Base64(challenge.nonce.to_vec()),
            pcrs: crate::appraise::QUOTED_PCRS.to_vec(),
            expires: challenge.expires,
        })),
        _ => Err(Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "console.inside",
            "no challenge was made",
        )),
    }
}

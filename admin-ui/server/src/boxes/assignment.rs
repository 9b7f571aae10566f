//! What a box should run, as the director signed it.
//!
//! Refuses to hand it to a box whose verdict allows no change. Invariant: the bytes are those that were signed and stored.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use freehold_fleet::{Answer, Event};

use super::caller::Member;
use crate::console::Console;
use crate::refused::Refused;

/// `GET /box/v1/assignment`.
///
/// # Errors
/// 403 `console.not_trusted`; 204 when there is none.
pub async fn give(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
) -> Result<Response, Refused> {
    let answer = console
        .happen(Event::AssignmentAsked { box_id: box_id.clone() })
        .await?;
    let Answer::Assignment(Some(counter)) = answer else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let stored = console
        .0
        .store
        .assignment_of(&box_id, counter)
        .await
        .map_err(|error| Refused::inside(&error))?;
    let Some(envelope) = stored else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    Ok((
        [(header::CONTENT_TYPE, "application/vnd.dsse.envelope.v1+json")],
        envelope,
    )
        .into_response())
}

//! The verdict lease of the calling box, signed when it asks.
//!
//! Refuses to sign one over a verdict that is not good now. Invariant: what is signed follows from the fleet as it is; nothing
//! about leases is kept but what people withdrew.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use freehold_fleet::LeaseNow;
use freehold_verify::document::sign_lease;

use super::caller::Member;
use crate::console::Console;
use crate::refused::Refused;

/// `GET /box/v1/lease`.
///
/// # Errors
/// 404 for a box that has just left the fleet; 204 when there is nothing to say.
pub async fn give(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
) -> Result<Response, Refused> {
    let now = {
        let fleet = console.fleet();
        let member = fleet.member(&box_id).ok_or_else(|| Refused::not_found("box"))?;
        fleet.lease_of(member, console.now())
    };
    let (LeaseNow::Held(lease) | LeaseNow::Withdrawn(lease)) = now else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let envelope = sign_lease(&lease, &console.0.keys.director);
    Ok((
        [(header::CONTENT_TYPE, "application/vnd.dsse.envelope.v1+json")],
        envelope,
    )
        .into_response())
}

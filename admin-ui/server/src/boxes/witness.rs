//! Witnessing over the wire.
//!
//! Refuses a caller that is no member. Invariant: nothing here changes what the console believes about a box.

use axum::extract::State;
use axum::{Extension, Json};
use freehold_protocol::witness::{WitnessAsk, WitnessOffers};

use super::caller::Member;
use crate::body::Told;
use crate::console::Console;
use crate::refused::Refused;

/// `POST /box/v1/witness`.
///
/// # Errors
/// 422 for a cosignature that does not verify.
pub async fn take(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
    Told(ask): Told<WitnessAsk>,
) -> Result<Json<WitnessOffers>, Refused> {
    Ok(Json(console.witness(&box_id, &ask).await?))
}

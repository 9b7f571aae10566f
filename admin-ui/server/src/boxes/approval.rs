//! People's approvals, as a box fetches them beside its assignment.
//!
//! Refuses a package of another box. Invariant: the bytes are those whose digest the assignment names.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::caller::Member;
use crate::console::Console;
use crate::refused::Refused;

/// `GET /box/v1/approvals/{sha256}`.
///
/// # Errors
/// 404 when there is none for the caller.
pub async fn give(
    State(console): State<Console>,
    Extension(Member(box_id)): Extension<Member>,
    Path(named): Path<String>,
) -> Result<Response, Refused> {
    let stored = console
        .0
        .store
        .approval_package(&box_id, &named)
        .await
        .map_err(|error| Refused::inside(&error))?;
    let bytes = stored.ok_or_else(|| Refused::not_found("approval"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

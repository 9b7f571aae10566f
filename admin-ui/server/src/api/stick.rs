//! Sticks over the API: make a bundle, fetch its parts, take a return in.
//!
//! Refuses a return that is larger than any real one before it is read. Invariant: the pages call the same functions.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use freehold_protocol::stick::MAX_RETURN;
use serde_json::{Value, json};

use crate::body::{self, Told};
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::stick::Wish;

/// `GET /api/v1/bundles`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Refused> {
    Ok(Json(json!({ "bundles": console.bundles_shown(&visitor).await? })))
}

/// `POST /api/v1/bundles`.
///
/// # Errors
/// 404 for an unknown box, 400 for parts that do not work out.
pub async fn make(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(wish): Told<Wish>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let made = console.make_bundle(&wish, &visitor.account.name).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `GET /api/v1/bundles/{number}/parts/{part}`, whole or a range.
///
/// # Errors
/// 404, 416.
pub async fn part(
    State(console): State<Console>,
    Path((number, part)): Path<(u64, u32)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    console.bundle_part(number, part, &headers).await
}

/// `POST /api/v1/returns`: the file as it lay on the stick.
///
/// # Errors
/// 422 with the code of what is wrong with it.
pub async fn take(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Result<Json<Value>, Refused> {
    let bytes = body::read(request, MAX_RETURN).await?.to_vec();
    Ok(Json(console.take_return(bytes, &visitor.account.name).await?))
}

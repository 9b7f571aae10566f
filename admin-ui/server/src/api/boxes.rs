//! Boxes over the API: looking.
//!
//! Refuses to change anything; see `change`. Invariant: the evidence of a package goes out as it came in; names, the assignment
//! and the proof that the record tells of it are added, and the record tells who took it.

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::summary::{detail, summary, tokens};
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// `GET /api/v1/boxes`.
pub async fn list(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let now = console.now();
    let fleet = console.fleet_of(&visitor);
    let shown: Vec<_> = fleet
        .boxes()
        .values()
        .map(|member| summary(&fleet, member, now))
        .collect();
    Json(json!({ "boxes": shown }))
}

/// `GET /api/v1/boxes/{id}`.
///
/// # Errors
/// 404.
pub async fn one(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let claims = console.whole_claims(&id).await?;
    let now = console.now();
    let fleet = console.fleet();
    let member = fleet.member(&id).ok_or_else(|| Refused::not_found("box"))?;
    Ok(Json(detail(&fleet, member, claims, now)))
}

/// Which evidence package.
#[derive(Debug, Deserialize)]
pub struct Which {
    sha256: Option<String>,
}

/// `GET /api/v1/boxes/{id}/evidence`.
///
/// # Errors
/// 404.
pub async fn evidence(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Refused> {
    let package = console.package_to_give(&id, which.sha256.as_deref()).await?;
    console
        .record(console.entry("evidence.read", &visitor.account.name).about(&id))
        .await?;
    let name = format!("attachment; filename=\"{id}-evidence.json\"");
    Ok((
        [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ],
        package,
    )
        .into_response())
}

/// How many.
#[derive(Debug, Deserialize)]
pub struct HowMany {
    limit: Option<u32>,
}

/// `GET /api/v1/boxes/{id}/verdicts`.
///
/// # Errors
/// 500.
pub async fn verdicts(
    State(console): State<Console>,
    Path(id): Path<String>,
    Query(how): Query<HowMany>,
) -> Result<Json<Value>, Refused> {
    let limit = how.limit.unwrap_or(50).min(500);
    let rows = console
        .0
        .store
        .verdicts_of(&id, limit)
        .await
        .map_err(|error| Refused::inside(&error))?;
    let shown: Vec<Value> = rows
        .into_iter()
        .map(|row| json!({ "number": row.number, "verdict": row.verdict }))
        .collect();
    Ok(Json(json!({ "verdicts": shown })))
}

/// `GET /api/v1/boxes/{id}/assignment`.
///
/// # Errors
/// 404; 204 when there is none.
pub async fn assignment(State(console): State<Console>, Path(id): Path<String>) -> Result<Response, Refused> {
    let counter = {
        let fleet = console.fleet();
        let member = fleet.member(&id).ok_or_else(|| Refused::not_found("box"))?;
        member.assignment.as_ref().map(|head| head.counter)
    };
    let Some(counter) = counter else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let envelope = console
        .0
        .store
        .assignment_of(&id, counter)
        .await
        .map_err(|error| Refused::inside(&error))?;
    let envelope = envelope.ok_or_else(|| Refused::not_found("assignment"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], envelope).into_response())
}

/// `GET /api/v1/boxes/{id}/tokens`.
///
/// # Errors
/// 404.
pub async fn list_tokens(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let fleet = console.fleet();
    let member = fleet.member(&id).ok_or_else(|| Refused::not_found("box"))?;
    Ok(Json(json!({ "tokens": tokens(member) })))
}

//! Boxes over the API: changing. The same functions that pages call after a confirmed plan.
//!
//! Refuses an approval without the fingerprint that was compared. Invariant: each change is one event of the fleet.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_fleet::{Event, LeaseChange};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::summary::{self, BoxSummary, summary};
use crate::body::Told;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// An approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The fingerprint that was compared, hex.
    pub fingerprint: String,
    /// SHA-256 of the EK's SubjectPublicKeyInfo, hex, where the TPM carries no certificate.
    pub ek: Option<String>,
}

fn shown(console: &Console, id: &str) -> Result<Json<BoxSummary>, Refused> {
    let fleet = console.fleet();
    let member = fleet.member(id).ok_or_else(|| Refused::not_found("box"))?;
    Ok(Json(summary(&fleet, member, console.now())))
}

/// `POST /api/v1/boxes/{id}/approve`.
///
/// # Errors
/// 409 when nothing waits or the fingerprint is another, 403 when the EK's hash has to be named.
pub async fn approve(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(approval): Told<Approval>,
) -> Result<Json<BoxSummary>, Refused> {
    let by = visitor.account.name;
    let event = Event::Approved {
        box_id: id.clone(),
        fingerprint: approval.fingerprint.to_lowercase(),
        ek: approval.ek,
        by,
    };
    console.happen(event).await?;
    shown(&console, &id)
}

/// `POST /api/v1/boxes/{id}/refuse`.
///
/// # Errors
/// 409 when nothing waits.
pub async fn refuse(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Json<BoxSummary>, Refused> {
    console
        .happen(Event::Refused {
            box_id: id.clone(),
            by: visitor.account.name,
        })
        .await?;
    shown(&console, &id)
}

/// `POST /api/v1/boxes/{id}/remove`.
///
/// # Errors
/// 404.
pub async fn remove(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    console
        .happen(Event::Removed {
            box_id: id,
            by: visitor.account.name,
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/boxes/{id}/attest`.
///
/// # Errors
/// 404.
pub async fn attest(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    console
        .happen(Event::AttestWanted {
            box_id: id,
            by: visitor.account.name,
        })
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// What a box should run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Target names of release descriptors.
    pub targets: Vec<String>,
    /// Days in which the box may take it up.
    pub days: Option<u32>,
}

/// `POST /api/v1/boxes/{id}/assign`.
///
/// # Errors
/// 422 with the release's own code, 404, 400.
pub async fn assign(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(wish): Told<Wish>,
) -> Result<Json<Value>, Refused> {
    let made = console
        .assign(&id, &wish.targets, wish.days, &visitor.account.name)
        .await?;
    Ok(Json(json!({
        "counter": made.head.counter, "targets": made.head.targets, "not_after": made.head.not_after, "sha256": made.sha256,
    })))
}

/// What becomes of a verdict lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseWish {
    /// `withdraw` or `grant`.
    pub change: LeaseVerb,
    /// Models, by name, that `withdraw` is about; empty means all of them.
    #[serde(default)]
    pub models: BTreeSet<String>,
}

/// Whether a lease is taken back or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseVerb {
    /// Take it back: within a minute the models stop on a box that is online.
    Withdraw,
    /// Give it back as a whole.
    Grant,
}

/// `POST /api/v1/boxes/{id}/lease`.
///
/// # Errors
/// 400, 404.
pub async fn lease(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(wish): Told<LeaseWish>,
) -> Result<Json<Value>, Refused> {
    let change = match wish.change {
        LeaseVerb::Withdraw => LeaseChange::Withdraw { models: wish.models },
        LeaseVerb::Grant => LeaseChange::Grant,
    };
    let event = Event::LeaseChanged {
        box_id: id.clone(),
        change,
        by: visitor.account.name,
    };
    console.happen(event).await?;
    let fleet = console.fleet();
    let member = fleet.member(&id).ok_or_else(|| Refused::not_found("box"))?;
    Ok(Json(summary::lease(&fleet, member, console.now())))
}

/// A token for an application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Who it is for.
    pub name: String,
    /// Models that it may use; empty means every model of the box.
    #[serde(default)]
    pub models: Vec<String>,
    /// Days that it counts; absent means until withdrawn.
    pub days: Option<u32>,
}

/// `POST /api/v1/boxes/{id}/tokens`.
///
/// # Errors
/// 400, 404.
pub async fn make_token(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(wish): Told<NewToken>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let made = console
        .make_token(&id, &wish.name, wish.models, wish.days, &visitor.account.name)
        .await?;
    let shown = json!({ "id": made.row.id, "token": made.token, "expires": made.row.expires });
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `DELETE /api/v1/boxes/{id}/tokens/{token}`.
///
/// # Errors
/// 404.
pub async fn withdraw_token(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path((id, token)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    console
        .happen(Event::TokenWithdrawn {
            box_id: id,
            id: token,
            by: visitor.account.name,
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

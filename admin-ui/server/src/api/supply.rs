//! Bills and findings over the API.
//!
//! Refuses to accept without a reason and an end. Invariant: what pages show of it is filled from the same functions.

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use freehold_supply::{Finding, Scope};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::body::Told;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::supply::Wanted;

/// Which form.
#[derive(Debug, Deserialize)]
pub struct Form {
    form: Option<String>,
}

/// `GET /api/v1/boxes/{id}/sbom`.
///
/// # Errors
/// 404.
pub async fn sbom(
    State(console): State<Console>,
    Path(id): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, Refused> {
    let spdx = form.form.as_deref() == Some("spdx");
    let bytes = console.box_bill(&id, spdx)?;
    let (kind, ending) = if spdx {
        ("application/spdx+json", "spdx.json")
    } else {
        ("application/vnd.cyclonedx+json; version=1.6", "cdx.json")
    };
    let name = format!("attachment; filename=\"{id}.{ending}\"");
    Ok((
        [
            (header::CONTENT_TYPE, kind.to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ],
        bytes,
    )
        .into_response())
}

/// `GET /api/v1/boxes/{id}/findings`.
///
/// # Errors
/// 404.
pub async fn findings(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let found: Vec<Finding> = console.box_findings(&id)?;
    Ok(Json(json!({ "findings": found })))
}

/// `GET /api/v1/advisories`.
pub async fn fleet(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let shelf = console.shelf();
    let faults: Vec<Value> = shelf
        .supply
        .faults
        .iter()
        .map(|(file, report)| json!({ "file": file, "refused": report }))
        .collect();
    Json(json!({
        "known": shelf.supply.index.len(),
        "modified": shelf.supply.index.modified(),
        "statements": shelf.supply.vex.len(),
        "faults": faults,
        "findings": console.fleet_findings(&console.fleet_of(&visitor)),
    }))
}

/// Which package.
#[derive(Debug, Deserialize)]
pub struct Which {
    package: String,
}

/// `GET /api/v1/components`.
pub async fn components(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(which): Query<Which>,
) -> Json<Value> {
    let parts = console.fleet_parts(&console.fleet_of(&visitor));
    Json(json!({ "places": parts.places(&which.package) }))
}

/// An acceptance.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAcceptance {
    /// The advisory.
    pub advisory: String,
    /// The package, as a package URL.
    pub package: String,
    /// `{"of":"fleet"}`, `{"of":"release","which":TARGET}` or `{"of":"box","which":ID}`.
    #[schema(value_type = Object)]
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// For how many days.
    pub days: u32,
}

/// `POST /api/v1/acceptances`.
///
/// # Errors
/// 404 when nothing is open, 422 without a reason or an end.
pub async fn accept(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(new): Told<NewAcceptance>,
) -> Result<Json<Value>, Refused> {
    let wanted = Wanted {
        advisory: new.advisory,
        package: new.package,
        scope: new.scope,
        reason: new.reason,
        days: new.days,
    };
    let done = console.accept_finding(wanted, &visitor.account.name).await?;
    Ok(Json(json!(done)))
}

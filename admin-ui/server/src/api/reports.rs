//! Reports over the API.
//!
//! Refuses nothing by itself. Invariant: the same function makes the file that the page hands out.

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use freehold_audit::Scope;
use freehold_trust::Sha256Digest;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::body::Told;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::report::Made;

/// Which report.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewReport {
    /// About one box; without box and model, about the fleet.
    #[serde(rename = "box")]
    pub box_id: Option<String>,
    /// About one model, by its root digest.
    pub model: Option<String>,
    /// From when on, Unix seconds; a month back when it is not said.
    pub from: Option<i64>,
}

impl NewReport {
    /// What it is about.
    ///
    /// # Errors
    /// 400 when box and model are both named, or the model is no digest.
    pub fn scope(&self) -> Result<Scope, Refused> {
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (named(&self.box_id), named(&self.model)) {
            (None, None) => Ok(Scope::Fleet {}),
            (Some(id), None) => Ok(Scope::Box { id }),
            (None, Some(model)) => {
                let digest: Sha256Digest = model
                    .parse()
                    .map_err(|_| Refused::unreadable("a model is named by its root digest, 64 hex digits"))?;
                Ok(Scope::Model { digest })
            }
            (Some(_), Some(_)) => Err(Refused::unreadable("a report is about a box or about a model")),
        }
    }
}

/// `POST /api/v1/reports`.
///
/// # Errors
/// As `Console::report`.
pub async fn make(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(wish): Told<NewReport>,
) -> Result<Response, Refused> {
    Ok(handed(console.report(wish.scope()?, wish.from, &visitor).await?))
}

/// The file as an answer.
#[must_use]
pub fn handed(made: Made) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.freehold.container".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"", made.name),
        ),
    ];
    (headers, made.bytes).into_response()
}

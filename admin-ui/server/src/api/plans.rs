//! Plans over the API: proposed, shown, approved with a passkey, confirmed by digest.
//!
//! Refuses a confirmation without the digest of what was shown. Invariant: the same functions as the pages.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_verify::webauthn::{Assertion, encoded};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::body::Told;
use crate::console::Console;
use crate::pages::plans::{confirm_plan, propose_plan, title};
use crate::people::session::Visitor;
use crate::plan::{Plan, Proposal, Stand};
use crate::refused::Refused;

fn shown(plan: &Plan) -> Value {
    let asked = plan.asked.as_ref().map(|asked| {
        json!({
            "needed": asked.needed, "statement": asked.statement, "sha256": asked.digest(),
            "challenge": encoded(asked.digest().as_bytes()),
            "given": asked.given.iter().map(|given| json!({ "name": given.name, "at": given.at })).collect::<Vec<_>>(),
        })
    });
    let (stand, refusal) = match &plan.stand {
        Stand::Waiting => ("waiting", None),
        Stand::InWork => ("in_work", None),
        Stand::Done => ("done", None),
        Stand::Refused(report) => ("refused", Some(report)),
        Stand::Withdrawn => ("withdrawn", None),
        Stand::Outdated => ("outdated", None),
    };
    json!({
        "id": plan.id, "title": title(&plan.proposal), "digest": plan.digest, "proposal": plan.proposal, "by": plan.by,
        "at": plan.at, "stand": stand, "refusal": refusal, "decided_by": plan.decided_by, "decided": plan.decided,
        "approval": asked,
    })
}

/// `GET /api/v1/plans`.
pub async fn list(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let plans = console.0.plans.all();
    let plans: Vec<Value> = plans
        .iter()
        .filter(|plan| console.sees_plan(&visitor, plan))
        .map(shown)
        .collect();
    Json(json!({ "plans": plans }))
}

/// `GET /api/v1/plans/{id}`.
///
/// # Errors
/// 404.
pub async fn one(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refused> {
    Ok(Json(shown(&console.plan_of(&visitor, &id)?)))
}

/// What is proposed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// Target names of release descriptors.
    pub targets: Vec<String>,
}

/// `POST /api/v1/boxes/{id}/plans`.
///
/// # Errors
/// 422 with the release's own code, 404.
pub async fn propose(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(box_id): Path<String>,
    Told(proposed): Told<Proposed>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let targets = proposed.targets.into_iter().map(|name| (name, String::new()));
    let wish = Proposal::Assign {
        box_id,
        targets: targets.collect(),
        counter: 0,
    };
    let plan = propose_plan(&console, &wish, &visitor.account.name).await?;
    Ok((StatusCode::CREATED, Json(shown(&plan))))
}

/// What a passkey signed, base64url without padding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAnswer {
    /// Credential id.
    pub credential: String,
    /// Authenticator data.
    pub authenticator_data: String,
    /// Client data.
    pub client_data: String,
    /// Signature.
    pub signature: String,
}

impl From<PasskeyAnswer> for Assertion {
    fn from(answer: PasskeyAnswer) -> Self {
        Self {
            credential: answer.credential,
            authenticator_data: answer.authenticator_data,
            client_data: answer.client_data,
            signature: answer.signature,
        }
    }
}

/// `POST /api/v1/plans/{id}/approvals`.
///
/// # Errors
/// 403, 404, 409, 422 with the code that a box would answer.
pub async fn approve(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(answer): Told<PasskeyAnswer>,
) -> Result<Json<Value>, Refused> {
    let plan = console.approve_plan(&visitor, &id, answer.into()).await?;
    Ok(Json(shown(&plan)))
}

/// Which plan exactly.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The digest that was shown.
    pub digest: String,
}

/// `POST /api/v1/plans/{id}/confirm`.
///
/// # Errors
/// 403, 404, 409, 422.
pub async fn confirm(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(confirmation): Told<Confirmation>,
) -> Result<Json<Value>, Refused> {
    confirm_plan(&console, &visitor, &id, &confirmation.digest).await?;
    Ok(Json(shown(&console.plan_of(&visitor, &id)?)))
}

//! Rollouts over the API: plan, propose, approve, drive, look.
//!
//! Refuses to begin or to approve anything but the plan whose digest the caller saw. Invariant: pages call the same functions.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_fleet::rollout::{Command, Rollout};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::plans::PasskeyAnswer;
use crate::body::Told;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::rollouts::shown::{RolloutShown, shown};
use crate::rollouts::{Kept, Preview, Wish};

/// A digest of the plan that was shown.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenPlan {
    /// SHA-256 of the plan, hex.
    pub digest: String,
}

/// An approval of a rollout's plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutApproval {
    /// SHA-256 of the plan that was shown, hex.
    pub digest: String,
    /// The approver's password, once more: a session that was left open approves nothing.
    pub password: String,
}

impl std::fmt::Debug for RolloutApproval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RolloutApproval({})", self.digest)
    }
}

impl Console {
    /// A rollout as it stands now.
    ///
    /// # Errors
    /// 404.
    pub fn shown_rollout(&self, id: &str) -> Result<RolloutShown, Refused> {
        let kept = self.0.rollouts.get(id).ok_or_else(|| Refused::not_found("rollout"))?;
        Ok(shown(&kept, &self.fleet(), self.now()))
    }
}

/// The same to a visitor who sees it.
fn one(console: &Console, visitor: &Visitor, id: &str) -> Result<Json<RolloutShown>, Refused> {
    console.rollout_of(visitor, id)?;
    console.shown_rollout(id).map(Json)
}

/// `GET /api/v1/rollouts`.
pub async fn list(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let now = console.now();
    // Before the fleet is held: it is looked into.
    let seen = console.rollouts_of(&visitor);
    let fleet = console.fleet();
    let all: Vec<Value> = (seen.iter())
        .filter_map(|kept| {
            let mut one = serde_json::to_value(shown(kept, &fleet, now)).ok()?;
            // The boxes stand in the rollout itself.
            if let Some(waves) = one.get_mut("waves").and_then(Value::as_array_mut) {
                for wave in waves {
                    let count = wave.get("boxes").and_then(Value::as_array).map_or(0, Vec::len);
                    if let Some(wave) = wave.as_object_mut() {
                        wave.insert("boxes".to_owned(), json!(count));
                    }
                }
            }
            Some(one)
        })
        .collect();
    Json(json!({ "rollouts": all }))
}

/// `GET /api/v1/rollouts/{id}`.
///
/// # Errors
/// 404.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Json<RolloutShown>, Refused> {
    one(&console, &visitor, &id)
}

/// `POST /api/v1/rollouts/plan`: the plan that a wish would make now. Stores nothing.
///
/// # Errors
/// The release's own code, or the rollout's.
pub async fn preview(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(wish): Told<Wish>,
) -> Result<Json<RolloutShown>, Refused> {
    let now = console.now();
    let by = visitor.account.name;
    let worker = console.clone();
    let Preview { plan, risks, asked } =
        tokio::task::spawn_blocking(move || worker.preview_rollout("preview", &wish, &by))
            .await
            .map_err(|error| Refused::inside(&error))??;
    let kept = Kept::proposed(Rollout::new(plan), risks, asked, now);
    Ok(Json(shown(&kept, &console.fleet(), now)))
}

/// `POST /api/v1/rollouts`: proposes; nothing is begun.
///
/// # Errors
/// As [`preview`].
pub async fn propose(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(wish): Told<Wish>,
) -> Result<(StatusCode, Json<RolloutShown>), Refused> {
    let id = console.propose_rollout(&wish, &visitor.account.name).await?;
    Ok((StatusCode::CREATED, one(&console, &visitor, &id)?))
}

/// `POST /api/v1/rollouts/{id}/approve`.
///
/// # Errors
/// 401 for a wrong password, 403 for a role that does not decide or for one's own plan, 409 for another plan or where a passkey
/// is wanted.
pub async fn approve(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(approval): Told<RolloutApproval>,
) -> Result<Json<RolloutShown>, Refused> {
    console
        .approve_rollout(&visitor, &id, &approval.digest, &approval.password)
        .await?;
    one(&console, &visitor, &id)
}

/// `POST /api/v1/rollouts/{id}/approvals`: a passkey's assertion over `approval.challenge`.
///
/// # Errors
/// 403, 404, 409 where no passkey is wanted or the rollout is over, 422 with the code that a box would answer.
pub async fn approve_with_passkey(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(answer): Told<PasskeyAnswer>,
) -> Result<Json<RolloutShown>, Refused> {
    console
        .approve_rollout_with_passkey(&visitor, &id, answer.into())
        .await?;
    one(&console, &visitor, &id)
}

/// `POST /api/v1/rollouts/{id}/start`.
///
/// # Errors
/// 409 for another plan, too few approvals, a passed deadline; 422 `approval.missing` while boxes want more people.
pub async fn start(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Told(seen): Told<SeenPlan>,
) -> Result<Json<RolloutShown>, Refused> {
    console.start_rollout(&visitor, &id, &seen.digest).await?;
    one(&console, &visitor, &id)
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident => $command:ident;)*) => {
        $($(#[$doc])*
        pub async fn $name(
            State(console): State<Console>,
            Extension(visitor): Extension<Visitor>,
            Path(id): Path<String>,
        ) -> Result<Json<RolloutShown>, Refused> {
            let by = visitor.account.name.clone();
            console.steer_rollout(&visitor, &id, Command::$command { by }).await?;
            one(&console, &visitor, &id)
        })*
    };
}

commands! {
    /// `POST /api/v1/rollouts/{id}/pause`.
    ///
    /// # Errors
    /// 404, 409.
    pause => Pause;
    /// `POST /api/v1/rollouts/{id}/resume`.
    ///
    /// # Errors
    /// 404, 409.
    resume => Resume;
    /// `POST /api/v1/rollouts/{id}/abort`.
    ///
    /// # Errors
    /// 404, 409.
    abort => Abort;
    /// `POST /api/v1/rollouts/{id}/rollback`.
    ///
    /// # Errors
    /// 404, 409.
    rollback => RollBack;
}

/// `POST /api/v1/rollouts/{id}/waves/{wave}/allow`.
///
/// # Errors
/// 404, 409, 422 for a wave that waits for nobody.
pub async fn allow(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path((id, wave)): Path<(String, usize)>,
) -> Result<Json<RolloutShown>, Refused> {
    let by = visitor.account.name.clone();
    console
        .steer_rollout(&visitor, &id, Command::AllowWave { by, wave })
        .await?;
    one(&console, &visitor, &id)
}

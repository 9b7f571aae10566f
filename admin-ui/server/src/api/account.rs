//! Sessions and accounts over the API.
//!
//! Refuses to hand out a token twice. Invariant: a role is read anew with each request; nothing here caches it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::body::Told;
use crate::console::Console;
use crate::listen::RemoteAddress;
use crate::people::session::{Door, Visitor};
use crate::refused::Refused;

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// A new session.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewSession {
    /// The bearer token, shown this once.
    pub token: String,
    /// Unix seconds.
    pub expires: i64,
    /// The account's name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Whether the password is a one-time one: nothing else is possible before it is changed.
    pub must_change_password: bool,
}

/// `POST /api/v1/session`.
///
/// # Errors
/// 401, 429.
pub async fn sign_in(
    State(console): State<Console>,
    Extension(RemoteAddress(from)): Extension<RemoteAddress>,
    Told(message): Told<SignIn>,
) -> Result<Json<NewSession>, Refused> {
    let signed = console
        .sign_in(&message.name, &message.password, Door::Api, &from.ip().to_string())
        .await?;
    Ok(Json(NewSession {
        token: signed.token,
        expires: signed.session.expires,
        name: signed.account.name,
        role: signed.account.role,
        must_change_password: signed.account.must_change,
    }))
}

/// `GET /api/v1/session`.
pub async fn who(Extension(visitor): Extension<Visitor>) -> Json<Value> {
    Json(json!({
        "name": visitor.account.name,
        "role": visitor.account.role,
        "site": visitor.account.site,
        "expires": visitor.session.expires,
        "must_change_password": visitor.account.must_change,
    }))
}

/// `DELETE /api/v1/session`.
///
/// # Errors
/// 503.
pub async fn sign_out(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<StatusCode, Refused> {
    console.sign_out(&visitor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The present one.
    pub old: String,
    /// The new one.
    pub new: String,
}

/// `POST /api/v1/account/password`.
///
/// # Errors
/// 400, 401.
pub async fn password(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(message): Told<NewPassword>,
) -> Result<StatusCode, Refused> {
    console.change_password(&visitor, &message.old, &message.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/accounts`.
///
/// # Errors
/// 500.
pub async fn list(State(console): State<Console>) -> Result<Json<Value>, Refused> {
    let accounts = console
        .0
        .store
        .accounts()
        .await
        .map_err(|error| Refused::inside(&error))?;
    let shown: Vec<Value> = accounts
        .into_iter()
        .map(|account| {
            json!({ "name": account.name, "role": account.role, "site": account.site,
                    "must_change_password": account.must_change, "made_at": account.made_at })
        })
        .collect();
    Ok(Json(json!({ "accounts": shown })))
}

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
}

/// `POST /api/v1/accounts`.
///
/// # Errors
/// 400, 409.
pub async fn make(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Told(message): Told<NewAccount>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let password = console
        .make_account(&message.name, &message.role, &visitor.account.name)
        .await?;
    let made = json!({ "name": message.name, "role": message.role, "password": password });
    Ok((StatusCode::CREATED, Json(made)))
}

/// A new role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// Which.
    pub role: String,
}

/// `POST /api/v1/accounts/{name}/role`.
///
/// # Errors
/// 400, 404, 409.
pub async fn role(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Told(message): Told<NewRole>,
) -> Result<StatusCode, Refused> {
    console.change_role(&name, &message.role, &visitor.account.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/v1/accounts/{name}`.
///
/// # Errors
/// 404, 409.
pub async fn remove(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    console.remove_account(&name, &visitor.account.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

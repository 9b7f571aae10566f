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
use crate::people::account::AccountWish;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// A code of an authenticator app or a recovery code, where the account has a second factor.
    #[serde(default)]
    pub code: Option<String>,
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
        .sign_in_whole(&message.name, &message.password, message.code, &from.ip().to_string())
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
        "sites": visitor.account.sites().collect::<Vec<_>>(),
        "kind": visitor.account.kind,
        "factor": visitor.session.factor,
        "scope": visitor.scope,
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
                    "sites": account.sites().collect::<Vec<_>>(), "kind": account.kind, "disabled": account.disabled,
                    "second_factor": account.has_second_factor(),
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
    /// Its sites; every site when they are not said.
    #[serde(default)]
    pub sites: Vec<String>,
    /// `person`, `machine`, `outside` or `break_glass`; a person when it is not said.
    #[serde(default)]
    pub kind: Option<String>,
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
    let wish = AccountWish {
        name: message.name,
        role: message.role,
        sites: if message.sites.is_empty() {
            vec!["*".to_owned()]
        } else {
            message.sites
        },
        kind: message.kind.unwrap_or_else(|| "person".to_owned()),
    };
    let password = console.make_account(&wish, &visitor.account.name).await?;
    // A password that nobody may sign in with is not shown.
    let shown = matches!(wish.kind.as_str(), "person" | "break_glass").then_some(password);
    let made =
        json!({ "name": wish.name, "role": wish.role, "sites": wish.sites, "kind": wish.kind, "password": shown });
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
    console
        .change_access(&name, Some(&message.role), None, &visitor.account.name)
        .await?;
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

/// Other sites.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSites {
    /// Names of sites; `*` is every site.
    pub sites: Vec<String>,
}

/// `POST /api/v1/accounts/{name}/sites`.
///
/// # Errors
/// 400, 404, 409.
pub async fn sites(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Told(message): Told<NewSites>,
) -> Result<StatusCode, Refused> {
    console
        .change_access(&name, None, Some(&message.sites), &visitor.account.name)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/accounts/{name}/disable`.
///
/// # Errors
/// 404, 409.
pub async fn disable(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    console.disable_account(&name, true, &visitor.account.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/accounts/{name}/enable`.
///
/// # Errors
/// 404.
pub async fn enable(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    console.disable_account(&name, false, &visitor.account.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/accounts/{name}/reset`.
///
/// # Errors
/// 400, 404.
pub async fn reset(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refused> {
    let password = console.reset_account(&name, &visitor.account.name).await?;
    Ok(Json(json!({ "name": name, "password": password })))
}

/// `GET /api/v1/sessions`.
///
/// # Errors
/// 500.
pub async fn sessions(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Refused> {
    let sessions = console.sessions_for(&visitor).await?;
    let shown: Vec<Value> = sessions
        .into_iter()
        .map(|session| {
            json!({ "id": session.id, "account": session.account, "door": session.door, "factor": session.factor,
                    "from": session.address, "made_at": session.made_at, "expires": session.expires,
                    "current": session.id == visitor.session.id })
        })
        .collect();
    Ok(Json(json!({ "sessions": shown })))
}

/// `DELETE /api/v1/sessions/{id}`.
///
/// # Errors
/// 403, 404.
pub async fn end_session(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    console.end_session(&visitor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token for the console's own API.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What it is for.
    pub name: String,
    /// What it may do, of what its account may.
    pub actions: Vec<String>,
    /// How long it counts.
    pub days: u32,
}

/// `GET /api/v1/accounts/{name}/tokens`.
///
/// # Errors
/// 403, 404.
pub async fn tokens(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refused> {
    console.own_or_manages(&visitor, &name).await?;
    let all = console
        .0
        .store
        .api_tokens()
        .await
        .map_err(|error| Refused::inside(&error))?;
    let shown: Vec<Value> = all
        .into_iter()
        .filter(|row| row.account == name)
        .map(|row| {
            json!({ "id": row.id, "name": row.name, "actions": row.actions.lines().collect::<Vec<_>>(),
                    "made_at": row.made_at, "made_by": row.made_by, "expires": row.expires })
        })
        .collect();
    Ok(Json(json!({ "tokens": shown })))
}

/// `POST /api/v1/accounts/{name}/tokens`.
///
/// # Errors
/// 400, 403, 404.
pub async fn make_token(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Told(wish): Told<NewApiToken>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    console.own_or_manages(&visitor, &name).await?;
    let account = console.known_account(&name).await?;
    let made = console
        .make_api_token(&visitor, &account, &wish.name, &wish.actions, wish.days)
        .await?;
    let shown = json!({ "id": made.row.id, "token": made.token, "expires": made.row.expires });
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `DELETE /api/v1/accounts/{name}/tokens/{token}`.
///
/// # Errors
/// 403, 404.
pub async fn withdraw_token(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path((name, token)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    console.own_or_manages(&visitor, &name).await?;
    console.withdraw_api_token(&visitor, &name, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/alarms`.
pub async fn alarms(State(console): State<Console>) -> Json<Value> {
    let shown: Vec<Value> = console
        .alarms()
        .into_iter()
        .map(|alarm| json!({ "id": alarm.id, "at": alarm.at, "kind": alarm.kind, "about": alarm.about, "detail": alarm.detail }))
        .collect();
    Json(json!({ "alarms": shown }))
}

/// `POST /api/v1/alarms/{id}/settle`.
///
/// # Errors
/// 404.
pub async fn settle_alarm(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    console.settle_alarm(&id, &visitor.account.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

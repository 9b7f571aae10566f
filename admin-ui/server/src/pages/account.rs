//! One's own account: passkeys, codes of an authenticator app, recovery codes.
//!
//! Refuses to show or change anything of another account. Invariant: each look gives a fresh challenge.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use freehold_verify::webauthn::{Registration, encoded};
use freehold_views::account::Passkey;
use freehold_views::{AccountPage, SecretPage, address};

use super::see;
use crate::console::Console;
use crate::people::codes::NewCodes;
use crate::people::guard::SafeForm;
use crate::people::passkey::line;
use crate::people::session::Visitor;
use crate::refused::Refused;

async fn page(console: &Console, visitor: &Visitor, fault: Option<String>) -> Result<String, Refused> {
    page_with(console, visitor, fault, None).await
}

async fn page_with(
    console: &Console,
    visitor: &Visitor,
    fault: Option<String>,
    new: Option<NewCodes>,
) -> Result<String, Refused> {
    let recovery = console.0.store.recovery_codes_of(&visitor.account.name).await;
    let recovery = recovery.map_err(|error| Refused::inside(&error))?;
    let account = &visitor.account.name;
    let rows = console.0.store.passkeys_of(account).await;
    let rows = rows.map_err(|error| Refused::inside(&error))?;
    let party = console.relying_party();
    let challenge = console
        .0
        .ceremonies
        .begin(&visitor.session.id, console.now())
        .map_err(|error| Refused::inside(&error))?;
    let approvers = console.shelf().approvers.clone();
    let listed = approvers
        .as_ref()
        .and_then(|list| list.approvers.iter().find(|approver| approver.name == *account));
    let passkeys = rows.into_iter().map(|row| Passkey {
        line: if row.purpose == "approval" {
            line(&row)
        } else {
            String::new()
        },
        listed: listed.is_some_and(|approver| approver.keys.iter().any(|key| key.credential == row.credential)),
        credential: row.credential,
        name: row.name,
        purpose: row.purpose,
        made: row.made_at,
        used: row.used_at,
    });
    let page = AccountPage {
        shell: console.shell(Some(visitor), address::ACCOUNT),
        passkeys: passkeys.collect(),
        challenge: encoded(&challenge),
        why_not: if party.is_some() {
            String::new()
        } else {
            "Passkeys need a console that is reached by a name: start it with `--people-url https://NAME:PORT`, and open it by that name."
                .to_owned()
        },
        relying_party: party.map(|party| party.id).unwrap_or_default(),
        approves: listed
            .map(|approver| approver.sites.iter().cloned().collect())
            .unwrap_or_default(),
        codes: visitor.account.totp.is_some(),
        recovery: u32::try_from(recovery).unwrap_or(0),
        secret: new.as_ref().map(|new| new.secret.clone()).unwrap_or_default(),
        secret_uri: new.map(|new| new.uri).unwrap_or_default(),
        outside: visitor.account.kind != "person",
        fault,
    };
    Ok(page.render())
}

/// `GET /account`.
///
/// # Errors
/// 500.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Refused> {
    Ok(Html(page(&console, &visitor, None).await?))
}

/// `POST /account/passkeys`.
///
/// # Errors
/// 503; what the person can mend shows the page again.
pub async fn add_passkey(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let registration = Registration {
        client_data: form.need("client_data")?.to_owned(),
        attestation: form.need("attestation")?.to_owned(),
    };
    let (name, purpose, password) = (form.need("name")?, form.need("purpose")?, form.need("password")?);
    let done = console
        .add_passkey(&visitor, name, purpose, password, &registration)
        .await;
    match done {
        Ok(_) => Ok(see(address::ACCOUNT)),
        Err(refused) if refused.status.is_client_error() => {
            let said = format!("Not registered: {} ({}).", refused.report.message, refused.report.code);
            let page = page(&console, &visitor, Some(said)).await?;
            Ok((StatusCode::BAD_REQUEST, Html(page)).into_response())
        }
        Err(refused) => Err(refused),
    }
}

/// `POST /account/passkeys/remove`.
///
/// # Errors
/// 404, 503; a wrong password shows the page again.
pub async fn remove_passkey(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let password = form.field("password").unwrap_or_default();
    match console
        .remove_passkey(&visitor, form.need("credential")?, password)
        .await
    {
        Ok(()) => Ok(see(address::ACCOUNT)),
        Err(refused) => again(&console, &visitor, refused).await,
    }
}

/// What the person can mend shows the page again; anything else is a refusal of its own.
async fn again(console: &Console, visitor: &Visitor, refused: Refused) -> Result<Response, Refused> {
    if !refused.status.is_client_error() {
        return Err(refused);
    }
    let said = format!("Not done: {} ({}).", refused.report.message, refused.report.code);
    let page = page(console, visitor, Some(said)).await?;
    Ok((StatusCode::BAD_REQUEST, Html(page)).into_response())
}

fn recovery_page(console: &Console, visitor: &Visitor, codes: &[String]) -> Response {
    let page = SecretPage {
        shell: console.shell(Some(visitor), address::ACCOUNT),
        title: "Recovery codes".to_owned(),
        secret: codes.join("\n"),
        facts: vec![("account".to_owned(), visitor.account.name.clone())],
        command: String::new(),
        back_href: address::ACCOUNT.to_owned(),
        back: "Back to my account".to_owned(),
    };
    Html(page.render()).into_response()
}

/// `POST /account/codes/begin`.
///
/// # Errors
/// 503; a wrong password shows the page again.
pub async fn begin_codes(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    match console.begin_codes(&visitor, form.need("password")?).await {
        Ok(new) => Ok(Html(page_with(&console, &visitor, None, Some(new)).await?).into_response()),
        Err(refused) => again(&console, &visitor, refused).await,
    }
}

/// `POST /account/codes/confirm`.
///
/// # Errors
/// 503; a wrong code shows the page again.
pub async fn confirm_codes(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    match console.confirm_codes(&visitor, form.need("code")?).await {
        Ok(codes) => Ok(recovery_page(&console, &visitor, &codes)),
        Err(refused) => again(&console, &visitor, refused).await,
    }
}

/// `POST /account/codes/remove`.
///
/// # Errors
/// 503; a wrong password shows the page again.
pub async fn remove_codes(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    match console.remove_codes(&visitor, form.need("password")?).await {
        Ok(()) => Ok(see(address::ACCOUNT)),
        Err(refused) => again(&console, &visitor, refused).await,
    }
}

/// `POST /account/recovery`.
///
/// # Errors
/// 503; a wrong password shows the page again.
pub async fn recovery(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    match console.new_recovery_codes(&visitor, form.need("password")?).await {
        Ok(codes) => Ok(recovery_page(&console, &visitor, &codes)),
        Err(refused) => again(&console, &visitor, refused).await,
    }
}

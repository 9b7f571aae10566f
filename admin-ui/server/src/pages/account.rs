//! One's own account: passkeys, registered and removed.
//!
//! Refuses to show or change anything of another account. Invariant: each look gives a fresh challenge.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use freehold_verify::webauthn::{Registration, encoded};
use freehold_views::account::Passkey;
use freehold_views::{AccountPage, address};

use super::see;
use crate::console::Console;
use crate::people::guard::SafeForm;
use crate::people::passkey::line;
use crate::people::session::Visitor;
use crate::refused::Refused;

async fn page(console: &Console, visitor: &Visitor, fault: Option<String>) -> Result<String, Refused> {
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
/// 404.
pub async fn remove_passkey(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    console.remove_passkey(&visitor, form.need("credential")?).await?;
    Ok(see(address::ACCOUNT))
}

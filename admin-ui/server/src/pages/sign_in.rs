//! Signing in and out, and one's own password.
//!
//! Refuses to send anybody to another site afterwards. Invariant: the cookie is set here and nowhere else.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use freehold_verify::webauthn::{Assertion, encoded};
use freehold_views::{PasswordPage, SecondPage, SignInPage, address};
use serde::Deserialize;

use super::shell::digest;
use super::{inner_path, see};
use crate::body::Form;
use crate::console::Console;
use crate::listen::RemoteAddress;
use crate::people::guard::SafeForm;
use crate::people::password::SHORTEST;
use crate::people::second::Second;
use crate::people::session::{Door, FirstStep, SignedIn, Visitor, cookie};
use crate::refused::Refused;

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub struct Next {
    next: Option<String>,
}

impl Console {
    async fn sign_in_page(&self, next: &str, name: &str, fault: Option<String>) -> Result<String, Refused> {
        let accounts = self.0.store.accounts().await.map_err(|error| Refused::inside(&error))?;
        let page = SignInPage {
            shell: self.shell(None, address::SIGN_IN),
            next: next.to_owned(),
            name: name.chars().take(64).collect(),
            fault,
            first_time: accounts.iter().all(|account| account.must_change),
            fingerprints: vec![digest(
                "Fleet CA certificate (SHA-256)",
                self.0.keys.fleet_ca.fingerprint(),
            )],
            outside: self.outside_name(),
        };
        Ok(page.render())
    }
}

/// `GET /sign-in`.
///
/// # Errors
/// 500.
pub async fn show(
    State(console): State<Console>,
    visitor: Option<Extension<Visitor>>,
    Query(query): Query<Next>,
) -> Result<Response, Refused> {
    let next = query.next.unwrap_or_default();
    if visitor.is_some() {
        return Ok(see(inner_path(&next)));
    }
    Ok(Html(console.sign_in_page(inner_path(&next), "", None).await?).into_response())
}

/// `POST /sign-in`.
///
/// # Errors
/// 429 and 503 as pages of their own; a wrong password shows the form again.
pub async fn enter(
    State(console): State<Console>,
    Extension(RemoteAddress(from)): Extension<RemoteAddress>,
    form: Form,
) -> Result<Response, Refused> {
    let (name, password) = (form.need("name")?, form.need("password")?);
    let next = inner_path(form.field("next").unwrap_or_default());
    match console
        .sign_in(name, password, Door::Page, &from.ip().to_string())
        .await
    {
        Ok(FirstStep::Done(signed)) => entered(&signed, next),
        Ok(FirstStep::Second(wanted)) => {
            let party = console.relying_party();
            let page = SecondPage {
                shell: console.shell(None, address::SECOND),
                next: next.to_owned(),
                ticket: wanted.ticket,
                code: wanted.code,
                credentials: if party.is_some() { wanted.passkeys } else { Vec::new() },
                challenge: encoded(&wanted.challenge),
                relying_party: party.map(|party| party.id).unwrap_or_default(),
            };
            Ok(Html(page.render()).into_response())
        }
        Err(refused) if matches!(refused.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) => {
            let said = match refused.retry_after {
                Some(wait) => format!("Too many tries. Wait {wait} s and try again."),
                None => "Name or password is wrong.".to_owned(),
            };
            let page = console.sign_in_page(next, name, Some(said)).await?;
            Ok((refused.status, Html(page)).into_response())
        }
        Err(refused) => Err(refused),
    }
}

/// A session's cookie, and on to where the person wanted to be.
pub(crate) fn entered(signed: &SignedIn, next: &str) -> Result<Response, Refused> {
    let to = if signed.account.must_change {
        address::PASSWORD
    } else {
        next
    };
    let mut response = see(to);
    let value = HeaderValue::from_str(&cookie(Some(&signed.token))).map_err(|error| Refused::inside(&error))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}

/// `POST /sign-in/second`.
///
/// # Errors
/// 503; a wrong second step begins anew.
pub async fn second(
    State(console): State<Console>,
    Extension(RemoteAddress(from)): Extension<RemoteAddress>,
    form: Form,
) -> Result<Response, Refused> {
    let next = inner_path(form.field("next").unwrap_or_default());
    let second = match form.field("code") {
        Some(code) => Second::Code(code.to_owned()),
        None => Second::Passkey(Assertion {
            credential: form.need("credential")?.to_owned(),
            authenticator_data: form.need("authenticator_data")?.to_owned(),
            client_data: form.need("client_data")?.to_owned(),
            signature: form.need("signature")?.to_owned(),
        }),
    };
    let ticket = form.need("ticket")?;
    match console
        .sign_in_second(ticket, second, Door::Page, &from.ip().to_string())
        .await
    {
        Ok(signed) => entered(&signed, next),
        Err(refused) if matches!(refused.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) => {
            let said = match refused.retry_after {
                Some(wait) => format!("Too many tries. Wait {wait} s and try again."),
                None => "The second step did not work. Begin anew.".to_owned(),
            };
            let page = console.sign_in_page(next, "", Some(said)).await?;
            Ok((refused.status, Html(page)).into_response())
        }
        Err(refused) => Err(refused),
    }
}

/// `POST /sign-out`.
///
/// # Errors
/// 503.
pub async fn leave(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(_): SafeForm,
) -> Result<Response, Refused> {
    console.sign_out(&visitor).await?;
    let mut response = see(address::SIGN_IN);
    let value = HeaderValue::from_str(&cookie(None)).map_err(|error| Refused::inside(&error))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}

fn password_page(console: &Console, visitor: &Visitor, fault: Option<String>) -> String {
    let page = PasswordPage {
        shell: console.shell(Some(visitor), address::PASSWORD),
        must_change: visitor.account.must_change,
        least_length: u32::try_from(SHORTEST).unwrap_or(u32::MAX),
        fault,
    };
    page.render()
}

/// `GET /password`.
pub async fn password(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Html<String> {
    Html(password_page(&console, &visitor, None))
}

/// `POST /password`.
///
/// # Errors
/// 503; a password that may not be chosen shows the form again.
pub async fn change_password(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let (old, new, again) = (form.need("current")?, form.need("new")?, form.need("again")?);
    let again_fits = new == again;
    let done = if again_fits {
        console.change_password(&visitor, old, new).await
    } else {
        Ok(())
    };
    let said = match done {
        Ok(()) if again_fits => return Ok(see(address::OVERVIEW)),
        Ok(()) => "The two new passwords differ.".to_owned(),
        Err(refused) if refused.status.is_client_error() => {
            let mut text = refused.report.message;
            if let Some(first) = text.get(..1).map(str::to_uppercase) {
                text.replace_range(..1, &first);
            }
            format!("{text}.")
        }
        Err(refused) => return Err(refused),
    };
    Ok((
        StatusCode::BAD_REQUEST,
        Html(password_page(&console, &visitor, Some(said))),
    )
        .into_response())
}

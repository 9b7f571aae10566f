//! To the identity provider, and back.
//!
//! Refuses to come back in another browser. Invariant: the session's cookie is set on a page of our own: a browser that comes
//! from another site does not send it along on a redirect.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use freehold_views::OnwardPage;
use serde::Deserialize;

use super::{inner_path, see};
use crate::console::Console;
use crate::listen::RemoteAddress;
use crate::people::outside::{COOKIE, LIFETIME, Returned};
use crate::people::session::cookie;
use crate::refused::Refused;

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub struct Next {
    next: Option<String>,
}

/// `GET /sign-in/outside`.
///
/// # Errors
/// 404 without a provider, 401 when it does not answer.
pub async fn leave(State(console): State<Console>, Query(query): Query<Next>) -> Result<Response, Refused> {
    let next = query.next.unwrap_or_default();
    let leaving = console.leave_for_outside(inner_path(&next)).await?;
    let mut response = see(&leaving.to);
    let cookie = format!(
        "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIFETIME}",
        leaving.browser
    );
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Refused::inside(&error))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// What the provider says.
#[derive(Debug, Deserialize)]
pub struct Said {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /sign-in/outside/back`.
///
/// # Errors
/// 401, 503.
pub async fn back(
    State(console): State<Console>,
    Extension(RemoteAddress(from)): Extension<RemoteAddress>,
    Query(said): Query<Said>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (Some(code), Some(state), None) = (said.code, said.state, said.error) else {
        let message = "the identity provider signed nobody in";
        return Err(Refused::new(
            StatusCode::UNAUTHORIZED,
            "console.outside_refused",
            message,
        ));
    };
    let browser = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let returned = Returned {
        state: &state,
        code: &code,
        issuer: said.iss.as_deref(),
        browser,
    };
    let (signed, next) = console.back_from_outside(returned, &from.ip().to_string()).await?;
    let page = OnwardPage {
        shell: console.shell(None, freehold_views::address::OUTSIDE_BACK),
        name: signed.account.name.clone(),
        to: next,
    };
    let mut response = Html(page.render()).into_response();
    let value = HeaderValue::from_str(&cookie(Some(&signed.token))).map_err(|error| Refused::inside(&error))?;
    response.headers_mut().append(header::SET_COOKIE, value);
    let gone = HeaderValue::from_static("__Host-freehold-outside=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

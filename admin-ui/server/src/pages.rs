//! The pages: parse → core → view model → render.
//!
//! Refuses to decide: every change goes through the core, every page through `freehold_views`. Invariant: each answer of this
//! door carries the strict headers, faults included.

pub mod access;
pub mod account;
pub mod advisories;
pub mod approvals;
pub mod boxes;
pub mod models;
pub mod one_box;
pub mod outside;
pub mod overview;
pub mod plans;
pub mod record;
pub mod releases;
pub mod reports;
pub mod rollouts;
pub mod search;
pub mod settings;
pub mod shell;
pub mod sign_in;
pub mod sticks;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use freehold_views::{FailurePage, address, assets};

use crate::console::Console;
use crate::people::session::{Door, token_of};
use crate::refused::{Refused, request_id};

/// The frame around every page: headers, and refusals as pages.
pub async fn frame(State(console): State<Console>, request: Request, next: Next) -> Response {
    let token = token_of(request.headers(), Door::Page);
    let changed = request.method() != Method::GET;
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(refused) = response.extensions().get::<Refused>().cloned() {
        let visitor = match token {
            Some(token) => console.visitor(&token, Door::Page).await.ok().flatten(),
            None => None,
        };
        let page = FailurePage {
            shell: console.shell(visitor.as_ref(), &path),
            status: refused.status.as_u16(),
            code: refused.report.code.clone(),
            request_id: request_id(),
            what: refused.report.message.clone(),
            not_done: if changed {
                "Nothing was changed.".to_owned()
            } else {
                String::new()
            },
            next: "Go back, look again, and try once more.".to_owned(),
        };
        response = (refused.status, Html(page.render())).into_response();
        response.extensions_mut().insert(refused);
    }
    let headers = response.headers_mut();
    for (name, value) in assets::HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `GET /assets/{name}`.
///
/// # Errors
/// 404.
pub async fn asset(Path(name): Path<String>) -> Result<Response, Refused> {
    let asset = assets::asset(&name).ok_or_else(|| Refused::not_found("file"))?;
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.bytes).into_response())
}

/// Any other address: a page for people, a document for programs.
pub async fn nothing_here() -> Refused {
    Refused::not_found("address")
}

/// The fragment that a live page asks for; `None` for the whole page.
#[must_use]
pub fn fragment(headers: &HeaderMap) -> Option<&str> {
    headers.get("hx-request")?;
    headers.get("hx-target")?.to_str().ok()
}

/// To an address that can be sent to a colleague.
#[must_use]
pub fn see(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response()
}

/// A path of this console, or the overview: never another site.
#[must_use]
pub fn inner_path(path: &str) -> &str {
    let own =
        path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.chars().any(char::is_control);
    if own { path } else { address::OVERVIEW }
}

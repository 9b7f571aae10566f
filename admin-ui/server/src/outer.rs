//! What surrounds every request of both doors: its name, its log line, headers, and the answer to unknown paths.
//!
//! Refuses to log bodies, queries, cookies or tokens. Invariant: every answer carries `x-request-id`.

use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::random;
use crate::refused::{REQUEST, Refused};

/// Longest time for an answer's first byte; long enough for an import, short of for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(900);

/// Names the request, runs it, and says how it went.
pub async fn wrap(request: Request, next: Next) -> Response {
    let name = random::hex::<8>().unwrap_or_default();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let inner = REQUEST.scope(name.clone(), async move {
        match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refused::new(
                StatusCode::GATEWAY_TIMEOUT,
                "console.too_slow",
                "the answer took too long",
            )
            .into_response(),
        }
    });
    let mut response = inner.await;
    let status = response.status().as_u16();
    let ms = started.elapsed().as_millis();
    let code = response
        .extensions()
        .get::<Refused>()
        .map(|refused| refused.report.code.clone())
        .unwrap_or_default();
    // Paths come from outside: escaped, and cut.
    let path: String = path.chars().take(200).flat_map(char::escape_default).collect();
    tracing::info!(request = %name, %method, %path, status, code, ms, "answered");
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert("x-request-id", value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// No such path.
pub async fn nothing_here() -> Refused {
    Refused::not_found("address")
}

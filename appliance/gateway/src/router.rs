//! The routes, and what stands before all of them.
//!
//! Refuses bodies whose announced length is above the limit on every route, known or not, before anything else. Invariant:
//! every answer names its request, and none names the software behind it.

use crate::body::MAX_BODY_BYTES;
use crate::link::Link;
use crate::quota::Quotas;
use crate::refusal::{GatewayRejection, Style};
use crate::{ollama, openai};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Request, Response};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all routes share.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The supervisor.
    pub link: Link,
    /// What tokens use.
    pub quotas: Quotas,
    ids: Arc<RequestIds>,
}

/// A request's id, unique on this box: in the answer's `x-request-id` and in the record.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

#[derive(Debug)]
struct RequestIds {
    run: u64,
    next: AtomicU64,
}

impl Gateway {
    /// A gateway over a link; `quotas` is the one that the link was started with.
    pub fn new(link: Link, quotas: Quotas) -> Self {
        // Distinguishes runs of the gateway in the record; seeded by the system, needs not to be secret.
        let run = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self {
            link,
            quotas,
            ids: Arc::new(RequestIds {
                run,
                next: AtomicU64::new(1),
            }),
        }
    }

    fn next_request_id(&self) -> RequestId {
        let number = self.ids.next.fetch_add(1, Ordering::Relaxed);
        RequestId(format!("{:016x}-{number}", self.ids.run).into())
    }
}

/// All routes of a gateway.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/v1/models", get(openai::models::list))
        .route("/v1/chat/completions", post(openai::chat::complete))
        .route("/v1/embeddings", post(openai::embeddings::embed))
        .route("/api/version", get(ollama::models::version))
        .route("/api/tags", get(ollama::models::tags))
        .route("/api/show", post(ollama::models::show))
        .route("/api/chat", post(ollama::chat::chat))
        .route("/api/generate", post(ollama::generate::generate))
        .route("/api/embed", post(ollama::embed::embed))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(gateway.clone(), before_all))
        .with_state(gateway)
}

fn style_of(path: &str) -> Style {
    if path.starts_with("/api/") {
        Style::Ollama
    } else {
        Style::OpenAi
    }
}

async fn no_route(State(_): State<Gateway>, request: Request<Body>) -> Response<Body> {
    GatewayRejection::Route.response(style_of(request.uri().path()))
}

async fn no_method(State(_): State<Gateway>, request: Request<Body>) -> Response<Body> {
    GatewayRejection::Method.response(style_of(request.uri().path()))
}

async fn before_all(State(gateway): State<Gateway>, mut request: Request<Body>, next: Next) -> Response<Body> {
    let id = gateway.next_request_id();
    request.extensions_mut().insert(id.clone());
    let mut response = unless_too_large(request, next).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

async fn unless_too_large(request: Request<Body>, next: Next) -> Response<Body> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return GatewayRejection::BodyTooLarge { limit: MAX_BODY_BYTES }.response(style_of(request.uri().path()));
    }
    next.run(request).await
}

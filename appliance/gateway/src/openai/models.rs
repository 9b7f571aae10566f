//! `GET /v1/models`.
//!
//! Refuses callers without a token. Invariant: a token sees the models that it may use, and no other.

use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::{stream, work};
use axum::body::Body;
use axum::extract::State;
use freehold_protocol::local::Scope;
use hyper::{HeaderMap, Response};
use serde::Serialize;

/// The route.
pub async fn list(State(gateway): State<Gateway>, headers: HeaderMap) -> Response<Body> {
    work::answer(list_or_refuse(&gateway, &headers).await, Style::OpenAi)
}

async fn list_or_refuse(gateway: &Gateway, headers: &HeaderMap) -> Result<Response<Body>, GatewayRejection> {
    let (served, token) = work::known(gateway, headers, Scope::Models).await?;
    let data = served.models_for(&token).map(|model| Model {
        id: &model.name,
        object: "model",
        created: model.admitted,
        owned_by: "freehold",
    });
    Ok(stream::json(&List {
        object: "list",
        data: data.collect(),
    }))
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

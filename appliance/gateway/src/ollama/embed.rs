//! `POST /api/embed`.
//!
//! Refuses other dimensions than the model's own. Invariant: as for OpenAI's embeddings, which do the work.

use super::fields::{KeepAlive, Options};
use crate::openai::embeddings::vectors;
use crate::openai::fields::OneOrMany;
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::stream;
use crate::work::{self, Admitted};
use axum::body::Body;
use axum::extract::State;
use freehold_protocol::local::{Route, Scope};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};

/// The fields that are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRequest {
    model: String,
    input: OneOrMany,
    #[allow(dead_code)]
    truncate: Option<bool>,
    #[allow(dead_code)]
    options: Option<Options>,
    #[allow(dead_code)]
    keep_alive: Option<KeepAlive>,
}

/// The route.
pub async fn embed(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    work::answer(embed_or_refuse(&gateway, request).await, Style::Ollama)
}

async fn embed_or_refuse(gateway: &Gateway, request: Request<Body>) -> Result<Response<Body>, GatewayRejection> {
    let admitted: Admitted<EmbedRequest> = work::admit(gateway, request, Scope::Embeddings, Route::OllamaEmbed).await?;
    let began = admitted.entry.began();
    let (model, made) = vectors(admitted, |fields| (fields.model, fields.input)).await?;
    Ok(stream::json(&Embedded {
        model: &model,
        embeddings: &made.vectors,
        total_duration: u64::try_from(began.elapsed().as_nanos()).unwrap_or(0),
        load_duration: 0,
        prompt_eval_count: made.usage.prompt_tokens,
    }))
}

#[derive(Serialize)]
struct Embedded<'a> {
    model: &'a str,
    embeddings: &'a [Vec<f32>],
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u32,
}

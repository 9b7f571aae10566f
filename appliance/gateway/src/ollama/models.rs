//! `GET /api/version`, `GET /api/tags`, `POST /api/show`.
//!
//! Refuses callers without a token. Invariant: a token sees the models that it may use, and no other; templates and
//! parameters of a model are not shown.

use crate::body;
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::{stream, work};
use axum::body::Body;
use axum::extract::State;
use freehold_protocol::local::{Scope, ServedModel};
use hyper::{HeaderMap, Request, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `GET /api/version`: this gateway's own.
pub async fn version(State(gateway): State<Gateway>, headers: HeaderMap) -> Response<Body> {
    #[derive(Serialize)]
    struct Version {
        version: &'static str,
    }
    let known = work::known(&gateway, &headers, Scope::Models).await;
    work::answer(
        known.map(|_| {
            stream::json(&Version {
                version: env!("CARGO_PKG_VERSION"),
            })
        }),
        Style::Ollama,
    )
}

/// `GET /api/tags`: the models.
pub async fn tags(State(gateway): State<Gateway>, headers: HeaderMap) -> Response<Body> {
    let known = work::known(&gateway, &headers, Scope::Models).await;
    let answer = known.map(|(served, token)| {
        stream::json(&Tags {
            models: served.models_for(&token).map(Tag::new).collect(),
        })
    });
    work::answer(answer, Style::Ollama)
}

/// `POST /api/show`: one model.
pub async fn show(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    work::answer(show_or_refuse(&gateway, request).await, Style::Ollama)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowRequest {
    /// `name` is what older clients say.
    #[serde(alias = "name")]
    model: String,
    #[allow(dead_code)]
    verbose: Option<bool>,
}

async fn show_or_refuse(gateway: &Gateway, request: Request<Body>) -> Result<Response<Body>, GatewayRejection> {
    let (parts, body) = request.into_parts();
    let (served, token) = work::known(gateway, &parts.headers, Scope::Models).await?;
    let asked: ShowRequest = body::parse(&body::read(body).await?)?;
    let model = served.model(&token, &asked.model)?;
    let embeddings = model.embeddings.is_some().then_some("embedding");
    Ok(stream::json(&Shown {
        license: "",
        modelfile: "",
        parameters: "",
        template: "",
        modified_at: &modified_at(&model),
        details: Details::default(),
        model_info: Info { context: model.context },
        capabilities: ["completion"].into_iter().chain(embeddings).collect(),
    }))
}

fn modified_at(model: &ServedModel) -> String {
    OffsetDateTime::from_unix_timestamp(model.admitted)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[derive(Serialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Serialize)]
struct Tag {
    name: String,
    model: String,
    modified_at: String,
    size: u64,
    digest: String,
    details: Details,
}

impl Tag {
    fn new(model: &ServedModel) -> Self {
        Self {
            name: model.name.clone(),
            model: model.name.clone(),
            modified_at: modified_at(model),
            size: model.bytes,
            digest: model.digest.to_string(),
            details: Details::default(),
        }
    }
}

#[derive(Serialize)]
struct Details {
    parent_model: &'static str,
    format: &'static str,
    family: &'static str,
    families: [&'static str; 0],
    parameter_size: &'static str,
    quantization_level: &'static str,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            parent_model: "",
            format: "gguf",
            family: "",
            families: [],
            parameter_size: "",
            quantization_level: "",
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    license: &'static str,
    modelfile: &'static str,
    parameters: &'static str,
    template: &'static str,
    modified_at: &'a str,
    details: Details,
    model_info: Info,
    capabilities: Vec<&'static str>,
}

#[derive(Serialize)]
struct Info {
    #[serde(rename = "general.context_length")]
    context: u32,
}

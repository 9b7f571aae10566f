//! `POST /v1/embeddings`.
//!
//! Refuses a model whose release declares no embeddings. Invariant: vectors go out only after the entry is durable.

use super::fields::{OneOrMany, texts};
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::stream;
use crate::work::{self, Admitted};
use axum::body::Body;
use axum::extract::State;
use freehold_engine::{Embed, Embeddings, Engine as _, Usage};
use freehold_protocol::local::{Route, Scope};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};

/// The fields that are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingsRequest {
    model: String,
    input: OneOrMany,
    encoding_format: Option<Encoding>,
    /// Taken because clients send it; not used, not kept.
    #[allow(dead_code)]
    user: Option<String>,
}

/// OpenAI's own library asks for base64 unless told otherwise.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Float,
    Base64,
}

/// The route.
pub async fn embed(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    work::answer(embed_or_refuse(&gateway, request).await, Style::OpenAi)
}

async fn embed_or_refuse(gateway: &Gateway, request: Request<Body>) -> Result<Response<Body>, GatewayRejection> {
    let admitted: Admitted<EmbeddingsRequest> =
        work::admit(gateway, request, Scope::Embeddings, Route::OpenAiEmbeddings).await?;
    let encoding = admitted.fields.encoding_format;
    let (name, made) = vectors(admitted, |fields| (fields.model, fields.input)).await?;
    let data = made.vectors.iter().enumerate().map(|(index, vector)| Datum {
        object: "embedding",
        index,
        embedding: if encoding == Some(Encoding::Base64) {
            Vector::Base64(base64(vector))
        } else {
            Vector::Float(vector)
        },
    });
    let Usage { prompt_tokens, .. } = made.usage;
    Ok(stream::json(&List {
        object: "list",
        data: data.collect(),
        model: &name,
        usage: EmbeddingsUsage {
            prompt_tokens,
            total_tokens: prompt_tokens,
        },
    }))
}

/// Makes the vectors of an admitted request of either protocol; answers the model's name with them.
pub(crate) async fn vectors<T>(
    admitted: Admitted<T>,
    asked: impl FnOnce(T) -> (String, OneOrMany),
) -> Result<(String, Embeddings), GatewayRejection> {
    let Admitted {
        fields,
        token,
        served,
        mut entry,
        hold: _hold,
        ..
    } = admitted;
    let (name, input) = asked(fields);
    let work = async {
        let model = served.model(&token, &name)?;
        entry.model(model.digest);
        let door = model.embeddings.as_ref().ok_or(GatewayRejection::NoEmbeddings)?;
        let engine = served.engine(door)?;
        let texts = texts(input)?;
        let made = stream::within(stream::deadline(), engine.embed(Embed { texts })).await?;
        Ok((model.name.clone(), made))
    };
    match work.await {
        Ok((name, made)) => {
            entry.answered(made.usage).await?;
            Ok((name, made))
        }
        Err(rejection) => {
            entry.refused(&rejection);
            Err(rejection)
        }
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Datum<'a>>,
    model: &'a str,
    usage: EmbeddingsUsage,
}

#[derive(Serialize)]
struct Datum<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Float(&'a [f32]),
    Base64(String),
}

#[derive(Serialize)]
struct EmbeddingsUsage {
    prompt_tokens: u32,
    total_tokens: u32,
}

/// Little-endian 32-bit numbers, as OpenAI's protocol has them.
fn base64(vector: &[f32]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

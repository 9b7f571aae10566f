//! `POST /api/generate`.
//!
//! Refuses suffixes, images, templates and earlier contexts. Invariant: as for chat; `raw` sends the prompt as it stands.

use super::chat::{Line, LineVoice, Nothing, Shape};
use super::fields::{KeepAlive, Options, Tail, WireFormat, created_at, sampling};
use crate::openai::fields::unset;
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::stream;
use crate::work::{self, Admitted};
use axum::body::Body;
use axum::extract::State;
use freehold_engine::{AnswerStream, Chat, Completion, Engine as _, LlamaServer, Message, Role};
use freehold_protocol::local::{Route, Scope};
use hyper::{Request, Response};
use serde::Deserialize;
use tokio::time::Instant;

/// The fields that are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    model: String,
    prompt: String,
    system: Option<String>,
    stream: Option<bool>,
    raw: Option<bool>,
    options: Option<Options>,
    format: Option<WireFormat>,
    #[allow(dead_code)]
    keep_alive: Option<KeepAlive>,
    think: Option<bool>,
    logprobs: Option<bool>,
    #[allow(dead_code)]
    images: Option<Nothing>,
}

impl GenerateRequest {
    async fn ask(self, engine: &LlamaServer, deadline: Instant) -> Result<AnswerStream, GatewayRejection> {
        unset("think", self.think)?;
        unset("logprobs", self.logprobs)?;
        if self.prompt.is_empty() {
            return Err(GatewayRejection::Field {
                field: "prompt",
                expected: "a text that is not empty",
            });
        }
        let sampling = sampling(self.options, self.format)?;
        if self.raw == Some(true) {
            return stream::within(
                deadline,
                engine.complete(Completion {
                    prompt: self.prompt,
                    sampling,
                }),
            )
            .await;
        }
        let system = self.system.map(|content| Message {
            role: Role::System,
            content,
        });
        let prompt = Message {
            role: Role::User,
            content: self.prompt,
        };
        let messages = system.into_iter().chain([prompt]).collect();
        stream::within(deadline, engine.chat(Chat { messages, sampling })).await
    }
}

/// The route.
pub async fn generate(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    work::answer(generate_or_refuse(&gateway, request).await, Style::Ollama)
}

async fn generate_or_refuse(gateway: &Gateway, request: Request<Body>) -> Result<Response<Body>, GatewayRejection> {
    let admitted: Admitted<GenerateRequest> = work::admit(gateway, request, Scope::Chat, Route::OllamaGenerate).await?;
    let Admitted {
        fields,
        token,
        served,
        mut entry,
        hold,
        ..
    } = admitted;
    let streamed = fields.stream != Some(false);
    let name = fields.model.clone();
    let deadline = stream::deadline();
    let began = entry.began();
    let begin = async {
        let model = served.model(&token, &fields.model)?;
        entry.model(model.digest);
        let engine = served.engine(&model.engine)?;
        fields.ask(&engine, deadline).await
    };
    let parts = match begin.await {
        Ok(parts) => parts,
        Err(rejection) => {
            entry.refused(&rejection);
            return Err(rejection);
        }
    };
    if streamed {
        return Ok(stream::piece_by_piece(
            LineVoice::new(Shape::Generate, name, began),
            parts,
            entry,
            deadline,
            hold,
        ));
    }
    let answer = stream::whole(parts, entry, deadline).await?;
    let tail = Tail::new(answer.finish, answer.usage, began, None);
    Ok(stream::json(&Line {
        model: &name,
        created_at: &created_at(),
        message: None,
        response: Some(&answer.text),
        done: true,
        tail: Some(tail),
    }))
}

//! `POST /api/generate`.
//!
//! Refuses suffixes, images, templates and earlier contexts. Invariant: as for chat; `raw` sends the prompt as it stands.

use super::chat::Nothing;
use super::fields::{KeepAlive, Options, WireFormat, sampling};
use super::lines::{self, Shape};
use crate::openai::fields::unset;
use crate::question::{Asked, Question};
use crate::refusal::GatewayRejection;
use crate::router::Gateway;
use axum::body::Body;
use axum::extract::State;
use freehold_engine::{Chat, Completion, Message, Role};
use freehold_protocol::local::Route;
use hyper::{Request, Response};
use serde::Deserialize;

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

impl Asked for GenerateRequest {
    fn model(&self) -> &str {
        &self.model
    }

    fn streamed(&self) -> bool {
        self.stream != Some(false)
    }

    fn into_question(self) -> Result<Question, GatewayRejection> {
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
            return Ok(Question::Completion(Completion {
                prompt: self.prompt,
                sampling,
            }));
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
        Ok(Question::Chat(Chat { messages, sampling }))
    }
}

/// The route.
pub async fn generate(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    lines::answer::<GenerateRequest>(&gateway, request, Route::OllamaGenerate, Shape::Generate).await
}

//! `POST /api/chat`.
//!
//! Refuses tools, images and thinking. Invariant: the line with `"done": true` goes out after the entry is durable.

use super::fields::{KeepAlive, Options, WireFormat, sampling};
use super::lines::{self, Shape};
use crate::openai::fields::{MAX_MESSAGES, WireRole, unset};
use crate::question::{Asked, Question};
use crate::refusal::GatewayRejection;
use crate::router::Gateway;
use axum::body::Body;
use axum::extract::State;
use freehold_engine::{Chat, Message};
use freehold_protocol::local::Route;
use hyper::{Request, Response};
use serde::Deserialize;

/// The fields that are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatRequest {
    model: String,
    messages: Vec<WireMessage>,
    stream: Option<bool>,
    options: Option<Options>,
    format: Option<WireFormat>,
    #[allow(dead_code)]
    keep_alive: Option<KeepAlive>,
    think: Option<bool>,
    logprobs: Option<bool>,
    /// Taken when empty: some clients always send it.
    tools: Option<Nothing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMessage {
    role: WireRole,
    content: String,
    /// Taken when empty: some clients always send them.
    #[allow(dead_code)]
    tool_calls: Option<Nothing>,
    #[allow(dead_code)]
    images: Option<Nothing>,
    #[allow(dead_code)]
    thinking: Option<Empty>,
}

/// An empty list.
pub(super) type Nothing = [u8; 0];

/// An empty text.
#[derive(Deserialize)]
enum Empty {
    #[serde(rename = "")]
    Empty,
}

impl Asked for ChatRequest {
    fn model(&self) -> &str {
        &self.model
    }

    fn streamed(&self) -> bool {
        self.stream != Some(false)
    }

    fn into_question(self) -> Result<Question, GatewayRejection> {
        if self.messages.is_empty() || self.messages.len() > MAX_MESSAGES {
            return Err(GatewayRejection::Field {
                field: "messages",
                expected: "1 to 1024 messages",
            });
        }
        let _: Option<Nothing> = self.tools;
        unset("think", self.think)?;
        unset("logprobs", self.logprobs)?;
        let message = |one: WireMessage| Message {
            role: one.role.into(),
            content: one.content,
        };
        Ok(Question::Chat(Chat {
            messages: self.messages.into_iter().map(message).collect(),
            sampling: sampling(self.options, self.format)?,
        }))
    }
}

/// The route.
pub async fn chat(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    lines::answer::<ChatRequest>(&gateway, request, Route::OllamaChat, Shape::Chat).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lists_that_clients_always_send_are_taken_and_full_ones_are_not() {
        let read = |more: &str| {
            let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"{more}}}]}}"#);
            crate::body::parse::<ChatRequest>(json.as_bytes()).is_ok()
        };
        assert!(read("") && read(r#","tool_calls":[],"images":null,"thinking":null"#));
        assert!(!read(r#","images":["aGk="]"#) && !read(r#","tool_calls":[{"function":{}}]"#));
    }
}

//! `POST /api/chat`.
//!
//! Refuses tools, images and thinking. Invariant: the line with `"done": true` goes out after the entry is durable.

use super::fields::{KeepAlive, Options, Tail, WireFormat, created_at, sampling};
use crate::openai::fields::{MAX_MESSAGES, WireRole, unset};
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::stream::{self, Voice, push_json_text};
use crate::work::{self, Admitted};
use axum::body::Body;
use axum::extract::State;
use freehold_engine::{Chat, Engine as _, Finish, Message, Usage};
use freehold_protocol::local::{Route, Scope};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};
use std::time::Instant;

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

impl ChatRequest {
    fn into_chat(self) -> Result<Chat, GatewayRejection> {
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
        Ok(Chat {
            messages: self.messages.into_iter().map(message).collect(),
            sampling: sampling(self.options, self.format)?,
        })
    }
}

/// The route.
pub async fn chat(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    work::answer(chat_or_refuse(&gateway, request).await, Style::Ollama)
}

async fn chat_or_refuse(gateway: &Gateway, request: Request<Body>) -> Result<Response<Body>, GatewayRejection> {
    let admitted: Admitted<ChatRequest> = work::admit(gateway, request, Scope::Chat, Route::OllamaChat).await?;
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
        let chat = fields.into_chat()?;
        stream::within(deadline, engine.chat(chat)).await
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
            LineVoice::new(Shape::Chat, name, began),
            parts,
            entry,
            deadline,
            hold,
        ));
    }
    let answer = stream::whole(parts, entry, deadline).await?;
    let tail = Tail::new(answer.finish, answer.usage, began, None);
    let said = Said {
        role: "assistant",
        content: &answer.text,
    };
    Ok(stream::json(&Line {
        model: &name,
        created_at: &created_at(),
        message: Some(said),
        response: None,
        done: true,
        tail: Some(tail),
    }))
}

/// Which field holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `message`
    Chat,
    /// `response`
    Generate,
}

/// One line of an answer.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) model: &'a str,
    pub(super) created_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<&'a str>,
    pub(super) done: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) tail: Option<Tail>,
}

/// What the model said.
#[derive(Serialize)]
pub(super) struct Said<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

/// One JSON object per line, as Ollama words them.
pub(super) struct LineVoice {
    shape: Shape,
    model: String,
    began: Instant,
    first: Option<Instant>,
}

impl LineVoice {
    pub(super) fn new(shape: Shape, model: String, began: Instant) -> Self {
        Self {
            shape,
            model,
            began,
            first: None,
        }
    }

    fn line<'a>(&'a self, text: &'a str, created_at: &'a str, tail: Option<Tail>) -> Line<'a> {
        let chat = self.shape == Shape::Chat;
        Line {
            model: &self.model,
            created_at,
            message: chat.then_some(Said {
                role: "assistant",
                content: text,
            }),
            response: (!chat).then_some(text),
            done: tail.is_some(),
            tail,
        }
    }
}

impl Voice for LineVoice {
    const CONTENT_TYPE: &'static str = "application/x-ndjson";

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.first.get_or_insert_with(Instant::now);
        out.extend_from_slice(br#"{"model":"#);
        push_json_text(&self.model, out);
        out.extend_from_slice(br#","created_at":"#);
        push_json_text(&created_at(), out);
        let (before, after): (&[u8], &[u8]) = match self.shape {
            Shape::Chat => (br#","message":{"role":"assistant","content":"#, b"},\"done\":false}\n"),
            Shape::Generate => (br#","response":"#, b",\"done\":false}\n"),
        };
        out.extend_from_slice(before);
        push_json_text(text, out);
        out.extend_from_slice(after);
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        let tail = Tail::new(finish, usage, self.began, self.first);
        let line = serde_json::to_vec(&self.line("", &created_at(), Some(tail))).unwrap_or_default();
        out.extend_from_slice(&line);
        out.push(b'\n');
    }

    fn failed(&mut self, rejection: &GatewayRejection, out: &mut Vec<u8>) {
        out.extend_from_slice(&rejection.to_json(Style::Ollama));
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_json_of_the_protocol_in_both_shapes() {
        for (shape, pointer) in [(Shape::Chat, "/message/content"), (Shape::Generate, "/response")] {
            let mut voice = LineVoice::new(shape, "m\"".to_owned(), Instant::now());
            let mut out = Vec::new();
            voice.text("a\n\"", &mut out);
            voice.end(
                Finish::Stop,
                Usage {
                    prompt_tokens: 3,
                    answer_tokens: 4,
                },
                &mut out,
            );
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines[0].pointer(pointer).unwrap(), "a\n\"");
            assert_eq!(lines[0]["done"], false);
            assert_eq!(lines[1].pointer(pointer).unwrap(), "");
            assert_eq!((&lines[1]["done"], &lines[1]["eval_count"]), (&true.into(), &4.into()));
            assert_eq!(lines[1]["model"], "m\"");
        }
    }

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

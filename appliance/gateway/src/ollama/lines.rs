//! Answers in Ollama's form: one JSON object per line, or one in all.
//!
//! Refuses nothing of its own. Invariant: the line with `"done": true` goes out after the entry is durable.

use super::fields::{Tail, created_at};
use crate::question::{self, Asked};
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::stream::{self, Voice, push_json_text};
use crate::work::{self, Admitted};
use axum::body::Body;
use freehold_engine::{Finish, Usage};
use freehold_protocol::local::{Route, Scope};
use hyper::{Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Instant;

/// Answers a request of either route.
pub(super) async fn answer<T: Asked + DeserializeOwned>(
    gateway: &Gateway,
    request: Request<Body>,
    route: Route,
    shape: Shape,
) -> Response<Body> {
    work::answer(
        answer_or_refuse::<T>(gateway, request, route, shape).await,
        Style::Ollama,
    )
}

async fn answer_or_refuse<T: Asked + DeserializeOwned>(
    gateway: &Gateway,
    request: Request<Body>,
    route: Route,
    shape: Shape,
) -> Result<Response<Body>, GatewayRejection> {
    let admitted: Admitted<T> = work::admit(gateway, request, Scope::Chat, route).await?;
    let streamed = admitted.fields.streamed();
    // The name as the client wrote it, `:latest` and all.
    let voice = LineVoice::new(shape, admitted.fields.model().to_owned(), admitted.entry.began());
    let begun = question::begin(admitted).await?;
    if streamed {
        return Ok(begun.piece_by_piece(voice));
    }
    let answer = begun.whole().await?;
    let tail = Tail::new(answer.finish, answer.usage, voice.began, None);
    Ok(stream::json(&voice.line(&answer.text, &created_at(), Some(tail))))
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
}

//! `POST /v1/chat/completions`.
//!
//! Refuses more than one choice, tools and log probabilities. Invariant: the last chunk goes out after the entry is durable.

use super::fields::{Content, MAX_MESSAGES, OneOrMany, WireRole, number, seed, stops, unset};
use crate::question::{self, Asked, Question};
use crate::refusal::{GatewayRejection, Style};
use crate::router::Gateway;
use crate::stream::{self, Voice, push_json_text};
use crate::work::{self, Admitted};
use axum::body::Body;
use axum::extract::State;
use freehold_engine::{Chat, Finish, Format, Message, Sampling, Usage};
use freehold_protocol::local::{Route, Scope};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The fields that are taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatRequest {
    model: String,
    messages: Vec<WireMessage>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repeat_penalty: Option<f32>,
    n: Option<u32>,
    logprobs: Option<bool>,
    response_format: Option<ResponseFormat>,
    /// Taken because clients send it; not used, not kept.
    #[allow(dead_code)]
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMessage {
    role: WireRole,
    content: Content,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseFormat {
    r#type: FormatKind,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatKind {
    Text,
    JsonObject,
}

impl Asked for ChatRequest {
    fn model(&self) -> &str {
        &self.model
    }

    fn streamed(&self) -> bool {
        self.stream == Some(true)
    }

    fn into_question(self) -> Result<Question, GatewayRejection> {
        let field = |field, expected| Err(GatewayRejection::Field { field, expected });
        if self.messages.is_empty() || self.messages.len() > MAX_MESSAGES {
            return field("messages", "1 to 1024 messages");
        }
        if self.n.is_some_and(|n| n != 1) {
            return field("n", "1");
        }
        unset("logprobs", self.logprobs)?;
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            return field("max_tokens", "at least 1");
        }
        let message = |one: WireMessage| Message {
            role: one.role.into(),
            content: one.content.0,
        };
        Ok(Question::Chat(Chat {
            messages: self.messages.into_iter().map(message).collect(),
            sampling: Sampling {
                max_tokens,
                temperature: number("temperature", self.temperature, 0.0, 5.0, "0 to 5")?,
                top_p: number("top_p", self.top_p, 0.0, 1.0, "0 to 1")?,
                top_k: self.top_k,
                min_p: number("min_p", self.min_p, 0.0, 1.0, "0 to 1")?,
                seed: seed(self.seed),
                stop: stops(self.stop)?,
                presence_penalty: number("presence_penalty", self.presence_penalty, -2.0, 2.0, "-2 to 2")?,
                frequency_penalty: number("frequency_penalty", self.frequency_penalty, -2.0, 2.0, "-2 to 2")?,
                repeat_penalty: number("repeat_penalty", self.repeat_penalty, 0.0, 5.0, "0 to 5")?,
                format: match self.response_format {
                    Some(ResponseFormat {
                        r#type: FormatKind::JsonObject,
                    }) => Format::Json,
                    _ => Format::Text,
                },
            },
        }))
    }
}

/// The route.
pub async fn complete(State(gateway): State<Gateway>, request: Request<Body>) -> Response<Body> {
    work::answer(complete_or_refuse(&gateway, request).await, Style::OpenAi)
}

async fn complete_or_refuse(gateway: &Gateway, request: Request<Body>) -> Result<Response<Body>, GatewayRejection> {
    let admitted: Admitted<ChatRequest> = work::admit(gateway, request, Scope::Chat, Route::OpenAiChat).await?;
    let id = format!("chatcmpl-{}", admitted.id);
    let streamed = admitted.fields.streamed();
    let options = admitted.fields.stream_options.as_ref();
    let include_usage = options.and_then(|options| options.include_usage) == Some(true);
    let begun = question::begin(admitted).await?;
    let (created, model) = (OffsetDateTime::now_utc().unix_timestamp(), begun.model.clone());
    if streamed {
        return Ok(begun.piece_by_piece(ChunkVoice::new(&id, &model, created, include_usage)));
    }
    let answer = begun.whole().await?;
    Ok(stream::json(&Completion {
        id: &id,
        object: "chat.completion",
        created,
        model: &model,
        choices: [Choice {
            index: 0,
            message: Said {
                role: "assistant",
                content: &answer.text,
            },
            logprobs: None,
            finish_reason: answer.finish.word(),
        }],
        usage: answer.usage.into(),
    }))
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: WireUsage,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Said<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.answer_tokens,
            total_tokens: usage.prompt_tokens.saturating_add(usage.answer_tokens),
        }
    }
}

/// Server-sent events, as OpenAI words them. What is the same in every chunk is made once.
struct ChunkVoice {
    head: Vec<u8>,
    begun: bool,
    include_usage: bool,
}

impl ChunkVoice {
    fn new(id: &str, model: &str, created: i64, include_usage: bool) -> Self {
        let mut head = br#"data: {"id":"#.to_vec();
        push_json_text(id, &mut head);
        head.extend_from_slice(format!(r#","object":"chat.completion.chunk","created":{created},"model":"#).as_bytes());
        push_json_text(model, &mut head);
        head.extend_from_slice(br#","choices":["#);
        Self {
            head,
            begun: false,
            include_usage,
        }
    }

    fn role(&mut self) -> &'static [u8] {
        if std::mem::replace(&mut self.begun, true) {
            b""
        } else {
            br#""role":"assistant","#
        }
    }
}

impl Voice for ChunkVoice {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#"{"index":0,"delta":{"#);
        out.extend_from_slice(self.role());
        out.extend_from_slice(br#""content":"#);
        push_json_text(text, out);
        out.extend_from_slice(b"},\"finish_reason\":null}]}\n\n");
    }

    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        let role = if self.begun {
            ""
        } else {
            r#""role":"assistant","content":"""#
        };
        out.extend_from_slice(
            format!(
                "{{\"index\":0,\"delta\":{{{role}}},\"finish_reason\":\"{}\"}}]}}\n\n",
                finish.word()
            )
            .as_bytes(),
        );
        if self.include_usage {
            let usage = serde_json::to_string(&WireUsage::from(usage)).unwrap_or_default();
            out.extend_from_slice(&self.head);
            out.extend_from_slice(format!("],\"usage\":{usage}}}\n\n").as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn failed(&mut self, rejection: &GatewayRejection, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&rejection.to_json(Style::OpenAi));
        out.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(voice: &mut ChunkVoice, say: impl FnOnce(&mut ChunkVoice, &mut Vec<u8>)) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        say(voice, &mut out);
        let text = String::from_utf8(out).unwrap();
        let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        events
            .filter(|event| *event != "[DONE]")
            .map(|event| serde_json::from_str(event).unwrap())
            .collect()
    }

    #[test]
    fn chunks_are_the_json_of_the_protocol_whatever_the_text() {
        let mut voice = ChunkVoice::new("id\"", "mo\\del", 7, true);
        let first = said(&mut voice, |voice, out| voice.text("a\n\"\u{1}é", out));
        assert_eq!(first[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(first[0]["choices"][0]["delta"]["content"], "a\n\"\u{1}é");
        assert_eq!(
            (&first[0]["id"], &first[0]["model"]),
            (&"id\"".into(), &"mo\\del".into())
        );
        let usage = Usage {
            prompt_tokens: 3,
            answer_tokens: 4,
        };
        let end = said(&mut voice, |voice, out| voice.end(Finish::Length, usage, out));
        assert_eq!(end[0]["choices"][0]["finish_reason"], "length");
        assert_eq!(end[1]["usage"]["total_tokens"], 7);
        let failed = said(&mut voice, |voice, out| {
            voice.failed(&GatewayRejection::SupervisorAway, out)
        });
        assert_eq!(failed[0]["error"]["code"], "gateway.supervisor_away");
    }

    #[test]
    fn fields_outside_their_limits_are_refused_by_name() {
        let refused = |more: &str| {
            let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
            crate::body::parse::<ChatRequest>(json.as_bytes())
                .and_then(ChatRequest::into_question)
                .err()
                .map(|r| r.to_string())
        };
        assert_eq!(refused(""), None);
        for (more, field) in [
            (r#","n":2"#, "n"),
            (r#","temperature":9"#, "temperature"),
            (r#","logprobs":true"#, "logprobs"),
            (r#","max_tokens":0"#, "max_tokens"),
            (r#","tools":[]"#, "tools"),
            (r#","cache_prompt":true"#, "cache_prompt"),
        ] {
            let message = refused(more).unwrap();
            assert!(message.contains(&format!("`{field}`")), "{more}: {message}");
        }
    }
}

//! llama-server's JSON, both ways. Source: llama.cpp, `tools/server/README.md` (Debian's 0.7.0).
//!
//! Refuses events without the fields that an answer needs. Invariant: of what the engine says only text, counts and the
//! reason of the end are kept; its messages are not, they may quote the prompt.

use crate::answer::{Embeddings, Finish, Usage};
use crate::ask::{Chat, Completion, Embed, Format, Message, Sampling};
use crate::error::EngineError;
use serde::{Deserialize, Serialize};

/// Sampling as llama-server names it.
#[derive(Serialize)]
struct Drawing<'a> {
    stream: bool,
    stream_options: StreamOptions,
    /// One token's conversation must not speed up, and so betray itself to, another's.
    cache_prompt: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct ResponseFormat {
    r#type: &'static str,
}

impl<'a> Drawing<'a> {
    fn new(sampling: &'a Sampling) -> Self {
        Self {
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            cache_prompt: false,
            max_tokens: sampling.max_tokens,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            seed: sampling.seed,
            stop: &sampling.stop,
            presence_penalty: sampling.presence_penalty,
            frequency_penalty: sampling.frequency_penalty,
            repeat_penalty: sampling.repeat_penalty,
            response_format: (sampling.format == Format::Json).then_some(ResponseFormat { r#type: "json_object" }),
        }
    }
}

/// Body of `/v1/chat/completions`.
#[derive(Serialize)]
pub(super) struct ChatBody<'a> {
    messages: Vec<WireMessage<'a>>,
    #[serde(flatten)]
    drawing: Drawing<'a>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> ChatBody<'a> {
    pub(super) fn new(ask: &'a Chat) -> Self {
        let message = |one: &'a Message| WireMessage {
            role: one.role.word(),
            content: &one.content,
        };
        Self {
            messages: ask.messages.iter().map(message).collect(),
            drawing: Drawing::new(&ask.sampling),
        }
    }
}

/// Body of `/v1/completions`.
#[derive(Serialize)]
pub(super) struct CompletionBody<'a> {
    prompt: &'a str,
    #[serde(flatten)]
    drawing: Drawing<'a>,
}

impl<'a> CompletionBody<'a> {
    pub(super) fn new(ask: &'a Completion) -> Self {
        Self {
            prompt: &ask.prompt,
            drawing: Drawing::new(&ask.sampling),
        }
    }
}

/// Body of `/v1/embeddings`.
#[derive(Serialize)]
pub(super) struct EmbedBody<'a> {
    input: &'a [String],
    encoding_format: &'static str,
}

impl<'a> EmbedBody<'a> {
    pub(super) fn new(ask: &'a Embed) -> Self {
        Self {
            input: &ask.texts,
            encoding_format: "float",
        }
    }
}

/// What one event brought.
pub(super) struct Event {
    pub(super) text: Option<String>,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Option<Usage>,
}

#[derive(Deserialize)]
struct WireEvent {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<WireUsage>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Self {
            prompt_tokens: wire.prompt_tokens,
            answer_tokens: wire.completion_tokens,
        }
    }
}

/// An error as llama-server words it; only its class is read.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    error: WireError,
}

#[derive(Deserialize)]
struct WireError {
    code: Option<u16>,
    r#type: Option<String>,
}

impl Event {
    pub(super) fn parse(data: &[u8]) -> Result<Self, EngineError> {
        let malformed = |_| EngineError::AnswerMalformed { what: "event" };
        let event: WireEvent = serde_json::from_slice(data).map_err(malformed)?;
        if let Some(error) = event.error {
            return Err(classify(error.code.unwrap_or(500), error.r#type.as_deref()));
        }
        let mut text = None;
        let mut finish = None;
        if let Some(choice) = event.choices.into_iter().next() {
            text = choice
                .delta
                .and_then(|delta| delta.content)
                .or(choice.text)
                .filter(|text| !text.is_empty());
            finish = choice.finish_reason.map(|reason| {
                if reason == "length" {
                    Finish::Length
                } else {
                    Finish::Stop
                }
            });
        }
        Ok(Self {
            text,
            finish,
            usage: event.usage.map(Usage::from),
        })
    }
}

/// The error that an HTTP status and body stand for.
pub(super) fn refusal(status: u16, body: Option<ErrorBody>) -> EngineError {
    classify(status, body.and_then(|body| body.error.r#type).as_deref())
}

fn classify(status: u16, kind: Option<&str>) -> EngineError {
    match (status, kind) {
        (_, Some("exceed_context_size_error")) => EngineError::ContextExceeded,
        (503, _) => EngineError::Starting,
        (status, _) => EngineError::Refused { status },
    }
}

#[derive(Deserialize)]
struct EmbeddingsAnswer {
    data: Vec<Vector>,
    usage: WireUsage,
}

#[derive(Deserialize)]
struct Vector {
    index: usize,
    embedding: Vec<f32>,
}

/// Reads vectors and puts them into the order of the texts; refuses a missing or doubled one, and unequal lengths.
pub(super) fn embeddings(bytes: &[u8], wanted: usize) -> Result<Embeddings, EngineError> {
    let malformed = EngineError::AnswerMalformed { what: "embeddings" };
    let answer: EmbeddingsAnswer = serde_json::from_slice(bytes).map_err(|_| malformed.clone())?;
    let mut data = answer.data;
    data.sort_by_key(|vector| vector.index);
    let width = data.first().map_or(0, |vector| vector.embedding.len());
    let in_place = data
        .iter()
        .enumerate()
        .all(|(place, vector)| vector.index == place && vector.embedding.len() == width);
    if data.len() != wanted || !in_place || width == 0 {
        return Err(malformed);
    }
    Ok(Embeddings {
        vectors: data.into_iter().map(|vector| vector.embedding).collect(),
        usage: answer.usage.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_gives_text_end_and_counts_and_nothing_else() {
        let text = Event::parse(br#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"hi"}}],"id":"x"}"#)
            .unwrap();
        assert_eq!(text.text.as_deref(), Some("hi"));
        let end = Event::parse(br#"{"choices":[{"finish_reason":"length","index":0,"delta":{}}]}"#).unwrap();
        assert!(end.finish == Some(Finish::Length) && end.text.is_none());
        let usage = Event::parse(br#"{"choices":[],"usage":{"completion_tokens":6,"prompt_tokens":24}}"#).unwrap();
        assert_eq!(
            usage.usage,
            Some(Usage {
                prompt_tokens: 24,
                answer_tokens: 6
            })
        );
        let error = br#"{"error":{"code":400,"message":"secret","type":"exceed_context_size_error"}}"#;
        assert_eq!(Event::parse(error).err().unwrap().code(), "engine.context_exceeded");
    }

    #[test]
    fn vectors_are_put_in_order_and_counted() {
        let bytes =
            br#"{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":[1.0]}],"usage":{"prompt_tokens":3}}"#;
        assert_eq!(embeddings(bytes, 2).unwrap().vectors, [[1.0], [2.0]]);
        assert_eq!(embeddings(bytes, 3).unwrap_err().code(), "engine.answer_malformed");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_event_or_an_error(bytes: Vec<u8>) {
            let _ = Event::parse(&bytes);
            let _ = embeddings(&bytes, 1);
        }
    }
}

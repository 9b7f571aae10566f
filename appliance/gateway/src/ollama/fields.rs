//! Ollama's options, and the fields that every answer of it has.
//!
//! Refuses options that this gateway does not know. Invariant: options about the engine's set-up (context, threads, devices)
//! are taken because clients send them, and change nothing: the box decides those.

use crate::openai::fields::{OneOrMany, number, seed, stops};
use crate::refusal::GatewayRejection;
use freehold_engine::{Finish, Format, Sampling, Usage};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `options` of a request.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Options {
    num_predict: Option<i32>,
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    repeat_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    #[allow(dead_code)]
    num_ctx: Option<u64>,
    #[allow(dead_code)]
    num_batch: Option<u64>,
    #[allow(dead_code)]
    num_thread: Option<u32>,
    #[allow(dead_code)]
    num_gpu: Option<i32>,
}

/// `format` of a request: only `"json"`.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum WireFormat {
    /// One JSON object.
    Json,
}

/// `keep_alive`: a number of seconds or a duration in words; the box decides how long a model stays, so it changes nothing.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum KeepAlive {
    /// Seconds.
    Seconds(#[allow(dead_code)] i64),
    /// Such as `5m`.
    Words(#[allow(dead_code)] String),
}

/// Turns options into ours.
pub fn sampling(options: Option<Options>, format: Option<WireFormat>) -> Result<Sampling, GatewayRejection> {
    let options = options.unwrap_or_default();
    let max_tokens = match options.num_predict {
        // -1 and -2 mean "until the end" and "until the context is full" to Ollama.
        None | Some(-2..=-1) => None,
        Some(tokens) => match u32::try_from(tokens) {
            Ok(tokens) if tokens > 0 => Some(tokens),
            _ => {
                return Err(GatewayRejection::Field {
                    field: "num_predict",
                    expected: "-1, or at least 1",
                });
            }
        },
    };
    Ok(Sampling {
        max_tokens,
        temperature: number("temperature", options.temperature, 0.0, 5.0, "0 to 5")?,
        top_p: number("top_p", options.top_p, 0.0, 1.0, "0 to 1")?,
        top_k: options.top_k,
        min_p: number("min_p", options.min_p, 0.0, 1.0, "0 to 1")?,
        seed: seed(options.seed),
        stop: stops(options.stop)?,
        presence_penalty: number("presence_penalty", options.presence_penalty, -2.0, 2.0, "-2 to 2")?,
        frequency_penalty: number("frequency_penalty", options.frequency_penalty, -2.0, 2.0, "-2 to 2")?,
        repeat_penalty: number("repeat_penalty", options.repeat_penalty, 0.0, 5.0, "0 to 5")?,
        format: if format.is_some() { Format::Json } else { Format::Text },
    })
}

/// Now, as Ollama writes it.
pub fn created_at() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// What the last line of an answer has besides the others.
#[derive(Serialize)]
pub struct Tail {
    done_reason: &'static str,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u32,
    prompt_eval_duration: u64,
    eval_count: u32,
    eval_duration: u64,
}

impl Tail {
    /// Durations in nanoseconds, measured here: until the first token, and from there to the end.
    pub fn new(finish: Finish, usage: Usage, began: Instant, first: Option<Instant>) -> Self {
        let nanos =
            |from: Instant, to: Instant| u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(0);
        let now = Instant::now();
        let first = first.unwrap_or(now);
        Self {
            done_reason: finish.word(),
            total_duration: nanos(began, now),
            load_duration: 0,
            prompt_eval_count: usage.prompt_tokens,
            prompt_eval_duration: nanos(began, first),
            eval_count: usage.answer_tokens,
            eval_duration: nanos(first, now),
        }
    }
}

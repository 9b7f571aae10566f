//! The adapter for llama.cpp's `llama-server`.
//!
//! Refuses to reuse one request's cache for another: every request says `cache_prompt: false`, besides the flags that the
//! server is started with. Invariant: the engine is always asked to stream, so that there is one way to read an answer.

mod wire;

use crate::answer::{AnswerPart, AnswerStream, Embeddings, Finish, Usage};
use crate::ask::{Chat, Completion, Embed};
use crate::door::{Door, Reply};
use crate::engine::{Engine, Health};
use crate::error::EngineError;
use crate::lines::Lines;
use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::{Method, StatusCode};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Bounds what an engine can make us hold when it answers with an error.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Bounds what an engine can make us hold when it answers with vectors: 2048 texts of 4096 numbers in decimal.
const MAX_EMBEDDINGS_BYTES: usize = 128 << 20;

/// A llama-server behind its socket.
#[derive(Debug, Clone)]
pub struct LlamaServer {
    door: Door,
}

impl LlamaServer {
    /// The server that listens, or will listen, at `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            door: Door::new(socket),
        }
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        self.door.socket()
    }

    async fn post<B: Serialize>(&self, path: &'static str, body: &B) -> Result<Reply, EngineError> {
        let body = serde_json::to_vec(body).map_err(|_| EngineError::Unsupported { what: "this request" })?;
        let reply = self.door.send(Method::POST, path, Bytes::from(body)).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let status = reply.status;
        let text = reply.whole(MAX_ERROR_BYTES).await.unwrap_or_default();
        Err(wire::refusal(status.as_u16(), serde_json::from_slice(&text).ok()))
    }

    async fn stream<B: Serialize>(&self, path: &'static str, body: &B) -> Result<AnswerStream, EngineError> {
        let reply = self.post(path, body).await?;
        let reading = Reading {
            reply,
            lines: Lines::default(),
            finish: None,
            usage: None,
            state: State::Parts,
        };
        let parts = futures::stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|part| (part, reading)))
        });
        Ok(Box::pin(parts))
    }
}

impl Engine for LlamaServer {
    fn kind(&self) -> &'static str {
        "llama-server"
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, EngineError>> {
        Box::pin(async move {
            let reply = self.door.send(Method::GET, "/health", Bytes::new()).await?;
            let status = reply.status;
            reply.whole(MAX_ERROR_BYTES).await?;
            match status {
                StatusCode::OK => Ok(Health::Ready),
                StatusCode::SERVICE_UNAVAILABLE => Ok(Health::Starting),
                other => Err(EngineError::Refused { status: other.as_u16() }),
            }
        })
    }

    fn chat(&self, ask: Chat) -> BoxFuture<'_, Result<AnswerStream, EngineError>> {
        Box::pin(async move { self.stream("/v1/chat/completions", &wire::ChatBody::new(&ask)).await })
    }

    fn complete(&self, ask: Completion) -> BoxFuture<'_, Result<AnswerStream, EngineError>> {
        Box::pin(async move { self.stream("/v1/completions", &wire::CompletionBody::new(&ask)).await })
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embeddings, EngineError>> {
        Box::pin(async move {
            let reply = self.post("/v1/embeddings", &wire::EmbedBody::new(&ask)).await?;
            let bytes = reply.whole(MAX_EMBEDDINGS_BYTES).await?;
            wire::embeddings(&bytes, ask.texts.len())
        })
    }
}

/// An answer that is being read.
struct Reading {
    reply: Reply,
    lines: Lines,
    finish: Option<Finish>,
    usage: Option<Usage>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Parts,
    Done,
    Ended,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<AnswerPart>, EngineError> {
        if self.state == State::Ended {
            return Ok(None);
        }
        loop {
            while let Some(line) = self.lines.next_line()? {
                if let Some(text) = self.event(&line)? {
                    return Ok(Some(AnswerPart::Text(text)));
                }
            }
            match self.reply.piece().await? {
                Some(bytes) => self.lines.push(&bytes),
                None => return self.end().map(Some),
            }
        }
    }

    /// One line of the event stream; answers text, if it brought some.
    fn event(&mut self, line: &[u8]) -> Result<Option<String>, EngineError> {
        let data = match line.strip_prefix(b"data: ").or_else(|| line.strip_prefix(b"error: ")) {
            Some(data) => data,
            None if line.is_empty() || line.starts_with(b":") => return Ok(None),
            None => return Err(EngineError::AnswerMalformed { what: "event line" }),
        };
        if data == b"[DONE]" {
            self.state = State::Done;
            return Ok(None);
        }
        let event = wire::Event::parse(data)?;
        self.finish = event.finish.or(self.finish);
        self.usage = event.usage.or(self.usage);
        Ok(event.text)
    }

    fn end(&mut self) -> Result<AnswerPart, EngineError> {
        let done = self.state == State::Done;
        self.state = State::Ended;
        match (done, self.finish, self.usage) {
            (true, Some(finish), Some(usage)) => Ok(AnswerPart::End { finish, usage }),
            (true, ..) => Err(EngineError::AnswerMalformed {
                what: "end without a count",
            }),
            (false, ..) => Err(EngineError::BrokenOff {
                reason: "the stream ended early".to_owned(),
            }),
        }
    }
}

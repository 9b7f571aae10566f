//! An answer on its way to a client: piece by piece, or whole.
//!
//! Refuses to finish an answer whose entry is not durable: the client then gets an error where the end would have been.
//! Invariant: each piece goes out as soon as it came; what a client holds (its place, its seat) is held until the last byte.

use crate::entry::Entry;
use crate::refusal::GatewayRejection;
use crate::work::Hold;
use axum::body::Body;
use bytes::Bytes;
use freehold_engine::{Answer, AnswerPart, AnswerStream, EngineError, Finish, Usage};
use futures::StreamExt as _;
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;

/// Bounds how long one answer may take, and so how long a client can hold an engine's slot.
pub const MAX_ANSWER_TIME: Duration = Duration::from_secs(600);

/// Bounds an answer that is collected before it is sent: more than any context holds.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// How a protocol words the pieces of an answer.
pub trait Voice: Send + 'static {
    /// The answer's media type.
    const CONTENT_TYPE: &'static str;
    /// One piece of text.
    fn text(&mut self, text: &str, out: &mut Vec<u8>);
    /// The end.
    fn end(&mut self, finish: Finish, usage: Usage, out: &mut Vec<u8>);
    /// An error instead of the end.
    fn failed(&mut self, rejection: &GatewayRejection, out: &mut Vec<u8>);
}

/// A deadline for an answer that begins now.
pub fn deadline() -> Instant {
    Instant::now() + MAX_ANSWER_TIME
}

fn timeout() -> GatewayRejection {
    GatewayRejection::Timeout {
        seconds: MAX_ANSWER_TIME.as_secs(),
    }
}

/// Waits for an engine within the deadline.
pub async fn within<T>(
    deadline: Instant,
    engine: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, GatewayRejection> {
    match tokio::time::timeout_at(deadline, engine).await {
        Ok(answer) => answer.map_err(GatewayRejection::from),
        Err(_) => Err(timeout()),
    }
}

struct Flow<V> {
    voice: V,
    answer: AnswerStream,
    entry: Option<Entry>,
    deadline: Instant,
    _hold: Hold,
}

/// The answer as a stream of pieces.
pub fn piece_by_piece<V: Voice>(
    voice: V,
    answer: AnswerStream,
    entry: Entry,
    deadline: Instant,
    hold: Hold,
) -> Response<Body> {
    let flow = Flow {
        voice,
        answer,
        entry: Some(entry),
        deadline,
        _hold: hold,
    };
    let pieces = futures::stream::unfold(flow, |mut flow| async move {
        let piece = flow.piece().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), flow))
    });
    let mut response = Response::new(Body::new(StreamBody::new(pieces)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(V::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<V: Voice> Flow<V> {
    /// `None` after the end; the entry is there until then.
    async fn piece(&mut self) -> Option<Bytes> {
        let mut entry = self.entry.take()?;
        let mut out = Vec::with_capacity(256);
        let part = match tokio::time::timeout_at(self.deadline, self.answer.next()).await {
            Ok(Some(part)) => part.map_err(GatewayRejection::from),
            Ok(None) => Err(GatewayRejection::Engine(EngineError::BrokenOff {
                reason: "no end".to_owned(),
            })),
            Err(_) => Err(timeout()),
        };
        match part {
            Ok(AnswerPart::Text(text)) => {
                entry.token_made(&text);
                self.voice.text(&text, &mut out);
                self.entry = Some(entry);
            }
            Ok(AnswerPart::End { finish, usage }) => match entry.answered(usage).await {
                Ok(()) => self.voice.end(finish, usage, &mut out),
                Err(rejection) => self.voice.failed(&rejection, &mut out),
            },
            Err(rejection) => {
                self.voice.failed(&rejection, &mut out);
                entry.refused(&rejection);
            }
        }
        Some(Bytes::from(out))
    }
}

/// The whole answer, its entry durable.
pub async fn whole(answer: AnswerStream, mut entry: Entry, deadline: Instant) -> Result<Answer, GatewayRejection> {
    let noted = answer.inspect(|part| {
        if let Ok(AnswerPart::Text(text)) = part {
            entry.token_made(text);
        }
    });
    match within(deadline, Answer::collect(noted, MAX_ANSWER_BYTES)).await {
        Ok(answer) => {
            entry.answered(answer.usage).await?;
            Ok(answer)
        }
        Err(rejection) => {
            entry.refused(&rejection);
            Err(rejection)
        }
    }
}

/// A whole answer as JSON.
pub fn json<T: serde::Serialize>(value: &T) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A text as JSON, quotation marks included; a `String` cannot fail to be one.
pub fn push_json_text(text: &str, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
}

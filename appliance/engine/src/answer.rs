//! What an engine answers, in fields of our own.
//!
//! Refuses to carry anything an engine said beyond text, counts and why it ended. Invariant: a stream that yields
//! [`AnswerPart::End`] was complete; every other end is an error.

use crate::error::EngineError;
use futures::stream::{BoxStream, Stream, StreamExt as _};

/// Tokens, as the engine counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u32,
    /// Of the answer.
    pub answer_tokens: u32,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or a stop text appeared.
    Stop,
    /// The limit of tokens, or of context, was reached.
    Length,
}

impl Finish {
    /// The word that both protocols use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// One piece of an answer.
#[derive(Clone, PartialEq, Eq)]
pub enum AnswerPart {
    /// More text; never empty.
    Text(String),
    /// The end; nothing follows.
    End {
        /// Why.
        finish: Finish,
        /// How much.
        usage: Usage,
    },
}

/// An answer while it is being made.
pub type AnswerStream = BoxStream<'static, Result<AnswerPart, EngineError>>;

/// A whole answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// How much.
    pub usage: Usage,
}

impl Answer {
    /// Waits for the end of a stream and refuses an answer above `limit` bytes.
    pub async fn collect(
        stream: impl Stream<Item = Result<AnswerPart, EngineError>>,
        limit: usize,
    ) -> Result<Self, EngineError> {
        let mut stream = std::pin::pin!(stream);
        let mut text = String::new();
        while let Some(part) = stream.next().await {
            match part? {
                AnswerPart::Text(more) if text.len().saturating_add(more.len()) > limit => {
                    return Err(EngineError::AnswerTooLarge { limit });
                }
                AnswerPart::Text(more) => text.push_str(&more),
                AnswerPart::End { finish, usage } => return Ok(Self { text, finish, usage }),
            }
        }
        Err(EngineError::BrokenOff {
            reason: "the answer has no end".to_owned(),
        })
    }
}

/// Vectors, one for each text that was asked for, in the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// All of the same length.
    pub vectors: Vec<Vec<f32>>,
    /// How much.
    pub usage: Usage,
}

//! What every engine can be asked, whatever program it is.
//!
//! Refuses to know how an engine was started. Invariant: dropping an answer's stream ends the work for it.

use crate::answer::{AnswerStream, Embeddings};
use crate::ask::{Chat, Completion, Embed};
use crate::error::EngineError;
use futures::future::BoxFuture;

/// Whether an engine can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Ready,
    /// It is there and loads its model.
    Starting,
}

/// An engine with one model in it.
pub trait Engine: Send + Sync {
    /// Which adapter this is, for status and logs.
    fn kind(&self) -> &'static str;
    /// Whether it can be asked; [`EngineError::Missing`] where nothing answers.
    fn health(&self) -> BoxFuture<'_, Result<Health, EngineError>>;
    /// Continues a conversation. The future ends when the engine has accepted the request.
    fn chat(&self, ask: Chat) -> BoxFuture<'_, Result<AnswerStream, EngineError>>;
    /// Continues a text as it stands.
    fn complete(&self, ask: Completion) -> BoxFuture<'_, Result<AnswerStream, EngineError>>;
    /// Turns texts into vectors.
    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embeddings, EngineError>>;
}

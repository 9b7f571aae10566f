//! OpenAI's protocol, the part of it that a box speaks.
//!
//! Refuses tools, images, audio, several choices and log probabilities: no engine of a box is asked for them. Invariant: each
//! field that is taken is listed in docs/gateway.md, and no other is.

pub mod chat;
pub mod embeddings;
pub mod fields;
pub mod models;

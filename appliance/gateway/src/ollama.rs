//! Ollama's protocol, the part of it that a box speaks.
//!
//! Refuses what would change the box (pull, push, create, copy, delete: there is no route for them), images, tools and
//! templates. Invariant: each field that is taken is listed in docs/gateway.md, and no other is.

pub mod chat;
pub mod embed;
pub mod fields;
pub mod generate;
pub mod lines;
pub mod models;

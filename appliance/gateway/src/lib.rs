//! The gateway of a box: OpenAI's and Ollama's protocols for applications, over TLS, with API tokens.
//!
//! Refuses to relay: a request is parsed into typed fields with limits and a new one is made for the engine; unknown fields
//! are refused, and no byte or header of a client reaches an engine, or of an engine a client. It has no TPM, no bus and no
//! model file. Invariant: an answer is finished only after the supervisor has said that its entry is in the record.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod body;
pub mod entry;
pub mod identity;
pub mod link;
pub mod listen;
pub mod ollama;
pub mod openai;
pub mod question;
pub mod quota;
pub mod refusal;
pub mod router;
pub mod seats;
pub mod served;
pub mod stream;
pub mod token;
pub mod work;

pub use refusal::{GatewayRejection, Style};
pub use router::{Gateway, router};

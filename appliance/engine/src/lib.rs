//! Engines: programs that run a model and that the box does not trust. How one is started, bounded, asked and ended.
//!
//! Refuses to open a network connection to an engine and to hand it anything but the listed files of one model. Invariant:
//! an engine's answer is data that was parsed with limits; none of its bytes or headers go further than this crate.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod answer;
pub mod ask;
pub mod backoff;
pub mod bounds;
pub mod calls;
pub mod door;
pub mod engine;
pub mod error;
pub mod journal;
pub mod launch;
pub mod lines;
pub mod llama;
#[cfg(feature = "ollama")]
pub mod ollama;
pub mod process;
pub mod tree;
#[cfg(feature = "systemd")]
pub mod unit;

pub use answer::{Answer, AnswerPart, AnswerStream, Embeddings, Finish, Usage};
pub use ask::{Chat, Completion, Embed, Format, Message, Role, Sampling};
pub use bounds::{Bounds, CpuBound, MemoryBound};
pub use engine::{Engine, Health};
pub use error::EngineError;
pub use launch::{LaunchSpec, ModelFile, Purpose, UserNamespace};
pub use llama::LlamaServer;
#[cfg(feature = "ollama")]
pub use ollama::OllamaServer;
pub use process::{EngineProcess, Exit, LaunchError, ProcessState};

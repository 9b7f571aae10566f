//! Carrying out a plan: one small function per step, over a host.
//!
//! Refuses to decide: what may be done was decided by the planner, what is authentic by a judge that the caller brings. The
//! one invariant: whatever happens between two bytes written, the store holds whole, verified models or nothing, and doing
//! the same step again goes on where it stopped.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod durable;
mod fault;
mod fetch;
mod host;
mod step;
mod store;
pub mod verity;

pub use durable::{sync_folder, write_atomic};
pub use fault::{StepFailed, StoreError};
pub use fetch::{ChunkJudge, ChunkSource, Progress, fetch};
pub use host::{Host, Judge, Reading};
pub use step::{Hands, SoFar, carry_out};
pub use store::{Admitted, AdmittedFile, Store, VerityUse};

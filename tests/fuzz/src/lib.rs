//! Mutated bytes into every parser of outside bytes: seeded, so that a fault found once is found again.
//!
//! Refuses a panic, an input that takes longer than a second, and memory that grows beyond a bound. Invariant: what a target does
//! with its bytes is what a program does first with bytes from outside; nothing is verified on the way in.

pub mod mutate;
pub mod run;
pub mod targets;

pub use mutate::Mutator;
pub use run::{Limits, Outcome, run};
pub use targets::{Target, targets};

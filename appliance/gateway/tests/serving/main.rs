//! The real gateway in front of the real engine.
//!
//! Skips, saying so, where the engine or the demonstration model is not there.

mod answers;
mod limits;
mod refusals;
mod world;

//! Is it authentic? Bytes in, [`Verified`] facts or a [`Refusal`] out.
//!
//! Refuses to do I/O, to read a clock, or to trust a parsed value: everything that other crates act on has passed through
//! a function here. The one invariant: a [`Verified`] value can be made by this crate alone.

pub mod approval;
pub mod bom;
pub mod boot;
mod cbor;
pub mod container;
pub mod document;
pub mod event_log;
pub mod evidence;
pub mod format;
pub mod fs_verity;
pub mod identity;
pub mod json;
pub mod milestone;
pub mod model;
pub mod quote;
pub mod rejection;
pub mod release;
pub mod sealing;
pub mod stick;
mod text;
pub mod tpm;
pub mod verified;
pub mod webauthn;

pub use rejection::{Refusal, RefusalReport};
pub use verified::Verified;

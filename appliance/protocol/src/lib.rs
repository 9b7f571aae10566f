//! What a box and its console say to each other, and what the supervisor and the gateway say on one box.
//!
//! Refuses to move bytes: these are types and their encodings, used over HTTPS, over a Unix socket and on a stick alike.
//! Invariant: every message carries `v`; an unknown major version is refused, unknown fields of a known one are refused too.

pub mod binary;
pub mod enrol;
pub mod fingerprint;
pub mod health;
pub mod local;
pub mod report;
pub mod routes;
pub mod screen;
pub mod status;
pub mod stick;
pub mod version;
pub mod witness;

pub use binary::Base64;
pub use version::{V1, VersionRejection};

//! `/api/v1`: everything that pages do, as JSON, for programs.
//!
//! Refuses to answer with anything that a page would not show. Invariant: each handler is a few lines around the core; what it
//! answers is described by the same types in `openapi.json`.

pub mod account;
pub mod boxes;
pub mod change;
pub mod events;
pub mod fleet;
pub mod openapi;
pub mod plans;
pub mod record;
pub mod releases;
pub mod reports;
pub mod rollouts;
pub mod stick;
pub mod summary;
pub mod supply;

//! The console: two doors, one fleet.
//!
//! Refuses to be trusted more than it must: releases are signed offline, boxes check everything themselves, and what happened
//! is in a record that others can check. Invariant: the core (`freehold-fleet`) decides, this crate carries.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod api;
pub mod appraise;
pub mod approvals;
pub mod body;
pub mod book;
pub mod boxes;
pub mod command;
pub mod console;
pub mod cosign;
pub mod director;
pub mod init;
pub mod listen;
pub mod live;
pub mod outer;
pub mod pages;
pub mod people;
pub mod plan;
pub mod random;
pub mod refused;
pub mod report;
pub mod repository;
pub mod rollouts;
pub mod run;
pub mod state;
pub mod stick;
pub mod supply;
pub mod witness;

pub use console::Console;

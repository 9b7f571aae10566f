//! The supervisor of a box: it proves the box to its console, and makes what a verified assignment asks come true.
//!
//! Refuses to listen on a network, to act on anything that was not verified here, and to do a thing before its entry is
//! durable in the record. The one invariant: everything it knows that matters is in its state folder, so that killing it at
//! any step and starting it again leads to the same end.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod attest;
mod boot;
mod chronicle;
mod clock;
mod console;
mod counting;
mod desired;
mod download;
mod engines;
mod enrol;
mod fault;
mod gateway;
mod health;
mod identity;
mod introduce;
mod judge;
mod lease;
mod milestones;
mod network;
mod notify;
mod options;
mod pairing;
mod policy;
mod repository;
mod round;
mod salts;
mod screen;
mod site;
mod source;
mod state;
mod status;
mod stick;
mod supervisor;
mod system;
mod witness;

pub use fault::Fault;
pub use options::{Arguments, Command, EngineHost, Settings};
pub use salts::forget;
pub use status::{LeaseStatus, Status, TpmStatus};
pub use supervisor::{once, run};
pub use system::{HealthCheck, ReadRoot, RootRead, UpdateRejection, healthy, read_root};

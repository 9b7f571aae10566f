//! The door for boxes: one route per message of `freehold-protocol`, each with its caller.
//!
//! Refuses everybody without a client certificate, and on each route everybody whose key or certificate does not fit.
//! Invariant: the routes are those of `freehold_protocol::routes::BOX_ROUTES`, and the caller said there is the one enforced.

pub mod approval;
pub mod assignment;
pub mod caller;
pub mod challenge;
pub mod enrol;
pub mod evidence;
pub mod files;
pub mod lease;
pub mod report;
pub mod routes;
pub mod witness;

pub use routes::router;

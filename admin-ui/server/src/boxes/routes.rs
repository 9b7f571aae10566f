//! The table of the boxes' door.
//!
//! Refuses a route that the protocol does not list, and to leave one out that it lists: a test compares both ways.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use freehold_protocol::routes::{self as paths, BOX_ROUTES, Caller};

use super::{approval, assignment, caller, challenge, enrol, evidence, files, lease, report, witness};
use crate::console::Console;
use crate::outer;

/// One route with who may call it.
pub struct BoxRoute {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path as the protocol says it; a prefix ends in `/`.
    pub path: &'static str,
    /// Who may call it.
    pub caller: Caller,
    handler: MethodRouter<Console>,
}

fn route<H, T>(method: &'static str, path: &'static str, handler: H) -> BoxRoute
where
    H: Handler<T, Console>,
    T: 'static,
{
    // A path that the protocol does not list is closed to everybody but members with a current certificate.
    let caller = BOX_ROUTES
        .iter()
        .find(|(listed, listed_path, _)| *listed == method && *listed_path == path)
        .map_or(Caller::CurrentCertificate, |(_, _, caller)| *caller);
    let handler = if method == "GET" { get(handler) } else { post(handler) };
    BoxRoute {
        method,
        path,
        caller,
        handler,
    }
}

/// Every route.
#[must_use]
pub fn table() -> Vec<BoxRoute> {
    vec![
        route("GET", paths::PAIRING, enrol::pairing),
        route("POST", paths::ENROL_BEGIN, enrol::begin),
        route("POST", paths::ENROL_ACTIVATE, enrol::activate),
        route("GET", paths::ENROL_STATUS, enrol::status),
        route("POST", paths::CHALLENGE, challenge::issue),
        route("POST", paths::EVIDENCE, evidence::take),
        route("GET", paths::ASSIGNMENT, assignment::give),
        route("GET", paths::LEASE, lease::give),
        route("GET", paths::APPROVALS, approval::give),
        route("GET", paths::REPOSITORY_METADATA, files::metadata),
        route("GET", paths::REPOSITORY_TARGETS, files::target),
        route("POST", paths::REPORT, report::take),
        route("POST", paths::RECORD, report::checkpoint),
        route("POST", paths::WITNESS, witness::take),
    ]
}

/// The router of the boxes' door.
pub fn router(console: Console) -> Router {
    let mut router = Router::new();
    for route in table() {
        let guard = from_fn_with_state((console.clone(), route.caller), caller::enforce);
        let path = if route.path.ends_with('/') {
            format!("{}{{*path}}", route.path)
        } else {
            route.path.to_owned()
        };
        router = router.route(&path, route.handler.layer(guard));
    }
    router
        .fallback(outer::nothing_here)
        .layer(from_fn(outer::wrap))
        .with_state(console)
}

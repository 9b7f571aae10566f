//! The door for people and their programs: sign-in, sessions, roles, headers, the table of routes.
//!
//! Refuses a route without an action, a change from another site's page, and a session whose account has changed. Invariant:
//! every route stands in `routes::table` with the action that its caller must be allowed.

pub mod access;
pub mod account;
pub mod action;
pub mod authority;
pub mod codes;
pub mod guard;
pub mod once;
pub mod outside;
pub mod passkey;
pub mod password;
pub mod place;
pub mod proposal;
pub mod routes;
pub mod second;
pub mod session;
pub mod throttle;
pub mod token;
pub mod totp;

pub use routes::router;

//! Locked inputs: which Debian packages something is made of, bringing exactly those, and unpacking them into a root.
//!
//! Refuses to guess: a package that is not in the lock is never fetched, and bytes that are not the locked ones are never
//! unpacked. Invariant: no host name is stored here; where packages come from is the machine's own apt configuration, or a
//! base that a person gave.

pub mod cache;
pub mod crates;
pub mod expect;
pub mod fetch;
pub mod inputs;
pub mod keys;
pub mod lock;
pub mod manifest;
pub mod mirror;
pub mod pe;
pub mod seed;
pub mod sign;
pub mod solver;
pub mod store;
pub mod toolbox;
pub mod unpack;

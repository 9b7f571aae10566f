//! Whom a box may speak to: settings in, packet filter and network configuration out. Pure: nothing here opens a file or a socket.
//!
//! Refuses names and addresses that could become anything else in a generated file. Invariant: what the settings do not name is
//! dropped, in and out, on every hook: `inet` for packets, `arp` for neighbours, `netdev` for what raw sockets send past both.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod link;
mod rules;
mod settings;

pub use link::link;
pub use rules::{closed, rules};
pub use settings::{Addressing, Console, NetworkRejection, NetworkSettings, Subnet};

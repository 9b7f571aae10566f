//! Engines as transient units of systemd, over D-Bus: what the OS uses where a development machine uses bubblewrap.
//!
//! Refuses to start a root image whose root hash is not beside it. Invariant: the properties that a unit is given make the
//! same promises as bubblewrap's flags do; a table in the tests holds them side by side.

mod bus;
mod fault;
mod properties;

pub use bus::{Bus, Outcome, probe, sweep};
pub use fault::UnitFault;
pub use properties::{Root, properties};

use crate::launch::LaunchSpec;

/// Every unit that is made here; the leftovers of an earlier supervisor are found by it.
pub const UNIT_PREFIX: &str = "freehold-engine-";

/// How the units of this box are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitOptions {
    /// The bus; without it, the system's.
    pub address: Option<String>,
    /// The user and the group that an engine runs as; the group may use its socket's folder. Without it the unit gets a user of its
    /// own while it runs (`DynamicUser=`).
    pub user: Option<(String, String)>,
    /// The unit whose end is the engines' end: the supervisor's own.
    pub bound_to: Option<String>,
    /// systemd's version, as [`probe`] found it: newer ones can do more.
    pub version: u32,
}

/// The unit of an engine.
pub fn unit_name(spec: &LaunchSpec) -> String {
    format!("{UNIT_PREFIX}{}.service", spec.name)
}

/// A group's number, from the local file: the image has no other source of names.
pub fn group_id(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

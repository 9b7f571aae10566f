//! Bad days, against the whole system: what the scenarios under `tests/` break things with, and ask things with.
//!
//! Refuses to change a program of ours: disks, TPMs, clocks, wires, strangers and thieves are what goes wrong here. Invariant: what a
//! scenario breaks belongs to its own world.

pub mod chip;
pub mod client;
pub mod crowd;
pub mod disk;
pub mod flood;
pub mod memory;
pub mod thief;

/// Says that a refusal is one that a person can do something about: its code has a sentence, a meaning and a next step.
///
/// # Panics
/// When it has not.
pub fn explained(code: &str) {
    let said = freehold_explain::explain(code).unwrap_or_else(|| panic!("`{code}` is not explained"));
    assert!(
        !said.what.is_empty() && !said.means.is_empty() && !said.next.is_empty(),
        "`{code}`"
    );
}

//! Orders of versions: Debian's, and that of semantic versions. Which one counts is said by the ecosystem, never guessed.
//!
//! Refuses to invent an order where there is none: an ecosystem without one compares only for equality. Invariant: each order is
//! total over what it accepts.

pub mod debian;
pub mod semantic;

use std::cmp::Ordering;

/// Which order of versions a package has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Debian's (policy manual, 5.6.12).
    Debian,
    /// Semantic versions 2.0, as crates have them.
    Semantic,
    /// None that is known here.
    Unknown,
}

impl Order {
    /// The order of an OSV ecosystem (`Debian:13`, `crates.io`), the part behind a colon aside.
    #[must_use]
    pub fn of_ecosystem(ecosystem: &str) -> Self {
        match ecosystem.split(':').next().unwrap_or_default() {
            "Debian" => Self::Debian,
            "crates.io" => Self::Semantic,
            _ => Self::Unknown,
        }
    }

    /// Compares; `None` when one of them is no version of this order.
    #[must_use]
    pub fn compare(self, left: &str, right: &str) -> Option<Ordering> {
        match self {
            Self::Debian => debian::compare(left, right),
            Self::Semantic => semantic::compare(left, right),
            Self::Unknown => (left == right).then_some(Ordering::Equal),
        }
    }
}

//! What a box is made of, and what is known to be wrong with it: bills of materials, provenance, advisories, findings.
//!
//! Refuses I/O, clocks and guesses: a version that cannot be compared is said to be affected, an unknown severity counts as the
//! worst, and what is not listed is not said to be safe. Invariant: everything here is a function of bytes that others verified.

pub mod advisory;
pub mod bill;
pub mod compose;
pub mod finding;
pub mod fleet;
pub mod index;
pub mod provenance;
pub mod purl;
pub mod rejection;
pub mod severity;
pub mod spdx;
pub mod version;
pub mod vex;

pub use advisory::{Advisories, Advisory};
pub use bill::{Bill, Component};
pub use finding::{Acceptance, Acceptances, Finding, FindingState, Scope, findings};
pub use fleet::{FleetMatches, FleetParts, Place};
pub use index::AdvisoryIndex;
pub use purl::Purl;
pub use rejection::SupplyRejection;
pub use severity::Severity;
pub use vex::{VexBook, VexStatement};

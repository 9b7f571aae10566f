//! What a box booted, compared with what its release says a verifier must see.
//!
//! Refuses to interpret an event whose bytes its digest does not cover. Invariant: a PCR "matches" only when the quoted
//! value is the one that the manifest's events or value give, whatever the log says about itself.

pub mod appraisal;
pub mod difference;
pub mod generate;
pub mod manifest;
pub mod uki;

pub use appraisal::{Appraisal, appraise};
pub use difference::{BootRejection, Difference, PcrOutcome};
pub use generate::{BootDescription, generate};
pub use manifest::{ExpectedEvent, Manifest, PcrRule, PhaseValue};

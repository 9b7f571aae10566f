//! Structures that a TPM 2.0 signs or hands out, read from bytes: own code, total, bounded.
//!
//! Refuses bytes that are left over, lengths beyond the limits below, and algorithms that it does not know. Invariant: no
//! input makes a parser here panic, loop or allocate more than a small multiple of the input. Nothing is verified here.
//! Source: TCG TPM 2.0 Library, Part 2: Structures.

pub mod algorithm;
pub mod attest;
pub mod public;
pub mod reader;
pub mod selection;
pub mod signature;

pub use attest::{Attest, AttestBody, AttestKind, ClockInfo};
pub use public::{Attributes, Public, PublicParameters};
pub use reader::TpmParseError;
pub use selection::{PcrSelection, PcrSet};
pub use signature::TpmSignature;

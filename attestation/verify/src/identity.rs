//! Who a box is: its endorsement key and where that comes from, its attestation key, and the TLS key that the AK vouches for.
//!
//! Refuses to take a TPM's kind from a declaration: it follows from the root of the EK's certificate. Invariant: an
//! [`AttestationKey`] has the attributes that make its signatures mean something, and its Name was computed here.
//! Sources: TCG EK Credential Profile 2.5; TPM 2.0 Part 1, section 24 (credential protection).

pub mod activation;
pub mod attestation_key;
pub mod certified;
pub mod endorsement;
pub mod enrolment;
pub mod quirk;
pub mod rejection;

pub use activation::{Credential, check_activation, make_credential};
pub use attestation_key::AttestationKey;
pub use certified::{CertifiedKey, verify_certified_key};
pub use endorsement::{EkPolicy, EkTrust, Endorsement, TpmKind, verify_endorsement};
pub use enrolment::{Candidate, EnrolRejection, Enrolling, Identity, KnownBox, Novelty, Proof, check_novelty};
pub use rejection::IdentityRejection;

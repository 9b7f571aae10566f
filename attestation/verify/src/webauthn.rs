//! Passkeys: what a person's authenticator signed (W3C WebAuthn Level 2), read from bytes.
//!
//! Refuses an answer to another challenge, from another page, for another relying party, without a person who was verified,
//! or signed by another key. Of attestation statements nothing is believed: who a key belongs to is said by the
//! offline-signed policy, not by its maker. Invariant: client data and authenticator data are used as they were signed.

mod assertion;
mod authenticator;
mod cbor;
mod client;
mod cose;
mod registration;
mod rejection;

pub use assertion::{Assertion, AssertionExpectation, AssertionSeen, encoded, verify_assertion};
pub use registration::{NewPasskey, Registration, verify_registration};
pub use rejection::PasskeyRejection;

/// Longest credential id (WebAuthn, 5.8.3: at most 1023 bytes).
pub const MAX_CREDENTIAL: usize = 1023;

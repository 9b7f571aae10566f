//! Digests, keys, signatures, thresholds and certificates: the only crate of the pure half that imports cryptography.
//!
//! Refuses to read a clock (time is an argument), to do I/O, and to accept SHA-1, short RSA keys or unknown curves in a
//! signature. The one invariant: a `Result::Ok` of a `verify` function here means that the library checked the bytes.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod certificate;
pub mod cipher;
pub mod digest;
pub mod dsse;
pub mod hpke;
pub mod kdf;
pub mod key;
pub mod merkle;
pub mod signing;

pub use digest::{HashAlgorithm, Sha256Digest, Sha256Hasher, sha256};
pub use key::{KeyKind, PublicKey, Scheme};
pub use signing::SigningKey;

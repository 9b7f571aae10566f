//! What the TPM states under its attestation key: quotes and certifications.
//!
//! Refuses to read them: they are bytes for a verifier. Invariant: the statement's bytes are those that were signed.

use tss_esapi::structures::{Attest, Signature};
use tss_esapi::traits::Marshall;

/// A statement of the TPM and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The clock in the statement.
    pub clock: Clock,
}

/// An ECDSA signature as a TPM gives it: two big-endian numbers, leading zeros left out or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcdsaNumbers {
    /// r.
    pub r: Vec<u8>,
    /// s.
    pub s: Vec<u8>,
}

/// The TPM's own sense of time (TPMS_CLOCK_INFO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds that the TPM has been powered, over its whole life.
    pub clock: u64,
    /// Power cycles.
    pub reset_count: u32,
    /// Resumptions since the last power cycle.
    pub restart_count: u32,
    /// False when `clock` may have been higher before.
    pub safe: bool,
}

impl Attested {
    pub(crate) fn new(attest: &Attest, signature: &Signature) -> tss_esapi::Result<Self> {
        let info = attest.clock_info();
        Ok(Self {
            attest: attest.marshall()?,
            signature: signature.marshall()?,
            clock: Clock {
                clock: info.clock(),
                reset_count: info.reset_count(),
                restart_count: info.restart_count(),
                safe: info.safe(),
            },
        })
    }
}

//! Who a box is: its TPM and its keys, with a way to compare them by eye.
//!
//! Refuses to call a TPM hardware because somebody says so: it is derived from the EK's root. Invariant: "simulated" is
//! said wherever a software TPM is shown.

use serde::{Deserialize, Serialize};

use crate::shell::Fingerprint;

/// The identity of one box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// What kind of TPM, derived from the root of the EK certificate.
    pub tpm: Tpm,
    /// Vendor and firmware version as the TPM says, for example `IBM SW 8217.4131`; from outside.
    pub tpm_says: String,
    /// The root that the EK certificate leads to, or how the EK was trusted instead, for example `approved hash`.
    pub ek_root: String,
    /// Fingerprints of EK, AK and TLS key, and the one of all three that is compared on both screens first.
    pub fingerprints: Vec<Fingerprint>,
    /// When it enrolled, unix seconds.
    pub enrolled: Option<i64>,
    /// Who approved it; empty when nobody has.
    pub approved_by: String,
    /// When it was approved, unix seconds.
    pub approved: Option<i64>,
    /// When its certificate of the fleet CA ends, unix seconds.
    pub certificate_until: Option<i64>,
}

/// What kind of TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tpm {
    /// Its EK led to no root that the console knows.
    #[default]
    Unknown,
    /// A vendor's root.
    Hardware,
    /// A named software root: simulated.
    Software,
}

impl Tpm {
    /// The words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "could not tell",
            Self::Hardware => "hardware TPM",
            Self::Software => "software TPM (simulated)",
        }
    }

    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Hardware => "",
            Self::Software => "simulated",
        }
    }
}

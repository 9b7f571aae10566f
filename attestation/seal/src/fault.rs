//! What goes wrong between this program and the TPM, and what a TPM's "no" means.
//!
//! Refuses to call a TPM that says no broken, or one that talks nonsense a refusal. Invariant: a response code of the TPM
//! is kept as it came.

use freehold_verify::Refusal;

/// A TPM command that did not give what it should. All of these are "could not tell".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TpmFault {
    /// Nothing answers.
    #[error("no TPM answers at `{address}` ({detail})")]
    Unavailable {
        /// Where it should be.
        address: String,
        /// What the system said.
        detail: String,
    },
    /// An answer that is none, or that somebody on the bus changed.
    #[error("the TPM's answer to `{command}` makes no sense ({detail})")]
    Garbage {
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The TPM said no.
    #[error("the TPM refused `{command}` ({code:#06x}, {})", .reason.word())]
    Refused {
        /// The command.
        command: &'static str,
        /// TPM_RC.
        code: u32,
        /// What it means here.
        reason: Reason,
    },
}

/// What a response code means, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A wrong authorisation that was counted.
    AuthCounted,
    /// A wrong authorisation.
    Auth,
    /// No authorisation is taken for a while.
    Lockout,
    /// A policy that does not hold.
    Policy,
    /// A structure that this TPM did not make, or not since it was cleared.
    Integrity,
    /// A handle or index that does not exist.
    Missing,
    /// An index that was never written.
    Unwritten,
    /// PCRs changed in between.
    PcrChanged,
    /// Anything else.
    Other,
}

impl Reason {
    const fn word(self) -> &'static str {
        match self {
            Self::AuthCounted | Self::Auth => "wrong authorisation",
            Self::Lockout => "locked",
            Self::Policy => "the policy does not hold",
            Self::Integrity => "not made by this TPM",
            Self::Missing => "there is none",
            Self::Unwritten => "never written",
            Self::PcrChanged => "a PCR changed meanwhile",
            Self::Other => "see the TPM library's part 2",
        }
    }

    /// Sorts a TPM_RC (TPM 2.0 Library, Part 2, section 6.6.3).
    pub(crate) const fn of(code: u32) -> Self {
        // Format one (bit 7): the low six bits are the error, the rest says which handle, session or parameter.
        if code & 0x80 != 0 {
            return match code & 0x3f {
                0x0e => Self::AuthCounted,
                0x22 => Self::Auth,
                0x1d => Self::Policy,
                0x1f => Self::Integrity,
                0x0b => Self::Missing,
                _ => Self::Other,
            };
        }
        match code {
            0x921 => Self::Lockout,
            0x126 => Self::Policy,
            0x128 => Self::PcrChanged,
            0x14a => Self::Unwritten,
            0x910..=0x916 => Self::Missing,
            _ => Self::Other,
        }
    }
}

impl TpmFault {
    /// Every code of this crate.
    pub const CODES: &'static [&'static str] = &["seal.tpm_unavailable", "seal.tpm_garbage", "seal.tpm_command"];

    /// Why the TPM said no; `None` when it did not.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            Self::Unavailable { .. } | Self::Garbage { .. } => None,
        }
    }
}

impl Refusal for TpmFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "seal.tpm_unavailable",
            Self::Garbage { .. } => "seal.tpm_garbage",
            Self::Refused { .. } => "seal.tpm_command",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_are_sorted() {
        for (code, reason) in [
            (0x98e, Reason::AuthCounted),
            (0x9a2, Reason::Auth),
            (0x921, Reason::Lockout),
            (0x99d, Reason::Policy),
            (0x126, Reason::Policy),
            (0x1df, Reason::Integrity),
            (0x18b, Reason::Missing),
            (0x14a, Reason::Unwritten),
            (0x128, Reason::PcrChanged),
            (0x101, Reason::Other),
        ] {
            assert_eq!(Reason::of(code), reason, "{code:#x}");
        }
        let refused = TpmFault::Refused {
            command: "unseal",
            code: 0x99d,
            reason: Reason::Policy,
        };
        assert_eq!(refused.code(), "seal.tpm_command");
        let garbage = TpmFault::Garbage {
            command: "unseal",
            detail: String::new(),
        };
        assert_eq!(garbage.code(), "seal.tpm_garbage");
    }
}

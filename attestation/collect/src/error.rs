//! What goes wrong with a TPM, sorted by what a person can do about it.
//!
//! Refuses to pass the library's number on as the only word. Invariant: one variant, one code, one next step.

use freehold_verify::Refusal;
use tss_esapi::constants::response_code::{Tss2ResponseCode, Tss2ResponseCodeKind};

/// A TPM command that did not give what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TpmError {
    /// Nothing answers at the address.
    #[error("no TPM answers at `{address}` ({detail})")]
    Unavailable {
        /// The TCTI string.
        address: String,
        /// What the connection said.
        detail: String,
    },
    /// A command took longer than the limit; the TPM may still be busy with it.
    #[error("the TPM did not answer `{command}` within {limit_s} s")]
    Slow {
        /// The command.
        command: &'static str,
        /// The limit in seconds.
        limit_s: u64,
    },
    /// An answer that is no answer of a TPM, or a TPM in failure mode.
    #[error("the TPM's answer to `{command}` makes no sense ({detail})")]
    Garbage {
        /// The command.
        command: &'static str,
        /// What was wrong with it.
        detail: String,
    },
    /// The stored keys belong to another TPM, or this one was cleared.
    #[error("the stored keys do not belong to this TPM ({detail})")]
    OtherChip {
        /// What the TPM said.
        detail: String,
    },
    /// The TPM refuses authorisations for a while after too many wrong ones.
    #[error("the TPM is locked after too many wrong authorisations")]
    Lockout,
    /// The TPM said no to a command.
    #[error("the TPM refused `{command}` ({detail})")]
    Command {
        /// The command.
        command: &'static str,
        /// What the TPM said.
        detail: String,
    },
    /// An argument that no TPM would take.
    #[error("`{name}` cannot be given to a TPM ({detail})")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Why.
        detail: String,
    },
}

impl TpmError {
    /// Every code of this crate.
    pub const CODES: &'static [&'static str] = &[
        "tpm.unavailable",
        "tpm.slow",
        "tpm.garbage",
        "tpm.other_chip",
        "tpm.lockout",
        "tpm.command",
        "tpm.argument",
    ];

    /// Sorts an error of the library by the layer it comes from: the connection, the library's reading of an answer, or
    /// the TPM itself.
    pub(crate) fn from_library(command: &'static str, address: &str, error: tss_esapi::Error) -> Self {
        let detail = error.to_string();
        let code = match error {
            tss_esapi::Error::WrapperError(_) => return Self::Garbage { command, detail },
            tss_esapi::Error::Tss2Error(code) => code,
        };
        match layer(code) {
            Layer::Connection => Self::Unavailable {
                address: address.to_owned(),
                detail: raw(code),
            },
            Layer::Library => Self::Garbage {
                command,
                detail: raw(code),
            },
            Layer::Tpm => match code.kind() {
                Some(Tss2ResponseCodeKind::Lockout) => Self::Lockout,
                Some(Tss2ResponseCodeKind::Failure | Tss2ResponseCodeKind::Initialize) | None => {
                    Self::Garbage { command, detail }
                }
                Some(_) => Self::Command { command, detail },
            },
        }
    }

    /// Whether the connection should be made anew before the next command.
    pub(crate) fn breaks_connection(&self) -> bool {
        !matches!(self, Self::Argument { .. } | Self::Lockout)
    }
}

impl Refusal for TpmError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "tpm.unavailable",
            Self::Slow { .. } => "tpm.slow",
            Self::Garbage { .. } => "tpm.garbage",
            Self::OtherChip { .. } => "tpm.other_chip",
            Self::Lockout => "tpm.lockout",
            Self::Command { .. } => "tpm.command",
            Self::Argument { .. } => "tpm.argument",
        }
    }
}

enum Layer {
    Tpm,
    Connection,
    Library,
}

/// The number of a response code. The library keeps it private, but its parts print it.
fn raw(code: Tss2ResponseCode) -> String {
    match code {
        Tss2ResponseCode::Success => "success".to_owned(),
        Tss2ResponseCode::FormatZero(part) => part.to_string(),
        Tss2ResponseCode::FormatOne(part) => part.to_string(),
    }
}

/// Bits 16 to 23 of a response code name the layer (TCG TSS 2.0 Overview, section 3.3): 0 the TPM, 10 the connection (TCTI),
/// everything else the library.
fn layer(code: Tss2ResponseCode) -> Layer {
    let text = raw(code);
    let number = text
        .rsplit("0x")
        .next()
        .and_then(|hex| u32::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    match (number >> 16) & 0xff {
        0 => Layer::Tpm,
        10 => Layer::Connection,
        _ => Layer::Library,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tss_esapi::{Error, WrapperErrorKind};

    #[test]
    fn response_codes_are_sorted_by_what_a_person_can_do() {
        let cases: [(Error, &str); 7] = [
            (Error::Tss2Error(Tss2ResponseCode::from(0x000a_000a)), "tpm.unavailable"), // TCTI, I/O error
            (Error::Tss2Error(Tss2ResponseCode::from(0x0007_000b)), "tpm.garbage"),     // ESAPI, bad value
            (Error::Tss2Error(Tss2ResponseCode::from(0x0101)), "tpm.garbage"),          // TPM_RC_FAILURE
            (Error::Tss2Error(Tss2ResponseCode::from(0x0921)), "tpm.lockout"),          // TPM_RC_LOCKOUT
            (Error::Tss2Error(Tss2ResponseCode::from(0x098e)), "tpm.command"),          // TPM_RC_AUTH_FAIL, session 1
            (Error::Tss2Error(Tss2ResponseCode::from(0x01df)), "tpm.command"),          // TPM_RC_INTEGRITY, parameter 1
            (Error::WrapperError(WrapperErrorKind::WrongValueFromTpm), "tpm.garbage"),
        ];
        for (error, code) in cases {
            assert_eq!(TpmError::from_library("sign", "swtpm", error).code(), code, "{error:?}");
        }
    }
}

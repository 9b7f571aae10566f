//! TPMS_ATTEST: what a TPM signs about itself.
//!
//! Refuses to judge: magic and type are reported, the one who verifies refuses them. Invariant: [`Attest::parse`] succeeds
//! only when every byte belongs to the structure (bodies other than quote and certify are kept as bytes).

use serde::{Deserialize, Serialize};

use super::reader::{Reader, TpmParseError};
use super::selection::{PcrSelection, parse_selections};

/// TPM_GENERATED_VALUE, `\xffTCG`: only a TPM puts it in front of what a restricted key signs.
pub const MAGIC: u32 = 0xff54_4347;
/// Longest name, digest or nonce in an attestation: SHA-512 with its algorithm is 66 bytes; bounds hostile lengths.
const MAX_FIELD: usize = 128;

/// What kind of attestation it is (TPM_ST_ATTEST_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttestKind {
    /// TPM2_NV_Certify.
    Nv,
    /// TPM2_GetCommandAuditDigest.
    CommandAudit,
    /// TPM2_GetSessionAuditDigest.
    SessionAudit,
    /// TPM2_Certify.
    Certify,
    /// TPM2_Quote.
    Quote,
    /// TPM2_GetTime.
    Time,
    /// TPM2_CertifyCreation.
    Creation,
    /// TPM2_NV_Certify of a digest.
    NvDigest,
    /// A number without a name.
    Other(u16),
}

impl AttestKind {
    fn of(tag: u16) -> Self {
        match tag {
            0x8014 => Self::Nv,
            0x8015 => Self::CommandAudit,
            0x8016 => Self::SessionAudit,
            0x8017 => Self::Certify,
            0x8018 => Self::Quote,
            0x8019 => Self::Time,
            0x801a => Self::Creation,
            0x801c => Self::NvDigest,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for AttestKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nv => f.write_str("nv"),
            Self::CommandAudit => f.write_str("command audit"),
            Self::SessionAudit => f.write_str("session audit"),
            Self::Certify => f.write_str("certify"),
            Self::Quote => f.write_str("quote"),
            Self::Time => f.write_str("time"),
            Self::Creation => f.write_str("creation"),
            Self::NvDigest => f.write_str("nv digest"),
            Self::Other(tag) => write!(f, "{tag:#06x}"),
        }
    }
}

/// TPMS_CLOCK_INFO with the firmware version beside it: what a verifier remembers between two quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockInfo {
    /// Milliseconds that the TPM has been powered, over its life.
    pub clock: u64,
    /// Resets of the TPM (boots) since it was last cleared.
    pub reset_count: u32,
    /// Restarts and resumes since the last reset.
    pub restart_count: u32,
    /// Whether `clock` is sure not to have been reported higher before.
    pub safe: bool,
    /// The TPM's firmware version.
    pub firmware_version: u64,
}

/// A parsed TPMS_ATTEST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest<'a> {
    /// Must be [`MAGIC`].
    pub magic: u32,
    /// The kind.
    pub kind: AttestKind,
    /// Qualified name of the signing key.
    pub qualified_signer: &'a [u8],
    /// The caller's qualifying data.
    pub extra_data: &'a [u8],
    /// Clock and firmware.
    pub clock: ClockInfo,
    /// What is attested.
    pub body: AttestBody<'a>,
}

/// The part of a TPMS_ATTEST that depends on its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttestBody<'a> {
    /// TPMS_QUOTE_INFO.
    Quote {
        /// Banks and PCRs that were quoted.
        selections: Vec<PcrSelection>,
        /// Digest over the values, by the signing scheme's hash.
        pcr_digest: &'a [u8],
    },
    /// TPMS_CERTIFY_INFO.
    Certify {
        /// Name of the certified object.
        name: &'a [u8],
        /// Its qualified name.
        qualified_name: &'a [u8],
    },
    /// Another kind, not read further.
    Other(&'a [u8]),
}

impl<'a> Attest<'a> {
    /// Reads a TPMS_ATTEST that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TpmParseError> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32("magic")?;
        let kind = AttestKind::of(reader.u16("type")?);
        let qualified_signer = reader.sized(MAX_FIELD, "qualifiedSigner")?;
        let extra_data = reader.sized(MAX_FIELD, "extraData")?;
        let clock = reader.u64("clock")?;
        let reset_count = reader.u32("resetCount")?;
        let restart_count = reader.u32("restartCount")?;
        let safe = match reader.u8("safe")? {
            0 => false,
            1 => true,
            other => {
                return Err(TpmParseError::Unknown {
                    what: "safe",
                    found: other.into(),
                });
            }
        };
        let firmware_version = reader.u64("firmwareVersion")?;
        let clock = ClockInfo {
            clock,
            reset_count,
            restart_count,
            safe,
            firmware_version,
        };
        let body = match kind {
            AttestKind::Quote => {
                let selections = parse_selections(&mut reader)?;
                AttestBody::Quote {
                    selections,
                    pcr_digest: reader.sized(MAX_FIELD, "pcrDigest")?,
                }
            }
            AttestKind::Certify => AttestBody::Certify {
                name: reader.sized(MAX_FIELD, "certify.name")?,
                qualified_name: reader.sized(MAX_FIELD, "certify.qualifiedName")?,
            },
            _ => AttestBody::Other(reader.take(reader.rest().len(), "attested")?),
        };
        reader.end("TPMS_ATTEST")?;
        Ok(Self {
            magic,
            kind,
            qualified_signer,
            extra_data,
            clock,
            body,
        })
    }
}

//! Why evidence is refused as a whole.
//!
//! Refuses to contain what a boot log shows: that is a claim with a reason. Invariant: one code per fault.

use freehold_trust::Sha256Digest;
use thiserror::Error;

use crate::cbor::CborFault;
use crate::quote::QuoteRejection;
use crate::rejection::Refusal;

/// One fault of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvidenceRejection {
    /// More bytes than evidence can have.
    #[error("the evidence has {found} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
        /// Bytes given.
        found: usize,
    },
    /// Not evidence.
    #[error("the evidence is malformed at `{0}`")]
    Malformed(&'static str),
    /// Evidence in another than its one form.
    #[error("the evidence is not in its one canonical form at `{0}`")]
    NotCanonical(&'static str),
    /// A version that is not known.
    #[error("the evidence has version {found}, known is 1")]
    Version {
        /// The version.
        found: u64,
    },
    /// Evidence of another box.
    #[error("the evidence is of box `{found}`, expected `{expected}`")]
    OtherBox {
        /// The box that was asked.
        expected: String,
        /// The box in the evidence.
        found: String,
    },
    /// It answers no outstanding challenge: replayed, another box's, or made up.
    #[error("the evidence answers challenge `{found}`, which is not the outstanding one")]
    Nonce {
        /// The nonce that came, hexadecimal.
        found: String,
    },
    /// It answers too late, or the clock jumped.
    #[error("the challenge was good from {issued} to {expires} (unix seconds), now is {now}")]
    NonceExpired {
        /// When it was issued.
        issued: i64,
        /// Until when it was good.
        expires: i64,
        /// Now.
        now: i64,
    },
    /// It names another TLS key than the session's.
    #[error("the evidence names TLS key `{found}`, the session uses `{expected}`")]
    Tls {
        /// Fingerprint of the session's key.
        expected: Sha256Digest,
        /// Fingerprint in the evidence.
        found: Sha256Digest,
    },
    /// The boot log is not the one that the boot claim names.
    #[error("the boot log has digest `{found}`, the quote is bound to `{expected}`")]
    LogDigest {
        /// The digest in the boot claim.
        expected: Sha256Digest,
        /// The digest of the log that came.
        found: Sha256Digest,
    },
    /// The quote is not accepted.
    #[error(transparent)]
    Quote(#[from] QuoteRejection),
}

impl EvidenceRejection {
    /// Every code of this rejection beside those of [`QuoteRejection::CODES`].
    pub const CODES: &[&str] = &[
        "evidence.too_large",
        "evidence.malformed",
        "evidence.not_canonical",
        "evidence.version",
        "evidence.other_box",
        "quote.nonce",
        "quote.nonce_expired",
        "evidence.tls",
        "evidence.log_digest",
    ];
}

impl From<CborFault> for EvidenceRejection {
    fn from(fault: CborFault) -> Self {
        match fault {
            CborFault::Malformed(what) => Self::Malformed(what),
            CborFault::NotCanonical(what) => Self::NotCanonical(what),
        }
    }
}

impl Refusal for EvidenceRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "evidence.too_large",
            Self::Malformed(_) => "evidence.malformed",
            Self::NotCanonical(_) => "evidence.not_canonical",
            Self::Version { .. } => "evidence.version",
            Self::OtherBox { .. } => "evidence.other_box",
            Self::Nonce { .. } => "quote.nonce",
            Self::NonceExpired { .. } => "quote.nonce_expired",
            Self::Tls { .. } => "evidence.tls",
            Self::LogDigest { .. } => "evidence.log_digest",
            Self::Quote(quote) => quote.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { limit, .. } => Some(format!("at most {limit} bytes")),
            Self::Version { .. } => Some("1".to_owned()),
            Self::OtherBox { expected, .. } => Some(expected.clone()),
            Self::NonceExpired { issued, expires, .. } => Some(format!("{issued} to {expires}")),
            Self::Tls { expected, .. } | Self::LogDigest { expected, .. } => Some(expected.to_hex()),
            Self::Quote(quote) => quote.expected(),
            Self::Malformed(_) | Self::NotCanonical(_) | Self::Nonce { .. } => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::TooLarge { found, .. } => Some(format!("{found} bytes")),
            Self::Version { found } => Some(found.to_string()),
            Self::OtherBox { found, .. } | Self::Nonce { found } => Some(found.clone()),
            Self::NonceExpired { now, .. } => Some(now.to_string()),
            Self::Tls { found, .. } | Self::LogDigest { found, .. } => Some(found.to_hex()),
            Self::Quote(quote) => quote.found(),
            Self::Malformed(_) | Self::NotCanonical(_) => None,
        }
    }
}

//! Why a passkey's answer is refused.
//!
//! Refuses nothing itself. Invariant: [`PasskeyRejection::CODES`] lists every code that can be answered.

use crate::rejection::Refusal;

/// Why a passkey's answer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasskeyRejection {
    /// Not the form that the standard gives it.
    #[error("the passkey's answer is malformed: {0}")]
    Malformed(&'static str),
    /// Made for another ceremony: a registration where an assertion is wanted, or the reverse.
    #[error("the passkey's answer is of type `{found}`")]
    Type {
        /// What was wanted.
        expected: &'static str,
        /// What stood there.
        found: String,
    },
    /// The answer to another challenge.
    #[error("the passkey answered another challenge")]
    Challenge {
        /// The challenge that was given, base64url.
        expected: String,
        /// The one that was answered.
        found: String,
    },
    /// Asked by another page.
    #[error("the passkey was asked by the page `{found}`")]
    Origin {
        /// The origins that count.
        expected: String,
        /// The origin that stood there.
        found: String,
    },
    /// Made for another relying party.
    #[error("the passkey answered for another relying party")]
    RelyingParty {
        /// The relying party's id.
        expected: String,
    },
    /// Nobody touched the authenticator.
    #[error("nobody was present at the authenticator")]
    UserAbsent,
    /// The authenticator did not verify who was there.
    #[error("the authenticator did not verify the person")]
    UserUnverified,
    /// A key of a kind that is not read.
    #[error("a passkey of this kind is not accepted: {0}")]
    Algorithm(&'static str),
    /// Signed by another key.
    #[error("the passkey's signature does not match")]
    Signature,
}

impl PasskeyRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "passkey.malformed",
        "passkey.type",
        "passkey.challenge",
        "passkey.origin",
        "passkey.relying_party",
        "passkey.user_absent",
        "passkey.user_unverified",
        "passkey.algorithm",
        "passkey.signature",
    ];
}

impl Refusal for PasskeyRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "passkey.malformed",
            Self::Type { .. } => "passkey.type",
            Self::Challenge { .. } => "passkey.challenge",
            Self::Origin { .. } => "passkey.origin",
            Self::RelyingParty { .. } => "passkey.relying_party",
            Self::UserAbsent => "passkey.user_absent",
            Self::UserUnverified => "passkey.user_unverified",
            Self::Algorithm(_) => "passkey.algorithm",
            Self::Signature => "passkey.signature",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Type { expected, .. } => Some((*expected).to_owned()),
            Self::Challenge { expected, .. } | Self::Origin { expected, .. } | Self::RelyingParty { expected } => {
                Some(expected.clone())
            }
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Type { found, .. } | Self::Challenge { found, .. } | Self::Origin { found, .. } => {
                Some(found.clone())
            }
            _ => None,
        }
    }
}

//! Why a stick is refused.
//!
//! Refuses nothing itself. Invariant: [`StickRejection::CODES`] lists every code that can be answered.

use crate::rejection::Refusal;

/// Why a bundle or a return is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StickRejection {
    /// Not an envelope, or not the document's shape.
    #[error("the {what} is malformed: {detail}")]
    Malformed {
        /// Bundle or return.
        what: &'static str,
        /// How.
        detail: String,
    },
    /// Another version.
    #[error("the {what} has version {found}")]
    Version {
        /// Bundle or return.
        what: &'static str,
        /// The version that stood there.
        found: String,
    },
    /// The key on the stick is not our director's.
    #[error("the stick was made by another console")]
    OtherDirector {
        /// SHA-256 of our director's key.
        expected: String,
        /// SHA-256 of the key on the stick.
        found: String,
    },
    /// Not signed by the key that it must be signed by.
    #[error("the {what} is not signed by the expected key")]
    Signature {
        /// Bundle or return.
        what: &'static str,
    },
    /// For another fleet.
    #[error("the {what} is for the fleet `{found}`")]
    OtherFleet {
        /// Bundle or return.
        what: &'static str,
        /// Ours.
        expected: String,
        /// The one that stood there.
        found: String,
    },
    /// Older than the last one, or another one of the same number.
    #[error("the bundle has number {found}, and {last} was taken already")]
    Replayed {
        /// The last one taken.
        last: u64,
        /// The number that stood there.
        found: u64,
    },
    /// Its time is over.
    #[error("the bundle was valid until {not_after} (unix seconds)")]
    Expired {
        /// Unix seconds.
        not_after: i64,
        /// Now, unix seconds.
        now: i64,
    },
    /// Something is there that the signed list does not name, or another content than it names.
    #[error("`{name}` is not what the signed list names")]
    Unlisted {
        /// The name, harmless.
        name: String,
    },
    /// The part belongs to another bundle than the list inside it.
    #[error("a part carries the list of another bundle")]
    OtherSet,
    /// A return answers a bundle that this console did not make.
    #[error("the return answers bundle {found}, which this console did not make")]
    UnknownBundle {
        /// The number that stood there.
        found: u64,
    },
    /// The return was taken already, or a later one of this box was.
    #[error("the return has number {found}, and {last} of this box was taken already")]
    ReturnReplayed {
        /// The last one taken.
        last: u64,
        /// The number that stood there.
        found: u64,
    },
    /// The return is sealed to another console's key, or was changed.
    #[error("the return does not open with this console's key")]
    Sealed,
}

impl StickRejection {
    /// Every code of this enum.
    pub const CODES: &'static [&'static str] = &[
        "stick.malformed",
        "stick.version",
        "stick.other_director",
        "stick.signature",
        "stick.other_fleet",
        "stick.replayed",
        "stick.expired",
        "stick.unlisted",
        "stick.other_set",
        "stick.unknown_bundle",
        "stick.return_replayed",
        "stick.sealed",
    ];
}

impl Refusal for StickRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "stick.malformed",
            Self::Version { .. } => "stick.version",
            Self::OtherDirector { .. } => "stick.other_director",
            Self::Signature { .. } => "stick.signature",
            Self::OtherFleet { .. } => "stick.other_fleet",
            Self::Replayed { .. } => "stick.replayed",
            Self::Expired { .. } => "stick.expired",
            Self::Unlisted { .. } => "stick.unlisted",
            Self::OtherSet => "stick.other_set",
            Self::UnknownBundle { .. } => "stick.unknown_bundle",
            Self::ReturnReplayed { .. } => "stick.return_replayed",
            Self::Sealed => "stick.sealed",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Version { .. } => Some("1".to_owned()),
            Self::OtherDirector { expected, .. } | Self::OtherFleet { expected, .. } => Some(expected.clone()),
            Self::Replayed { last, .. } | Self::ReturnReplayed { last, .. } => Some(format!("more than {last}")),
            Self::Expired { now, .. } => Some(format!("at least {now}")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Version { found, .. } | Self::OtherDirector { found, .. } | Self::OtherFleet { found, .. } => {
                Some(found.clone())
            }
            Self::Replayed { found, .. } | Self::UnknownBundle { found } | Self::ReturnReplayed { found, .. } => {
                Some(found.to_string())
            }
            Self::Expired { not_after, .. } => Some(not_after.to_string()),
            _ => None,
        }
    }
}

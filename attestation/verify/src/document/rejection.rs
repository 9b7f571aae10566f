//! Why a signed document is refused.
//!
//! Refuses nothing itself. Invariant: [`AssignmentRejection::CODES`] lists every code that can be answered.

use crate::rejection::Refusal;

/// Why an assignment, or settings document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssignmentRejection {
    /// Not an envelope, not the expected payload type, or not the document's shape.
    #[error("the signed document is malformed: {detail}")]
    Malformed {
        /// Which part, and how.
        detail: String,
    },
    /// The signature is not by the expected key.
    #[error("the document is not signed by the expected key")]
    Signature,
    /// Another major version.
    #[error("the document has version `{found}`")]
    Version {
        /// The version that stood there.
        found: String,
    },
    /// For another fleet.
    #[error("the document is for the fleet `{found}`")]
    OtherFleet {
        /// This box's fleet.
        expected: String,
        /// The fleet that stood there.
        found: String,
    },
    /// For another box.
    #[error("the assignment is for the box `{found}`")]
    OtherBox {
        /// This box.
        expected: String,
        /// The box that stood there.
        found: String,
    },
    /// Not newer than the last one.
    #[error("the counter {found} is not newer than {last}")]
    Rollback {
        /// The last accepted counter.
        last: u64,
        /// The counter that stood there.
        found: u64,
    },
    /// Its time is over.
    #[error("the document was valid until {not_after} (unix seconds)")]
    Expired {
        /// Unix seconds.
        not_after: i64,
        /// Now, unix seconds.
        now: i64,
    },
    /// The settings are not the ones that the assignment names.
    #[error("the settings do not have the digest that the assignment names")]
    Settings {
        /// The assignment's digest.
        expected: String,
        /// The digest of the settings at hand.
        found: String,
    },
}

impl AssignmentRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "assignment.malformed",
        "assignment.signature",
        "assignment.version",
        "assignment.other_fleet",
        "assignment.other_box",
        "assignment.rollback",
        "assignment.expired",
        "assignment.settings",
    ];
}

impl Refusal for AssignmentRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "assignment.malformed",
            Self::Signature => "assignment.signature",
            Self::Version { .. } => "assignment.version",
            Self::OtherFleet { .. } => "assignment.other_fleet",
            Self::OtherBox { .. } => "assignment.other_box",
            Self::Rollback { .. } => "assignment.rollback",
            Self::Expired { .. } => "assignment.expired",
            Self::Settings { .. } => "assignment.settings",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Version { .. } => Some(super::DOCUMENT_VERSION.to_string()),
            Self::OtherFleet { expected, .. } | Self::OtherBox { expected, .. } | Self::Settings { expected, .. } => {
                Some(expected.clone())
            }
            Self::Rollback { last, .. } => Some(format!("more than {last}")),
            Self::Expired { now, .. } => Some(format!("at least {now}")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Version { found }
            | Self::OtherFleet { found, .. }
            | Self::OtherBox { found, .. }
            | Self::Settings { found, .. } => Some(found.clone()),
            Self::Rollback { found, .. } => Some(found.to_string()),
            Self::Expired { not_after, .. } => Some(not_after.to_string()),
            _ => None,
        }
    }
}

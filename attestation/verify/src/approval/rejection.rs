//! Why an approval is refused.
//!
//! Refuses nothing itself. Invariant: [`ApprovalRejection::CODES`] lists every code that can be answered; what the passkey
//! itself did wrong keeps the passkey's own code.

use crate::rejection::Refusal;
use crate::webauthn::PasskeyRejection;

/// Why an approval is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalRejection {
    /// Not the form of a package, statement or line.
    #[error("the approval is malformed: {detail}")]
    Malformed {
        /// Which part, and how.
        detail: String,
    },
    /// Another major version.
    #[error("the approval has version `{found}`")]
    Version {
        /// The version that stood there.
        found: String,
    },
    /// For another fleet.
    #[error("the approval is for the fleet `{found}`")]
    OtherFleet {
        /// This box's fleet.
        expected: String,
        /// The fleet that stood there.
        found: String,
    },
    /// The box is not in the approved plan.
    #[error("this box is not in the approved plan")]
    NotInPlan {
        /// This box.
        expected: String,
        /// The box that the line is about.
        found: String,
    },
    /// The plan has this box at another site.
    #[error("the approved plan has this box at the site `{found}`")]
    OtherSite {
        /// The assignment's site.
        expected: String,
        /// The line's.
        found: String,
    },
    /// Too few people.
    #[error("`{release}` needs {needed} approvals and has {found}")]
    Missing {
        /// Which release.
        release: String,
        /// How many it needs.
        needed: u32,
        /// How many there are.
        found: usize,
    },
    /// People approved, but not this release.
    #[error("`{found}` is not in the approved plan")]
    OtherRelease {
        /// The release that the assignment names.
        found: String,
    },
    /// The passkey signed another plan.
    #[error("the approval is for another plan")]
    OtherPlan {
        /// Digest of the plan at hand, base64url.
        expected: String,
        /// What was signed.
        found: String,
    },
    /// The signature is not by the approver's passkey.
    #[error("the signature is not by the passkey of `{approver}`")]
    Signature {
        /// Whose it should be.
        approver: String,
    },
    /// Anything else about the passkey's answer.
    #[error("the passkey of `{approver}`")]
    Passkey {
        /// Whose.
        approver: String,
        /// What.
        #[source]
        fault: PasskeyRejection,
    },
    /// The proposer's own.
    #[error("`{found}` proposed the plan and cannot approve it")]
    Oneself {
        /// Who.
        found: String,
    },
    /// A passkey that the policy does not name.
    #[error("the policy names no approver with the passkey `{found}`")]
    UnknownApprover {
        /// Its credential id.
        found: String,
    },
    /// One person, twice.
    #[error("`{found}` approved twice")]
    Twice {
        /// Who.
        found: String,
    },
    /// An approver of other sites.
    #[error("`{approver}` does not approve for the site `{found}`")]
    Site {
        /// Who.
        approver: String,
        /// The box's site.
        found: String,
    },
    /// Its time is over.
    #[error("the approval was valid until {not_after} (unix seconds)")]
    Expired {
        /// Unix seconds.
        not_after: i64,
        /// Now, unix seconds.
        now: i64,
    },
}

impl ApprovalRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "approval.malformed",
        "approval.version",
        "approval.other_fleet",
        "approval.not_in_plan",
        "approval.other_site",
        "approval.missing",
        "approval.other_release",
        "approval.other_plan",
        "approval.signature",
        "approval.self",
        "approval.unknown_approver",
        "approval.twice",
        "approval.site",
        "approval.expired",
    ];
}

impl Refusal for ApprovalRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "approval.malformed",
            Self::Version { .. } => "approval.version",
            Self::OtherFleet { .. } => "approval.other_fleet",
            Self::NotInPlan { .. } => "approval.not_in_plan",
            Self::OtherSite { .. } => "approval.other_site",
            Self::Missing { .. } => "approval.missing",
            Self::OtherRelease { .. } => "approval.other_release",
            Self::OtherPlan { .. } => "approval.other_plan",
            Self::Signature { .. } => "approval.signature",
            Self::Passkey { fault, .. } => fault.code(),
            Self::Oneself { .. } => "approval.self",
            Self::UnknownApprover { .. } => "approval.unknown_approver",
            Self::Twice { .. } => "approval.twice",
            Self::Site { .. } => "approval.site",
            Self::Expired { .. } => "approval.expired",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Version { .. } => Some("1".to_owned()),
            Self::OtherFleet { expected, .. }
            | Self::NotInPlan { expected, .. }
            | Self::OtherSite { expected, .. }
            | Self::OtherPlan { expected, .. } => Some(expected.clone()),
            Self::Missing { needed, .. } => Some(format!("{needed} people")),
            Self::Expired { now, .. } => Some(format!("at least {now}")),
            Self::Passkey { fault, .. } => fault.expected(),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Version { found }
            | Self::OtherFleet { found, .. }
            | Self::NotInPlan { found, .. }
            | Self::OtherSite { found, .. }
            | Self::OtherRelease { found }
            | Self::OtherPlan { found, .. }
            | Self::Oneself { found }
            | Self::UnknownApprover { found }
            | Self::Twice { found }
            | Self::Site { found, .. } => Some(found.clone()),
            Self::Missing { found, .. } => Some(found.to_string()),
            Self::Expired { not_after, .. } => Some(not_after.to_string()),
            Self::Passkey { fault, .. } => fault.found(),
            _ => None,
        }
    }
}

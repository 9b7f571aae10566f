//! Why metadata, a descriptor or a part of a release is refused.
//!
//! Refuses nothing itself. Invariant: [`ReleaseRejection::CODES`] lists every code that can be answered.

use freehold_trust::digest::Sha256Digest;

use crate::rejection::Refusal;
use crate::text::shown;

/// Why release metadata, or one release, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseRejection {
    /// Not the JSON that it should be.
    #[error("`{what}` is malformed: {detail}")]
    Malformed {
        /// The role or document.
        what: String,
        /// Which part, and how.
        detail: String,
    },
    /// Longer than its kind may be.
    #[error("`{what}` is longer than {limit} bytes")]
    TooLarge {
        /// The role or document.
        what: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// Stored state of another version, or foreign to the pinned root.
    #[error("the stored repository state cannot be used: {detail}")]
    State {
        /// What is wrong with it.
        detail: String,
    },
    /// No valid signature by a key of the role.
    #[error("`{role}` is not signed by a key of that role")]
    Signature {
        /// The TUF role.
        role: String,
    },
    /// Some valid signatures, but fewer than the role needs, or one key counted twice.
    #[error("`{role}` has {found} of {threshold} signatures")]
    Threshold {
        /// The TUF role.
        role: String,
        /// Signatures by distinct keys that are needed.
        threshold: usize,
        /// Distinct keys that have validly signed.
        found: usize,
    },
    /// One key under two names, with which one person could reach a threshold of two.
    #[error("the root names one key of `{role}` twice")]
    DuplicateKey {
        /// The TUF role.
        role: String,
    },
    /// A root that is not the next one.
    #[error("the root has version {found}, the trusted one {trusted}")]
    RootVersion {
        /// The trusted root's version.
        trusted: u64,
        /// The version offered.
        found: u64,
    },
    /// Older than what was seen before, than what is installed, or than the floor.
    #[error("`{what}` goes back from {last} to {found}")]
    Rollback {
        /// The role or release.
        what: String,
        /// The version or counter known before.
        last: u64,
        /// The one offered.
        found: u64,
    },
    /// Its time is over: nothing new is installed on its word.
    #[error("`{what}` expired at {expires} (unix seconds)")]
    Expired {
        /// The role.
        what: String,
        /// Unix seconds.
        expires: i64,
    },
    /// The steps came in another order than root, timestamp, snapshot, targets.
    #[error("`{missing}` has to be verified first")]
    Order {
        /// The role that is missing.
        missing: &'static str,
    },
    /// Delegated targets, which nothing here follows.
    #[error("the targets delegate to other roles")]
    Delegation,
    /// A target name that could leave its folder or be read as another.
    #[error("the target name `{name}` is not acceptable")]
    TargetName {
        /// The name, made fit to show.
        name: String,
    },
    /// Not in the signed targets.
    #[error("`{name}` is not in the signed targets")]
    UnknownTarget {
        /// The name, made fit to show.
        name: String,
    },
    /// The bytes do not have the signed digest.
    #[error("`{name}` does not have the signed digest")]
    Hash {
        /// The target, role or file.
        name: String,
        /// The signed digest, when it is a single one.
        expected: Option<Sha256Digest>,
        /// The digest of the bytes.
        found: Option<Sha256Digest>,
    },
    /// The bytes do not have the signed length.
    #[error("`{name}` does not have the signed length")]
    Length {
        /// The target, role or file.
        name: String,
        /// Signed length in bytes.
        expected: u64,
        /// Length of the bytes.
        found: u64,
    },
    /// A chunk number that the file does not have.
    #[error("`{name}` has no chunk {index}")]
    Chunk {
        /// The file.
        name: String,
        /// The chunk asked about.
        index: usize,
    },
    /// A kind that does not fit the place or the caller.
    #[error("the release is of the kind `{found}`")]
    Kind {
        /// The kind that fits.
        expected: String,
        /// The kind that stood there.
        found: String,
    },
    /// Revoked by the publisher.
    #[error("`{what}` was revoked by the publisher")]
    Revoked {
        /// Release, model digest or signer.
        what: String,
    },
}

impl ReleaseRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "release.malformed",
        "release.too_large",
        "release.state",
        "release.signature",
        "release.threshold",
        "release.duplicate_key",
        "release.root_version",
        "release.rollback",
        "release.expired",
        "release.order",
        "release.delegation",
        "release.target_name",
        "release.unknown_target",
        "release.hash",
        "release.length",
        "release.chunk",
        "release.kind",
        "release.revoked",
    ];

    pub(crate) fn malformed(what: impl Into<String>, detail: impl AsRef<str>) -> Self {
        Self::Malformed {
            what: what.into(),
            detail: shown(detail.as_ref()),
        }
    }
}

impl Refusal for ReleaseRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "release.malformed",
            Self::TooLarge { .. } => "release.too_large",
            Self::State { .. } => "release.state",
            Self::Signature { .. } => "release.signature",
            Self::Threshold { .. } => "release.threshold",
            Self::DuplicateKey { .. } => "release.duplicate_key",
            Self::RootVersion { .. } => "release.root_version",
            Self::Rollback { .. } => "release.rollback",
            Self::Expired { .. } => "release.expired",
            Self::Order { .. } => "release.order",
            Self::Delegation => "release.delegation",
            Self::TargetName { .. } => "release.target_name",
            Self::UnknownTarget { .. } => "release.unknown_target",
            Self::Hash { .. } => "release.hash",
            Self::Length { .. } => "release.length",
            Self::Chunk { .. } => "release.chunk",
            Self::Kind { .. } => "release.kind",
            Self::Revoked { .. } => "release.revoked",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Threshold { threshold, .. } => Some(threshold.to_string()),
            Self::RootVersion { trusted, .. } => Some(trusted.saturating_add(1).to_string()),
            Self::Rollback { last, .. } => Some(format!("at least {last}")),
            Self::Hash { expected, .. } => expected.map(|digest| digest.to_hex()),
            Self::Length { expected, .. } => Some(expected.to_string()),
            Self::Kind { expected, .. } => Some(expected.clone()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Threshold { found, .. } => Some(found.to_string()),
            Self::RootVersion { found, .. } | Self::Rollback { found, .. } | Self::Length { found, .. } => {
                Some(found.to_string())
            }
            Self::Expired { expires, .. } => Some(expires.to_string()),
            Self::Hash { found, .. } => found.map(|digest| digest.to_hex()),
            Self::Kind { found, .. } => Some(found.clone()),
            _ => None,
        }
    }
}

//! Why a step did not work.
//!
//! Refuses to mix the two answers: a refusal is final for that release, anything else is tried again. Invariant: each has a
//! stable code.

use std::path::{Path, PathBuf};

use freehold_trust::Sha256Digest;
use freehold_verify::{Refusal, RefusalReport};

/// A step that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepFailed {
    /// What was fetched or asked for is refused; trying again would answer the same.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(RefusalReport),
    /// Something in the way; the next plan tries again.
    #[error("{}: {}", .0.code, .0.message)]
    Away(RefusalReport),
}

impl StepFailed {
    /// The code of this crate's own fault; all others come from the judge, the host or the source.
    pub const CODES: &[&str] = &["store.order"];

    /// The refusal or the fault as data.
    #[must_use]
    pub fn report(&self) -> &RefusalReport {
        match self {
            Self::Refused(report) | Self::Away(report) => report,
        }
    }

    /// A fault that the next plan tries again.
    #[must_use]
    pub fn away(code: &str, message: impl Into<String>) -> Self {
        Self::Away(RefusalReport {
            code: code.to_owned(),
            message: message.into(),
            expected: None,
            found: None,
        })
    }
}

/// The store's folder did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("no room left for `{}`", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A stored document that cannot be read.
    #[error("`{}` is not what it should be: {detail}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// The disk cannot hold a file by fs-verity, and has to.
    #[error("`{}` cannot be held by fs-verity: kernel or file system have none", path.display())]
    NoVerity {
        /// The file.
        path: PathBuf,
    },
    /// The kernel's digest is not the release's.
    #[error("`{}` is held by fs-verity to another digest than its release names", path.display())]
    OtherVerity {
        /// The file.
        path: PathBuf,
        /// The release's.
        expected: Sha256Digest,
        /// The kernel's.
        found: Sha256Digest,
    },
}

impl StoreError {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "store.full",
        "store.io",
        "store.malformed",
        "store.no_verity",
        "store.other_verity",
    ];

    pub(crate) fn io<'a>(what: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> Self + use<'a> {
        move |source| {
            if source.kind() == std::io::ErrorKind::StorageFull {
                Self::Full { path: path.to_owned() }
            } else {
                Self::Io {
                    what,
                    path: path.to_owned(),
                    source,
                }
            }
        }
    }
}

impl Refusal for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "store.full",
            Self::Io { .. } => "store.io",
            Self::Malformed { .. } => "store.malformed",
            Self::NoVerity { .. } => "store.no_verity",
            Self::OtherVerity { .. } => "store.other_verity",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::OtherVerity { expected, .. } => Some(expected.to_hex()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::OtherVerity { found, .. } => Some(found.to_hex()),
            _ => None,
        }
    }
}

impl From<StoreError> for StepFailed {
    fn from(error: StoreError) -> Self {
        let mut report = error.report();
        if let StoreError::Io { source, .. } = &error {
            report.message = format!("{}: {source}", report.message);
        }
        // The release contradicts itself: no later try makes its two digests agree.
        if matches!(error, StoreError::OtherVerity { .. }) {
            return Self::Refused(report);
        }
        Self::Away(report)
    }
}

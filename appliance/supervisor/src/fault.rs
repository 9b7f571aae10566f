//! What goes wrong in the supervisor itself.
//!
//! Refuses free text without a code. Invariant: every fault has a code with an entry in the explanations, and a message
//! without secrets.

use std::path::PathBuf;

use freehold_verify::{Refusal, RefusalReport};

/// A fault with a stable code.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file of the state folder cannot be used.
    #[error("`{}` of the state folder cannot be used: {detail}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Something with a code and a sentence.
    #[error("{message}")]
    Coded {
        /// The stable code.
        code: String,
        /// One line.
        message: String,
        /// What would have been accepted.
        expected: Option<String>,
        /// What was there.
        found: Option<String>,
    },
    /// The record said no, so nothing happens.
    #[error("the record could not be written")]
    Record(#[from] freehold_record_files::RecordFault),
    /// The store of models.
    #[error(transparent)]
    Store(#[from] freehold_execute::StoreError),
}

impl Fault {
    /// Codes of the supervisor's own faults.
    pub const CODES: &[&str] = &[
        "box.state",
        "box.not_paired",
        "box.other_pairing",
        "box.pairing_malformed",
        "box.other_director",
        "box.other_root",
        "box.boot_log",
        "box.settings",
        "console.away",
        "console.answer",
        "store.changed",
        "record.rolled_back",
        "record.counter_lost",
        "box.root_read",
    ];

    /// A fault with a code of our own.
    #[must_use]
    pub fn of(code: &str, message: impl Into<String>) -> Self {
        Self::Coded {
            code: code.to_owned(),
            message: message.into(),
            expected: None,
            found: None,
        }
    }

    /// A refusal of a verifier.
    pub(crate) fn refusal(refusal: &dyn Refusal) -> Self {
        Self::from(refusal.report())
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::State { .. } => "box.state",
            Self::Coded { code, .. } => code,
            Self::Record(fault) => fault.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// The fault as data.
    #[must_use]
    pub fn report(&self) -> RefusalReport {
        let (expected, found) = match self {
            Self::Coded { expected, found, .. } => (expected.clone(), found.clone()),
            _ => (None, None),
        };
        RefusalReport {
            code: self.code().to_owned(),
            message: self.to_string(),
            expected,
            found,
        }
    }
}

impl From<RefusalReport> for Fault {
    fn from(report: RefusalReport) -> Self {
        Self::Coded {
            code: report.code,
            message: report.message,
            expected: report.expected,
            found: report.found,
        }
    }
}

impl From<freehold_collect::TpmError> for Fault {
    fn from(error: freehold_collect::TpmError) -> Self {
        Self::refusal(&error)
    }
}

impl From<freehold_verify::release::ReleaseRejection> for Fault {
    fn from(error: freehold_verify::release::ReleaseRejection) -> Self {
        Self::refusal(&error)
    }
}

impl From<freehold_verify::document::AssignmentRejection> for Fault {
    fn from(error: freehold_verify::document::AssignmentRejection) -> Self {
        Self::refusal(&error)
    }
}

impl From<freehold_channel::ChannelFault> for Fault {
    fn from(error: freehold_channel::ChannelFault) -> Self {
        Self::of("console.answer", error.to_string())
    }
}

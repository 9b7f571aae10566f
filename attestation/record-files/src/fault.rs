//! Why something was not recorded, or not read.
//!
//! Refuses to hide which: an entry that may not be durable is `record.not_durable`, and the action it describes has not been
//! allowed to happen. Invariant: cheap to clone, since one fault answers a whole batch.

use std::path::Path;
use std::sync::Arc;

use freehold_record::RecordRejected;

/// A fault of the record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordFault {
    /// The entry is not durable; the action that it describes must not happen.
    #[error("the record could not be made durable: {reason}")]
    NotDurable {
        /// What failed.
        reason: String,
        /// What the system said, when it was asked.
        #[source]
        source: Option<Arc<std::io::Error>>,
    },
    /// Another process writes this log.
    #[error("the record in `{folder}` is in use by another process")]
    InUse {
        /// The folder.
        folder: String,
    },
    /// What is on the disk is not what was signed, or the entry is not one.
    #[error(transparent)]
    Rejected(#[from] RecordRejected),
    /// A file could not be read or written outside of an append.
    #[error("`{file}` of the record could not be used")]
    Files {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
}

impl RecordFault {
    /// The codes that this crate adds to those of the record.
    pub const CODES: &'static [&'static str] = &["record.not_durable", "record.in_use", "record.files"];

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotDurable { .. } => "record.not_durable",
            Self::InUse { .. } => "record.in_use",
            Self::Rejected(rejected) => rejected.code(),
            Self::Files { .. } => "record.files",
        }
    }

    pub(crate) fn files(path: &Path, source: std::io::Error) -> Self {
        Self::Files {
            file: path.display().to_string(),
            source: Arc::new(source),
        }
    }

    /// The same fault as the answer to an append.
    pub(crate) fn not_durable(self) -> Self {
        match self {
            Self::Files { file, source } => Self::NotDurable {
                reason: format!("`{file}` could not be written"),
                source: Some(source),
            },
            other => other,
        }
    }

    pub(crate) fn stopped() -> Self {
        Self::NotDurable {
            reason: "its writer has stopped".to_owned(),
            source: None,
        }
    }
}

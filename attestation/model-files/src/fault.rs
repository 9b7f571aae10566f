//! What can go wrong between a verdict and a disk.
//!
//! Refuses to mix the two: a refusal is [`FilesError::Refused`] or [`FilesError::Format`], everything else means "could not
//! tell". Invariant: each error names the path it is about.

use std::io;
use std::path::PathBuf;

use freehold_verify::format::FormatRejection;
use freehold_verify::model::ModelRejection;

/// Why a folder was not checked, or a file not stored.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder is not the signed one.
    #[error("the folder is not what was signed")]
    Refused(#[source] ModelRejection),
    /// A file's format is not accepted.
    #[error("a file's format is not accepted")]
    Format(#[source] FormatRejection),
    /// Reading or listing failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing failed; nothing was left under the final name.
    #[error("cannot write `{path}`")]
    Write {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that is not UTF-8, which no signature can list.
    #[error("`{path}` has a name that is not utf-8")]
    Name {
        /// The path, as far as it can be shown.
        path: PathBuf,
    },
    /// More entries or deeper folders than a model has.
    #[error("`{path}` holds more than {limit} entries or is too deep")]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// The caller asked to stop.
    #[error("stopped as asked")]
    Cancelled,
}

impl FilesError {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

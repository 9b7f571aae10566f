//! Why a report, or the evidence in it, is not believed.
//!
//! Refuses free text as the reason. Invariant: one variant, one code.

use freehold_decide::PolicyUnusable;
use freehold_record::RecordRejected;
use freehold_verify::Refusal;
use freehold_verify::container::ContainerRejection;

/// A report was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditRejection {
    /// The shipped policies cannot be used.
    #[error(transparent)]
    Policies(PolicyUnusable),
    /// A file is not of its form.
    #[error("`{file}` is not of its form: {fault}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        fault: String,
    },
    /// A file that the manifest lists is not there.
    #[error("`{file}` is listed and not there")]
    FileMissing {
        /// The file.
        file: String,
    },
    /// A file is not the one that the manifest lists.
    #[error("`{file}` is not the one that was signed")]
    FileChanged {
        /// The file.
        file: String,
        /// Its digest in the manifest.
        expected: String,
        /// Its digest.
        found: String,
    },
    /// A file that nobody listed.
    #[error("`{file}` is there and not listed")]
    FileUnlisted {
        /// The file.
        file: String,
    },
    /// The signed note speaks of another manifest.
    #[error("the signature is over another list of files")]
    OtherManifest {
        /// The digest that was signed.
        expected: String,
        /// The digest of the list.
        found: String,
    },
    /// A reference leads nowhere.
    #[error("the assessment refers to `{reference}`, which is not there")]
    Reference {
        /// The reference.
        reference: String,
    },
    /// Two things have one identifier.
    #[error("the assessment has the identifier `{reference}` twice")]
    ReferenceTwice {
        /// The identifier.
        reference: String,
    },
    /// What the assessment says does not follow from the evidence.
    #[error("the assessment says `{what}`, and the evidence shows something else")]
    Status {
        /// The place.
        what: String,
        /// What follows from the evidence.
        expected: String,
        /// What the assessment says.
        found: String,
    },
    /// The entry that should tell of this evidence tells of something else.
    #[error("the entry that should tell of this evidence tells of something else")]
    Inclusion {
        /// The evidence's digest.
        expected: String,
        /// What the entry tells of.
        found: String,
    },
    /// The evidence does not lead to what the console said about it.
    #[error("the evidence of `{box_id}` leads to another verdict")]
    Verdict {
        /// The box.
        box_id: String,
        /// The verdict in the report.
        expected: String,
        /// The verdict of the evidence.
        found: String,
    },
    /// The entries do not lead to the signed root.
    #[error("the entries of the period do not lead to the signed root")]
    RecordRange,
    /// The record's rules.
    #[error(transparent)]
    Record(RecordRejected),
    /// The container's rules.
    #[error(transparent)]
    Container(ContainerRejection),
}

impl AuditRejection {
    /// Every code that this crate gives beside those of record, container and policies.
    pub const CODES: &'static [&'static str] = &[
        "report.malformed",
        "report.file_missing",
        "report.file_changed",
        "report.file_unlisted",
        "report.other_manifest",
        "report.reference",
        "report.reference_twice",
        "report.status",
        "report.inclusion",
        "report.verdict",
        "report.record_range",
    ];
}

impl Refusal for AuditRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Policies(unusable) => unusable.code(),
            Self::Malformed { .. } => "report.malformed",
            Self::FileMissing { .. } => "report.file_missing",
            Self::FileChanged { .. } => "report.file_changed",
            Self::FileUnlisted { .. } => "report.file_unlisted",
            Self::OtherManifest { .. } => "report.other_manifest",
            Self::Reference { .. } => "report.reference",
            Self::ReferenceTwice { .. } => "report.reference_twice",
            Self::Status { .. } => "report.status",
            Self::Inclusion { .. } => "report.inclusion",
            Self::Verdict { .. } => "report.verdict",
            Self::RecordRange => "report.record_range",
            Self::Record(rejected) => rejected.code(),
            Self::Container(rejected) => rejected.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::FileChanged { expected, .. }
            | Self::OtherManifest { expected, .. }
            | Self::Status { expected, .. }
            | Self::Inclusion { expected, .. }
            | Self::Verdict { expected, .. } => Some(expected.clone()),
            Self::Container(rejected) => rejected.expected(),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::FileChanged { found, .. }
            | Self::OtherManifest { found, .. }
            | Self::Status { found, .. }
            | Self::Inclusion { found, .. }
            | Self::Verdict { found, .. } => Some(found.clone()),
            Self::Container(rejected) => rejected.found(),
            _ => None,
        }
    }
}

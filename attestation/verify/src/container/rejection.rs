//! Why a container is refused.
//!
//! Refuses nothing itself. Invariant: [`ContainerRejection::CODES`] lists every code that can be answered, and names from a
//! container stand in a message only in their harmless form.

use freehold_trust::Sha256Digest;

use crate::cbor::CborFault;
use crate::rejection::Refusal;

/// Why a container is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerRejection {
    /// The file does not begin with the mark.
    #[error("this is not a container")]
    Magic,
    /// Another major version.
    #[error("the container has version {found}")]
    Version {
        /// The version that stood there.
        found: u64,
    },
    /// Not a kind that is known, or not the one that was asked for.
    #[error("the container is a `{found}`")]
    Kind {
        /// What was asked for.
        expected: &'static str,
        /// The kind that stood there.
        found: String,
    },
    /// The index is larger than any real one.
    #[error("the index has {found} bytes")]
    IndexTooLarge {
        /// The limit.
        limit: usize,
        /// The length that stood there.
        found: u64,
    },
    /// The index is not deterministic CBOR of the shape.
    #[error("the index is malformed: {detail}")]
    Malformed {
        /// Which part, and how.
        detail: String,
    },
    /// More of something than any real container has.
    #[error("the container has {found} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// How many.
        found: u64,
    },
    /// A name that is no plain relative name.
    #[error("the name `{name}` is not acceptable: {reason}")]
    Path {
        /// The name, harmless.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Two names that are one on some file system.
    #[error("the name `{name}` stands there twice")]
    Duplicate {
        /// The name, harmless.
        name: String,
    },
    /// A length that cannot be.
    #[error("the length of `{name}` cannot be: {reason}")]
    Length {
        /// The entry, harmless.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The file ends before its contents do.
    #[error("the container ends after {found} bytes")]
    Truncated {
        /// Its length by the index.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// The file goes on behind its contents.
    #[error("the container goes on behind its end")]
    Trailing {
        /// Its length by the index.
        expected: u64,
        /// Its length, as far as it was read.
        found: u64,
    },
    /// A changed byte.
    #[error("the bytes of {what} are not those of the index")]
    Digest {
        /// The index, or an entry and its chunk.
        what: String,
        /// The digest that stands in the container.
        expected: Sha256Digest,
        /// The digest of the bytes.
        found: Sha256Digest,
    },
    /// An entry that has to be there is not.
    #[error("there is no entry `{name}`")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Parts of the set are not at hand.
    #[error("part {} of {parts} is not here", list(.missing))]
    PartMissing {
        /// Their numbers.
        missing: Vec<u32>,
        /// How many parts there are.
        parts: u32,
    },
    /// A part of another set.
    #[error("part {part} belongs to another set")]
    PartOther {
        /// Its number.
        part: u32,
        /// The set at hand.
        expected: Sha256Digest,
        /// Its own.
        found: Sha256Digest,
    },
    /// The same part a second time, with another content.
    #[error("there are two parts {part}, and they differ")]
    PartTwice {
        /// Its number.
        part: u32,
    },
    /// The pieces of a split file do not make it.
    #[error("the pieces of `{name}` do not make the whole: {reason}")]
    Pieces {
        /// The file, harmless.
        name: String,
        /// Why not.
        reason: &'static str,
    },
}

fn list(numbers: &[u32]) -> String {
    // A set of thousands of parts is refused before; ten numbers are enough for a person to look.
    let mut words: Vec<String> = numbers.iter().take(10).map(u32::to_string).collect();
    if numbers.len() > words.len() {
        words.push(format!("and {} more", numbers.len().saturating_sub(words.len())));
    }
    words.join(", ")
}

impl ContainerRejection {
    /// Every code of this enum.
    pub const CODES: &'static [&'static str] = &[
        "container.magic",
        "container.version",
        "container.kind",
        "container.index_too_large",
        "container.malformed",
        "container.too_many",
        "container.path",
        "container.duplicate",
        "container.length",
        "container.truncated",
        "container.trailing",
        "container.digest",
        "container.missing",
        "container.part_missing",
        "container.part_other",
        "container.part_twice",
        "container.pieces",
    ];
}

impl From<CborFault> for ContainerRejection {
    fn from(fault: CborFault) -> Self {
        let detail = match fault {
            CborFault::Malformed(what) => what.to_owned(),
            CborFault::NotCanonical(what) => format!("{what} is not in its one form"),
        };
        Self::Malformed { detail }
    }
}

impl Refusal for ContainerRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Magic => "container.magic",
            Self::Version { .. } => "container.version",
            Self::Kind { .. } => "container.kind",
            Self::IndexTooLarge { .. } => "container.index_too_large",
            Self::Malformed { .. } => "container.malformed",
            Self::TooMany { .. } => "container.too_many",
            Self::Path { .. } => "container.path",
            Self::Duplicate { .. } => "container.duplicate",
            Self::Length { .. } => "container.length",
            Self::Truncated { .. } => "container.truncated",
            Self::Trailing { .. } => "container.trailing",
            Self::Digest { .. } => "container.digest",
            Self::Missing { .. } => "container.missing",
            Self::PartMissing { .. } => "container.part_missing",
            Self::PartOther { .. } => "container.part_other",
            Self::PartTwice { .. } => "container.part_twice",
            Self::Pieces { .. } => "container.pieces",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Version { .. } => Some(super::VERSION.to_string()),
            Self::Kind { expected, .. } => Some((*expected).to_owned()),
            Self::IndexTooLarge { limit, .. } => Some(format!("at most {limit}")),
            Self::TooMany { limit, .. } => Some(format!("at most {limit}")),
            Self::Truncated { expected, .. } | Self::Trailing { expected, .. } => Some(expected.to_string()),
            Self::Digest { expected, .. } | Self::PartOther { expected, .. } => Some(expected.to_hex()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Version { found } | Self::IndexTooLarge { found, .. } | Self::TooMany { found, .. } => {
                Some(found.to_string())
            }
            Self::Kind { found, .. } => Some(found.clone()),
            Self::Truncated { found, .. } | Self::Trailing { found, .. } => Some(found.to_string()),
            Self::Digest { found, .. } | Self::PartOther { found, .. } => Some(found.to_hex()),
            _ => None,
        }
    }
}

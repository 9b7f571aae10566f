//! Why a bill, a provenance or a set of advisories is refused.
//!
//! Refuses nothing itself. Invariant: one code per kind of fault; texts from outside are shortened and without control characters.

use freehold_verify::Refusal;
use thiserror::Error;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SupplyRejection {
    /// Longer than such a document ever is.
    #[error("`{what}` is longer than {limit} bytes")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// Bytes that are read.
        limit: usize,
    },
    /// It is not the document that it should be.
    #[error("the bill of materials is malformed: {detail}")]
    Bill {
        /// What is wrong.
        detail: String,
    },
    /// An advisory that cannot be read.
    #[error("advisory {line} is malformed: {detail}")]
    Advisory {
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A set of advisories that is larger than sets are.
    #[error("{found} advisories, at most {limit} are read")]
    Count {
        /// How many.
        found: usize,
        /// How many are read.
        limit: usize,
    },
    /// A statement on exploitability that cannot be read.
    #[error("the statement on exploitability is malformed: {detail}")]
    Vex {
        /// What is wrong.
        detail: String,
    },
    /// A provenance that cannot be read.
    #[error("the provenance is malformed: {detail}")]
    Provenance {
        /// What is wrong.
        detail: String,
    },
    /// Nobody who is trusted signed it.
    #[error("no trusted key signed the {what}")]
    Signature {
        /// Which document.
        what: &'static str,
    },
    /// It says something else than where a thing comes from.
    #[error("it is a statement of the type `{found}`")]
    PredicateType {
        /// The type.
        found: String,
    },
    /// It is about other files.
    #[error("the provenance does not speak of `{name}` with this digest")]
    Subject {
        /// The file.
        name: String,
        /// The digest that it has.
        expected: String,
        /// The digest that the provenance names, when it names the file.
        found: Option<String>,
    },
    /// Somebody built it who is not allowed to.
    #[error("it was built by `{found}`")]
    Builder {
        /// The builder.
        found: String,
    },
}

impl SupplyRejection {
    /// Every code of this rejection.
    pub const CODES: &[&str] = &[
        "supply.too_large",
        "supply.bill",
        "supply.advisory",
        "supply.count",
        "supply.vex",
        "supply.provenance",
        "supply.signature",
        "supply.predicate_type",
        "supply.subject",
        "supply.builder",
    ];
}

impl Refusal for SupplyRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "supply.too_large",
            Self::Bill { .. } => "supply.bill",
            Self::Advisory { .. } => "supply.advisory",
            Self::Count { .. } => "supply.count",
            Self::Vex { .. } => "supply.vex",
            Self::Provenance { .. } => "supply.provenance",
            Self::Signature { .. } => "supply.signature",
            Self::PredicateType { .. } => "supply.predicate_type",
            Self::Subject { .. } => "supply.subject",
            Self::Builder { .. } => "supply.builder",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { limit, .. } => Some(format!("at most {limit} bytes")),
            Self::Count { limit, .. } => Some(format!("at most {limit}")),
            Self::Subject { expected, .. } => Some(expected.clone()),
            Self::PredicateType { .. } => Some(crate::provenance::PREDICATE_TYPE.to_owned()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Count { found, .. } => Some(found.to_string()),
            Self::Subject { found, .. } => found.clone(),
            Self::PredicateType { found } | Self::Builder { found } => Some(found.clone()),
            _ => None,
        }
    }
}

/// At most 120 characters of a text from outside, without control characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .take(120)
        .map(|letter| if letter.is_control() { '·' } else { letter })
        .collect()
}

//! Why a log cannot be read, or shows nothing that may be interpreted.
//!
//! Refuses to quote raw log bytes in messages. Invariant: one code per kind of fault.

use thiserror::Error;

use crate::rejection::Refusal;

/// One fault of a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogRejection {
    /// More bytes than a log can have.
    #[error("the boot log has {found} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
        /// Bytes given.
        found: usize,
    },
    /// It ends inside a field, or a length points beyond its end.
    #[error("the boot log ends inside `{field}` at byte {at}")]
    Truncated {
        /// The field.
        field: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// A field has a value that it cannot have.
    #[error("`{field}` at byte {at} of the boot log is {found}")]
    Field {
        /// The field.
        field: &'static str,
        /// Where it is.
        at: usize,
        /// Its value.
        found: u64,
    },
    /// An event for a PCR that no platform has.
    #[error("event {event} is for PCR {found}, a platform has 24")]
    PcrIndex {
        /// Index in the log.
        event: usize,
        /// The PCR.
        found: u32,
    },
    /// The events' algorithms are not those that the log announced.
    #[error("event {event} carries other algorithms than the log announced")]
    Algorithms {
        /// Index in the log.
        event: usize,
    },
    /// UEFI data inside an event is malformed.
    #[error("`{what}` inside an event is malformed")]
    Data {
        /// Which structure.
        what: &'static str,
    },
    /// Separators are missing, repeated or say that firmware failed.
    #[error("the separator of PCR {pcr} is `{found}`")]
    Separator {
        /// The PCR.
        pcr: u8,
        /// What is wrong.
        found: &'static str,
    },
    /// The events that say whether Secure Boot is on cannot be believed.
    #[error("secure boot cannot be read from the log: {why}")]
    SecureBoot {
        /// Why not.
        why: &'static str,
    },
}

impl LogRejection {
    /// Every code of this rejection.
    pub const CODES: &[&str] = &[
        "log.too_large",
        "log.truncated",
        "log.field",
        "log.pcr_index",
        "log.algorithms",
        "log.data",
        "log.separator",
        "log.secure_boot",
    ];
}

impl Refusal for LogRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "log.too_large",
            Self::Truncated { .. } => "log.truncated",
            Self::Field { .. } => "log.field",
            Self::PcrIndex { .. } => "log.pcr_index",
            Self::Algorithms { .. } => "log.algorithms",
            Self::Data { .. } => "log.data",
            Self::Separator { .. } => "log.separator",
            Self::SecureBoot { .. } => "log.secure_boot",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { limit, .. } => Some(format!("at most {limit} bytes")),
            Self::PcrIndex { .. } => Some("0 to 23".to_owned()),
            Self::Separator { .. } => Some("one separator of zeros".to_owned()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::TooLarge { found, .. } => Some(format!("{found} bytes")),
            Self::Field { found, .. } => Some(found.to_string()),
            Self::PcrIndex { found, .. } => Some(found.to_string()),
            Self::Separator { found, .. } => Some((*found).to_owned()),
            _ => None,
        }
    }
}

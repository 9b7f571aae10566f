//! A value that says where it comes from, or why it is missing.
//!
//! Refuses a value without a source. Invariant: as JSON it is `{"value": …, "source": …}` or `{"missing": reason}`.

use serde::{Deserialize, Serialize};

/// One value of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading<T> {
    /// It was read.
    Value {
        /// The value.
        value: T,
        /// The file below the root, `/`-separated with a leading `/`, or the library that gave it.
        source: String,
    },
    /// It could not be read.
    Missing {
        /// Why, one line.
        missing: String,
    },
}

impl<T> Reading<T> {
    pub(crate) fn of(value: T, source: impl Into<String>) -> Self {
        Self::Value {
            value,
            source: source.into(),
        }
    }

    pub(crate) fn missing(reason: impl Into<String>) -> Self {
        Self::Missing { missing: reason.into() }
    }

    /// The value, when there is one.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value { value, .. } => Some(value),
            Self::Missing { .. } => None,
        }
    }

    /// Turns a value that was read into another, or says why it is no such value.
    pub(crate) fn then<U>(self, what: &str, turn: impl FnOnce(T) -> Option<U>) -> Reading<U> {
        match self {
            Self::Value { value, source } => match turn(value) {
                Some(value) => Reading::Value { value, source },
                None => Reading::Missing {
                    missing: format!("{source} does not hold {what}"),
                },
            },
            Self::Missing { missing } => Reading::Missing { missing },
        }
    }

    /// This one, or the other when this one is missing; when both are, both reasons.
    pub(crate) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Value { .. } => self,
            Self::Missing { missing: first } => match other() {
                Self::Missing { missing: second } if second != first => Self::Missing {
                    missing: format!("{first}; {second}"),
                },
                found => found,
            },
        }
    }
}

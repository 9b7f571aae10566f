//! Refusals: bad evidence is not an error of the program but an answer with a stable code.
//!
//! Refuses to carry free text instead of a code. Invariant: a code, once released, never changes meaning; it is also the
//! name of the fixture, the anchor in the documentation, the value in the record and the key of the console's sentence.

use serde::{Deserialize, Serialize};

/// A reason to say no, with a stable code such as `release.rollback`.
pub trait Refusal: std::error::Error {
    /// The stable code, `area.fault`, lower case.
    fn code(&self) -> &'static str;
    /// What would have been accepted, when that can be said.
    fn expected(&self) -> Option<String> {
        None
    }
    /// What was there instead, when that can be said.
    fn found(&self) -> Option<String> {
        None
    }
    /// The refusal as data for reports, records and pages.
    fn report(&self) -> RefusalReport {
        RefusalReport {
            code: self.code().to_owned(),
            message: self.to_string(),
            expected: self.expected(),
            found: self.found(),
        }
    }
}

/// A refusal as data: what travels in reports and stands in the record. `message` is already free of control characters
/// only when the refusal's `Display` is; renderers escape it all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalReport {
    /// The stable code, for example `quote.nonce`.
    pub code: String,
    /// One line, lower case, the thing named in backticks.
    pub message: String,
    /// What would have been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

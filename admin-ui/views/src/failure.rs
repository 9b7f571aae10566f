//! When a request did not work: a code, a request id, what was not done, what to do.
//!
//! Refuses to show the inside message: that goes to the log under the same request id.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// The answer with a 4xx or 5xx status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FailurePage {
    /// The frame; with `person: None` before signing in.
    pub shell: Shell,
    /// HTTP status, for example 403.
    pub status: u16,
    /// Stable code, for example `console.forbidden`; explained by the page when `freehold-explain` knows it.
    pub code: String,
    /// The request id that is also in the log.
    pub request_id: String,
    /// What happened, one sentence; used when the code has no explanation.
    pub what: String,
    /// What was not done, one sentence, for example "The box was not approved."
    pub not_done: String,
    /// What to do, one sentence; used when the code has no explanation.
    pub next: String,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct Whole<'a> {
    m: &'a FailurePage,
    shell: &'a Shell,
    explained: Option<freehold_explain::Explanation>,
}

impl FailurePage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
            explained: freehold_explain::explain(&self.code),
        })
    }
}

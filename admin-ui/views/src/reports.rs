//! Reports for an auditor: what one is, what it can be about, and how to check it without this console.
//!
//! Refuses to show what a report says: that is in the file, with the evidence. Invariant: the form works without scripts.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// `GET /reports`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReportsPage {
    /// The frame.
    pub shell: Shell,
    /// Boxes that a report can be about.
    pub boxes: Vec<Subject>,
    /// Models that a report can be about, by root digest.
    pub models: Vec<Subject>,
    /// Reports that were made, newest first, as the record tells.
    pub made: Vec<Made>,
    /// The command that checks one.
    pub verify_command: String,
}

/// Something that a report can be about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The value of the form's field.
    pub value: String,
    /// What people call it.
    pub label: String,
}

/// A report that was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Made {
    /// When, unix seconds.
    pub at: i64,
    /// By whom.
    pub by: String,
    /// Digest and scope, one line.
    pub text: String,
    /// The entry that tells of it.
    pub index: u64,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct Whole<'a> {
    m: &'a ReportsPage,
    shell: &'a Shell,
}

impl ReportsPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

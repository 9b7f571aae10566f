//! Controls as data: which checks answer which requirement of which framework.
//!
//! Refuses a control without checks, an identifier that stands twice, and a check that nobody wrote. Invariant: satisfied means
//! yes to every check about every subject; one no is not satisfied; everything else is unknown.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::check::{Check, CheckResult, Outcome};
use crate::rejection::AuditRejection;

/// A framework of requirements.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Its short name.
    pub framework: String,
    /// Its title.
    pub title: String,
    /// Its controls.
    #[serde(rename = "control")]
    pub controls: Vec<Control>,
}

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its identifier, a token of OSCAL.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How this product meets it, in plain words.
    pub says: String,
    /// The checks that must all say yes.
    pub checks: Vec<Check>,
}

/// All frameworks of a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// In the order of their files' names.
    pub frameworks: Vec<Framework>,
}

/// Where a control stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every check says yes.
    Satisfied,
    /// A check says no.
    NotSatisfied,
    /// Nothing says no, and something could not be told.
    Unknown,
}

impl Status {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Satisfied => "satisfied",
            Self::NotSatisfied => "not satisfied",
            Self::Unknown => "unknown",
        }
    }
}

/// A control and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The framework's short name.
    pub framework: String,
    /// The control.
    pub control: Control,
    /// Where it stands.
    pub status: Status,
    /// The first reason why it is not satisfied.
    pub why: Option<String>,
}

/// The controls that come with this version, as files: name and text.
#[must_use]
pub const fn shipped_controls() -> [(&'static str, &'static str); 3] {
    [
        (
            "eu-ai-act.toml",
            include_str!("../../../policies/controls/eu-ai-act.toml"),
        ),
        (
            "hipaa-164-312.toml",
            include_str!("../../../policies/controls/hipaa-164-312.toml"),
        ),
        (
            "nist-800-53-r5.toml",
            include_str!("../../../policies/controls/nist-800-53-r5.toml"),
        ),
    ]
}

impl Catalogue {
    /// Reads frameworks from files.
    ///
    /// # Errors
    /// `report.malformed`.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, AuditRejection> {
        let mut seen = BTreeSet::new();
        let mut frameworks = Vec::new();
        for (file, text) in files {
            let malformed = |fault: String| AuditRejection::Malformed {
                file: file.to_owned(),
                fault,
            };
            let framework: Framework = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
            for control in &framework.controls {
                if control.checks.is_empty() || !is_token(&control.id) {
                    return Err(malformed(format!("control `{}`", control.id)));
                }
                if !seen.insert(control.id.clone()) {
                    return Err(malformed(format!("control `{}` stands twice", control.id)));
                }
            }
            frameworks.push(framework);
        }
        Ok(Self { frameworks })
    }

    /// Every check that a control asks for, each once.
    #[must_use]
    pub fn checks(&self) -> BTreeSet<Check> {
        let controls = self.frameworks.iter().flat_map(|framework| &framework.controls);
        controls.flat_map(|control| control.checks.iter().copied()).collect()
    }

    /// Where each control stands.
    #[must_use]
    pub fn findings(&self, results: &[CheckResult]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for framework in &self.frameworks {
            for control in &framework.controls {
                let (status, why) = stands(control, results);
                findings.push(Finding {
                    framework: framework.framework.clone(),
                    control: control.clone(),
                    status,
                    why,
                });
            }
        }
        findings
    }
}

fn stands(control: &Control, results: &[CheckResult]) -> (Status, Option<String>) {
    let mut unknown = None;
    for check in &control.checks {
        let result = results.iter().find(|result| result.check == *check);
        let answers = result.map(|result| result.answers.as_slice()).unwrap_or_default();
        if answers.is_empty() {
            unknown = unknown.or_else(|| Some(format!("{}: there is nothing to ask about", check.word())));
        }
        for (subject, outcome) in answers {
            match outcome {
                Outcome::Yes => {}
                Outcome::No(why) => return (Status::NotSatisfied, Some(format!("{subject}: {why}"))),
                Outcome::Unknown(why) => unknown = unknown.or_else(|| Some(format!("{subject}: {why}"))),
            }
        }
    }
    match unknown {
        Some(why) => (Status::Unknown, Some(why)),
        None => (Status::Satisfied, None),
    }
}

/// A token of OSCAL: begins with a letter, goes on with letters, digits, dots, hyphens and underscores.
fn is_token(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.len() <= 64
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

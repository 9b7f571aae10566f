//! Findings: what is known to be wrong with what runs, after statements on exploitability and what people accepted.
//!
//! Refuses to forget: an acceptance ends at its date, when the advisory changes and when it gets worse; advisories that are old
//! are a finding themselves. Invariant: pure, and the same input gives the same list in the same order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bill::Component;
use crate::index::AdvisoryIndex;
use crate::purl::Purl;
use crate::severity::Severity;
use crate::vex::{VexBook, VexStatus};

/// How old advisories may be before their age is a finding, in seconds: two weeks.
pub const STALE_SECONDS: i64 = 14 * 24 * 3600;
/// Identifier of the finding that advisories are old.
pub const STALE: &str = "advisories-stale";

/// What an acceptance is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "of", content = "which", rename_all = "snake_case")]
pub enum Scope {
    /// Everywhere.
    Fleet,
    /// One release, by target name.
    Release(String),
    /// One box.
    Box(String),
}

/// Somebody accepts a finding for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The advisory.
    pub advisory: String,
    /// The package, without a version.
    pub package: String,
    /// Where it holds.
    pub scope: Scope,
    /// Who accepts.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, Unix seconds.
    pub at: i64,
    /// Until when, Unix seconds.
    pub until: i64,
    /// How bad it was then.
    pub severity: Severity,
}

/// How a finding stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum FindingState {
    /// Somebody has to look.
    Open {
        /// Why an acceptance or a statement does not hold any more, where there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        reopened: Option<&'static str>,
    },
    /// Somebody accepted it.
    Accepted {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Until when, Unix seconds.
        until: i64,
    },
    /// Somebody trusted says that it does no harm here.
    NotAffected {
        /// Why.
        why: String,
        /// Fingerprint of whoever said it.
        signer: String,
    },
}

impl FindingState {
    /// Whether somebody has to look.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The advisory.
    pub advisory: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// How bad.
    pub severity: Severity,
    /// The component; `None` for the age of the advisories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Purl>,
    /// The releases and parts that have the component.
    pub within: Vec<String>,
    /// Versions that are free of it.
    pub fixed: Vec<String>,
    /// How it stands.
    pub state: FindingState,
}

/// What runs somewhere: the name of a part (a release's target, a program) and its components.
pub type Parts<'a> = [(&'a str, &'a [Component])];

/// What people accepted, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Acceptances {
    by_finding: BTreeMap<(String, String), Vec<Acceptance>>,
}

impl Acceptances {
    /// From a list, in any order.
    #[must_use]
    pub fn new(list: Vec<Acceptance>) -> Self {
        let mut by_finding: BTreeMap<_, Vec<Acceptance>> = BTreeMap::new();
        for one in list {
            by_finding
                .entry((one.advisory.clone(), one.package.clone()))
                .or_default()
                .push(one);
        }
        Self { by_finding }
    }

    fn state(&self, asked: &Asked<'_>) -> FindingState {
        let key = (asked.advisory.to_owned(), asked.package.to_owned());
        let mut reopened = None;
        for one in self.by_finding.get(&key).map(Vec::as_slice).unwrap_or_default() {
            let fits = match &one.scope {
                Scope::Fleet => true,
                Scope::Release(release) => asked.within.iter().all(|part| part == release),
                Scope::Box(box_id) => asked.box_id == Some(box_id),
            };
            if !fits {
                continue;
            }
            if asked.now >= one.until {
                reopened = reopened.or(Some("expired"));
            } else if asked.severity > one.severity {
                reopened = Some("worse");
            } else if asked.modified > one.at {
                reopened = reopened.or(Some("changed"));
            } else {
                return FindingState::Accepted {
                    by: one.by.clone(),
                    reason: one.reason.clone(),
                    until: one.until,
                };
            }
        }
        FindingState::Open { reopened }
    }
}

struct Asked<'a> {
    advisory: &'a str,
    package: &'a str,
    within: &'a [String],
    box_id: Option<&'a str>,
    severity: Severity,
    modified: i64,
    now: i64,
}

/// The findings of what runs in one place (a box, or a release by itself when `box_id` is `None`), worst first.
#[must_use]
pub fn findings(
    parts: &Parts<'_>,
    box_id: Option<&str>,
    index: &AdvisoryIndex,
    vex: &VexBook,
    accepted: &Acceptances,
    now: i64,
) -> Vec<Finding> {
    let mut found: BTreeMap<(String, Purl), Finding> = BTreeMap::new();
    for (part, components) in parts {
        for component in *components {
            let Some(purl) = &component.purl else { continue };
            for one in index.matches(component) {
                let key = (one.advisory.id.clone(), purl.clone());
                if let Some(known) = found.get_mut(&key) {
                    if !known.within.iter().any(|name| name == part) {
                        known.within.push((*part).to_owned());
                    }
                    continue;
                }
                let state = match vex.about(one.advisory, component, now) {
                    Some(word) if matches!(word.status, VexStatus::NotAffected | VexStatus::Fixed) => {
                        FindingState::NotAffected {
                            why: word.why.clone(),
                            signer: word.signer.clone(),
                        }
                    }
                    _ => FindingState::Open { reopened: None },
                };
                found.insert(
                    key,
                    Finding {
                        advisory: one.advisory.id.clone(),
                        aliases: one.advisory.aliases.clone(),
                        summary: one.advisory.summary.clone(),
                        severity: one.advisory.severity,
                        component: Some(purl.clone()),
                        within: vec![(*part).to_owned()],
                        fixed: one.fixed,
                        state,
                    },
                );
            }
        }
    }
    let mut list: Vec<Finding> = found.into_values().collect();
    for finding in list.iter_mut().filter(|finding| finding.state.is_open()) {
        let package = finding
            .component
            .as_ref()
            .map(|purl| purl.package().to_string())
            .unwrap_or_default();
        let modified = index.get(&finding.advisory).map_or(now, |advisory| advisory.modified);
        finding.state = accepted.state(&Asked {
            advisory: &finding.advisory,
            package: &package,
            within: &finding.within,
            box_id,
            severity: finding.severity,
            modified,
            now,
        });
    }
    list.extend(stale(index, now));
    list.sort_by(|left, right| {
        right
            .state
            .is_open()
            .cmp(&left.state.is_open())
            .then_with(|| right.severity.cmp(&left.severity))
            .then_with(|| left.advisory.cmp(&right.advisory))
            .then_with(|| left.component.cmp(&right.component))
    });
    list
}

/// That the advisories are old, or that there are none: nobody can accept that.
#[must_use]
pub fn stale(index: &AdvisoryIndex, now: i64) -> Option<Finding> {
    let age = now.saturating_sub(index.modified());
    if !index.is_empty() && age <= STALE_SECONDS {
        return None;
    }
    let summary = if index.is_empty() {
        "no advisories have been imported: nothing is known, which is not that nothing is wrong".to_owned()
    } else {
        format!("the newest advisory is {} days old", age / 86_400)
    };
    Some(Finding {
        advisory: STALE.to_owned(),
        aliases: Vec::new(),
        summary,
        severity: Severity::Unknown,
        component: None,
        within: Vec::new(),
        fixed: Vec::new(),
        state: FindingState::Open { reopened: None },
    })
}

/// The worst of the findings that are open.
#[must_use]
pub fn worst(findings: &[Finding]) -> Severity {
    findings
        .iter()
        .filter(|finding| finding.state.is_open())
        .map(|finding| finding.severity)
        .max()
        .unwrap_or(Severity::None)
}

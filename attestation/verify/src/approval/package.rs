//! The package that travels beside an assignment: statement, line, path and assertions; and the check of all of it.
//!
//! Refuses a package in which any assertion fails: one that counts and one that does not are not told apart by order.
//! Invariant: who approved is answered by the policy's list, never by the package.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_trust::merkle;
use serde::{Deserialize, Serialize};

use super::approvers::Approvers;
use super::rejection::ApprovalRejection;
use super::statement::{ApprovedRelease, BoxLine, Statement};
use crate::json;
use crate::release::ReleaseKind;
use crate::text::shown;
use crate::verified::Verified;
use crate::webauthn::{Assertion, AssertionExpectation, PasskeyRejection, verify_assertion};

/// Longest package: statement, line, a path of 40 hashes and 16 assertions fit; bounds what a box keeps.
pub const MAX_PACKAGE: usize = 128 * 1024;
/// Most assertions of one package.
const MAX_ASSERTIONS: usize = 16;
/// Longest path: a tree of a billion boxes has 30 levels.
const MAX_PATH: usize = 40;

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPackage {
    /// Major version, 1.
    pub v: u32,
    /// The statement's bytes, base64.
    pub statement: String,
    /// The bytes of the box's own line, base64.
    pub line: String,
    /// The line's place in the list.
    pub index: u64,
    /// From the line to the root.
    pub path: Vec<Sha256Digest>,
    /// What people's passkeys signed.
    pub assertions: Vec<Assertion>,
}

impl ApprovalPackage {
    /// A package for one box.
    #[must_use]
    pub fn new(statement: &[u8], line: &BoxLine, index: u64, path: Vec<Sha256Digest>, given: Vec<Assertion>) -> Self {
        Self {
            v: 1,
            statement: STANDARD.encode(statement),
            line: STANDARD.encode(line.to_bytes()),
            index,
            path,
            assertions: given,
        }
    }

    /// The bytes that travel; the assignment names their SHA-256.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What the box knows when it judges.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalExpectation<'a> {
    /// Its fleet.
    pub fleet: &'a str,
    /// Its id.
    pub box_id: &'a str,
    /// The site that its assignment names.
    pub site: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// An approval that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// What was approved.
    pub statement: Statement,
    /// For this box.
    pub line: BoxLine,
    /// By whom.
    pub by: BTreeSet<String>,
}

/// A release that an assignment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRelease {
    /// Which.
    pub release: ApprovedRelease,
    /// Its kind, as the publisher signed it.
    pub kind: ReleaseKind,
}

/// Checks one person's assertion over a statement; answers the approver's name. The console asks this before it keeps one.
///
/// # Errors
/// [`ApprovalRejection`].
pub fn verify_assertion_of(
    statement_bytes: &[u8],
    statement: &Statement,
    site: &str,
    assertion: &Assertion,
    approvers: &Approvers,
) -> Result<String, ApprovalRejection> {
    let (approver, key) =
        approvers
            .of_credential(&assertion.credential)
            .ok_or_else(|| ApprovalRejection::UnknownApprover {
                found: shown(&assertion.credential),
            })?;
    let challenge = sha256(statement_bytes);
    let expectation = AssertionExpectation {
        challenge: challenge.as_bytes(),
        relying_party: &approvers.relying_party,
        origins: &approvers.origins,
    };
    verify_assertion(assertion, key, &expectation).map_err(|fault| match fault {
        PasskeyRejection::Signature => ApprovalRejection::Signature {
            approver: shown(&approver.name),
        },
        PasskeyRejection::Challenge { expected, found } => ApprovalRejection::OtherPlan { expected, found },
        fault => ApprovalRejection::Passkey {
            approver: shown(&approver.name),
            fault,
        },
    })?;
    if approver.name == statement.proposer {
        return Err(ApprovalRejection::Oneself {
            found: shown(&approver.name),
        });
    }
    if !approver.is_for(site) {
        return Err(ApprovalRejection::Site {
            approver: shown(&approver.name),
            found: shown(site),
        });
    }
    Ok(approver.name.clone())
}

/// Checks a package for one box.
///
/// # Errors
/// [`ApprovalRejection`]: form, fleet, time, the box's place in the plan, then each person.
pub fn verify_approval(
    package: &[u8],
    approvers: &Approvers,
    expectation: &ApprovalExpectation<'_>,
) -> Result<Verified<Approval>, ApprovalRejection> {
    let malformed = |detail: &str| ApprovalRejection::Malformed { detail: shown(detail) };
    let package: ApprovalPackage = json::typed(package, MAX_PACKAGE).map_err(|fault| malformed(&fault.to_string()))?;
    if package.v != 1 {
        return Err(ApprovalRejection::Version {
            found: package.v.to_string(),
        });
    }
    if package.assertions.len() > MAX_ASSERTIONS || package.path.len() > MAX_PATH {
        return Err(malformed("too many assertions, or too long a path"));
    }
    let decoded = |text: &str| STANDARD.decode(text).map_err(|_| malformed("base64"));
    let statement_bytes = decoded(&package.statement)?;
    let statement = Statement::parse(&statement_bytes)?;
    if statement.fleet != expectation.fleet {
        return Err(ApprovalRejection::OtherFleet {
            expected: expectation.fleet.to_owned(),
            found: shown(&statement.fleet),
        });
    }
    if statement.not_after < expectation.now {
        return Err(ApprovalRejection::Expired {
            not_after: statement.not_after,
            now: expectation.now,
        });
    }
    let line_bytes = decoded(&package.line)?;
    let line = BoxLine::parse(&line_bytes)?;
    let leaf = merkle::leaf_hash(&line_bytes);
    let list = &statement.boxes;
    let listed = merkle::includes(&leaf, package.index, list.size, &package.path, &list.root);
    if !listed || line.box_id != expectation.box_id {
        return Err(ApprovalRejection::NotInPlan {
            expected: expectation.box_id.to_owned(),
            found: shown(&line.box_id),
        });
    }
    if line.site != expectation.site {
        return Err(ApprovalRejection::OtherSite {
            expected: expectation.site.to_owned(),
            found: shown(&line.site),
        });
    }
    let mut by = BTreeSet::new();
    for assertion in &package.assertions {
        let name = verify_assertion_of(&statement_bytes, &statement, &line.site, assertion, approvers)?;
        if by.contains(&name) {
            return Err(ApprovalRejection::Twice { found: shown(&name) });
        }
        by.insert(name);
    }
    Ok(Verified::seal(Approval { statement, line, by }))
}

impl Approval {
    /// Whether this approval is about a release, on its way there or back.
    #[must_use]
    pub fn covers(&self, release: &ApprovedRelease) -> bool {
        self.statement.releases.contains(release) || self.line.back.contains(release)
    }
}

/// Whether every release that needs people has them. `leaves` is set when the assignment names another line of policies than
/// the one in force: leaving needs as much as the strictest rule, or a stolen console would choose a policy without rules.
///
/// # Errors
/// [`ApprovalRejection::Missing`] or [`ApprovalRejection::OtherRelease`].
pub fn check_approvals(
    wanted: &[WantedRelease],
    leaves: Option<&ApprovedRelease>,
    approvals: &[Verified<Approval>],
    approvers: &Approvers,
    site: &str,
) -> Result<(), ApprovalRejection> {
    let kinds = wanted
        .iter()
        .map(|wanted| (&wanted.release, approvers.needed(wanted.kind, site)));
    let leaving = leaves.map(|release| (release, approvers.needed_to_leave(site)));
    for (release, needed) in kinds.chain(leaving) {
        if needed == 0 {
            continue;
        }
        let covering = approvals.iter().filter(|approval| approval.covers(release));
        let found = covering.map(|approval| approval.by.len()).max();
        let Some(found) = found else {
            let release = shown(&release.name);
            return Err(if approvals.is_empty() {
                ApprovalRejection::Missing {
                    release,
                    needed,
                    found: 0,
                }
            } else {
                ApprovalRejection::OtherRelease { found: release }
            });
        };
        if u32::try_from(found).unwrap_or(u32::MAX) < needed {
            return Err(ApprovalRejection::Missing {
                release: shown(&release.name),
                needed,
                found,
            });
        }
    }
    Ok(())
}

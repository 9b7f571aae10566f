//! What people's approvals are worth on this box: judged when an assignment is taken, and again before anything is made of it.
//!
//! Refuses a release that the policy in force wants approved and that was not, whoever signed the assignment. Invariant: a
//! release counts as approved only after it was judged under a policy; what was judged is written down before it is acted on.

use std::collections::BTreeSet;

use freehold_protocol::routes;
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::approval::{
    Approval, ApprovalExpectation, ApprovalRejection, ApprovedRelease, MAX_PACKAGE, WantedRelease, check_approvals,
    verify_approval,
};
use freehold_verify::document::{AssignedTarget, Assignment};
use freehold_verify::release::ReleaseKind;
use freehold_verify::{RefusalReport, Verified};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::policy::Policy;
use crate::supervisor::Supervisor;

const FILE: &str = "approvals.json";
/// Most packages of one assignment: bounds what a console can make a box fetch and keep.
const MAX_PACKAGES: usize = 8;

/// What is kept beside the accepted assignment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approvals {
    v: u32,
    /// Counter of the assignment that it belongs to.
    counter: u64,
    /// When the assignment was taken: an approval that was in time then stays in time.
    at: i64,
    /// The packages as they came.
    packages: Vec<String>,
    /// Releases of the assignment that were judged and may come.
    approved: BTreeSet<Sha256Digest>,
    /// Who approved.
    by: BTreeSet<String>,
}

/// Where a box stands when it judges.
#[derive(Debug, Clone, Copy)]
struct Standing<'a> {
    fleet: &'a str,
    box_id: &'a str,
    policy: Option<&'a Policy>,
}

fn release(target: &AssignedTarget) -> ApprovedRelease {
    ApprovedRelease {
        name: target.name.clone(),
        sha256: target.sha256,
    }
}

impl Approvals {
    /// What an earlier run kept for the assignment with this counter.
    pub(crate) fn stored(state: &crate::state::State, counter: Option<u64>) -> Result<Self, Fault> {
        let kept = state.json::<Self>(FILE)?.unwrap_or_default();
        Ok(if Some(kept.counter) == counter {
            kept
        } else {
            Self::default()
        })
    }

    /// Who approved what this box is to run.
    pub(crate) const fn by(&self) -> &BTreeSet<String> {
        &self.by
    }

    pub(crate) fn keep(&self, state: &crate::state::State) -> Result<(), Fault> {
        state.put_json(FILE, self)
    }

    /// The approvals of a new assignment, judged under the policy in force. `there` are the releases that the box has already.
    /// Without a policy nothing is judged yet, and nothing counts as approved that did not before.
    fn of(
        assignment: &Assignment,
        packages: Vec<Vec<u8>>,
        before: &Self,
        there: &BTreeSet<Sha256Digest>,
        standing: Standing<'_>,
        now: i64,
    ) -> Result<Self, ApprovalRejection> {
        if packages.len() > MAX_PACKAGES || packages.len() != assignment.approvals.len() {
            return Err(ApprovalRejection::Malformed {
                detail: format!("{} packages", packages.len()),
            });
        }
        for (package, named) in packages.iter().zip(&assignment.approvals) {
            if sha256(package) != *named {
                return Err(ApprovalRejection::Malformed {
                    detail: "a package is not the one that the assignment names".to_owned(),
                });
            }
        }
        let targets: BTreeSet<Sha256Digest> = assignment.targets.iter().map(|target| target.sha256).collect();
        let mut kept = Self {
            v: 1,
            counter: assignment.counter,
            at: now,
            packages: packages
                .iter()
                .map(|package| String::from_utf8_lossy(package).into_owned())
                .collect(),
            approved: before.approved.intersection(&targets).copied().collect(),
            by: BTreeSet::new(),
        };
        if standing.policy.is_some() {
            kept.judge(assignment, &assignment.targets, there, standing)?;
        }
        Ok(kept)
    }

    /// Judges some targets; what passes counts as approved from now on.
    fn judge(
        &mut self,
        assignment: &Assignment,
        targets: &[AssignedTarget],
        there: &BTreeSet<Sha256Digest>,
        standing: Standing<'_>,
    ) -> Result<(), ApprovalRejection> {
        let Some(policy) = standing.policy else { return Ok(()) };
        let Some(approvers) = policy.approvers() else {
            self.approved.extend(targets.iter().map(|target| target.sha256));
            return Ok(());
        };
        let expectation = ApprovalExpectation {
            fleet: standing.fleet,
            box_id: standing.box_id,
            site: &assignment.site,
            now: self.at,
        };
        let approvals: Vec<Verified<Approval>> = self
            .packages
            .iter()
            .map(|package| verify_approval(package.as_bytes(), approvers, &expectation))
            .collect::<Result<_, _>>()?;
        let new = |target: &&AssignedTarget| !there.contains(&target.sha256) && !self.approved.contains(&target.sha256);
        let wanted: Vec<WantedRelease> = targets
            .iter()
            .filter(new)
            .filter_map(|target| {
                Some(WantedRelease {
                    release: release(target),
                    kind: ReleaseKind::of_target(&target.name)?,
                })
            })
            .collect();
        let leaves = targets
            .iter()
            .filter(new)
            .find(|target| {
                ReleaseKind::of_target(&target.name) == Some(ReleaseKind::Policy) && !policy.is_line_of(&target.name)
            })
            .map(release);
        check_approvals(&wanted, leaves.as_ref(), &approvals, approvers, &assignment.site)?;
        self.approved.extend(targets.iter().map(|target| target.sha256));
        self.by
            .extend(approvals.iter().flat_map(|approval| approval.by.iter().cloned()));
        Ok(())
    }
}

impl Supervisor {
    fn standing(&self) -> Standing<'_> {
        Standing {
            fleet: &self.pairing.fleet,
            box_id: &self.box_id,
            policy: self.policy.as_ref(),
        }
    }

    fn there(&self) -> Result<BTreeSet<Sha256Digest>, Fault> {
        Ok(self.store.stored()?.into_keys().collect())
    }

    /// Fetches the packages that an assignment names.
    pub(super) async fn fetch_approvals(&mut self, assignment: &Assignment) -> Result<Vec<Vec<u8>>, Fault> {
        let mut packages = Vec::new();
        for named in assignment.approvals.iter().take(MAX_PACKAGES) {
            let path = format!("{}{named}", routes::APPROVALS);
            let bytes = self.console()?.get(&path, MAX_PACKAGE).await?;
            let bytes = bytes.ok_or_else(|| Fault::of("console.answer", "the console has no such approval"))?;
            packages.push(bytes.to_vec());
        }
        Ok(packages)
    }

    /// Judges an assignment that is about to be taken.
    pub(super) fn judge_approvals(
        &self,
        assignment: &Assignment,
        packages: Vec<Vec<u8>>,
    ) -> Result<Result<Approvals, RefusalReport>, Fault> {
        let there = self.there()?;
        let judged = Approvals::of(
            assignment,
            packages,
            &self.approvals,
            &there,
            self.standing(),
            self.clock.now(),
        );
        Ok(judged.map_err(|rejection| Fault::refusal(&rejection).report()))
    }

    /// Judges what was not judged when the assignment was taken, because no policy was here yet; answers a report for each
    /// target that may not come.
    pub(super) fn unapproved(&mut self) -> Result<Vec<(String, RefusalReport)>, Fault> {
        let (Some(assignment), Some(_)) = (self.assignment.clone(), &self.policy) else {
            return Ok(Vec::new());
        };
        let there = self.there()?;
        let mut approvals = self.approvals.clone();
        if approvals.counter != assignment.counter {
            approvals = Approvals {
                counter: assignment.counter,
                ..Approvals::default()
            };
        }
        let mut refused = Vec::new();
        for target in &assignment.targets {
            if approvals.approved.contains(&target.sha256) || there.contains(&target.sha256) {
                continue;
            }
            let judged = approvals.judge(&assignment, std::slice::from_ref(target), &there, self.standing());
            if let Err(rejection) = judged {
                refused.push((target.name.clone(), Fault::refusal(&rejection).report()));
            }
        }
        if approvals != self.approvals {
            approvals.keep(&self.state)?;
            self.approvals = approvals;
        }
        Ok(refused)
    }
}

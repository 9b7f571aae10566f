//! The two-person rule, as the console carries it: what is asked of approvers, what they gave, what a box gets of it.
//!
//! Refuses an approval that a box would refuse, so that people hear of it here. Invariant: this file decides nothing: the box
//! checks all of it again, against keys that this console cannot change.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use freehold_protocol::Base64;
use freehold_store::{PackageRow, PasskeyChange};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::approval::{
    ApprovalExpectation, ApprovalPackage, ApprovalRejection, ApprovedRelease, Approvers, BoxLine, STATEMENT_KIND,
    Statement, WantedRelease, check_approvals, line_list, line_path, verify_approval, verify_assertion_of,
};
use freehold_verify::document::AssignedTarget;
use freehold_verify::release::ReleaseKind;
use freehold_verify::webauthn::Assertion;
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::people::session::Visitor;
use crate::plan::{Plan, Proposal, Stand};
use crate::refused::Refused;

/// Most assertions that travel in one package; a box reads no more.
const MOST_GIVEN: usize = 16;
/// Most packages beside one assignment; a box takes no more.
const MOST_PACKAGES: usize = 8;

/// What approvers are asked, and what they answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The statement's bytes: JSON text.
    pub statement: String,
    /// How many people have to approve.
    pub needed: u32,
    /// Who did.
    pub given: Vec<Given>,
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The approver's name in the policy.
    pub name: String,
    /// Unix seconds.
    pub at: i64,
    /// What the passkey signed.
    pub assertion: Assertion,
}

/// What a plan wants approved.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The plan's name.
    pub plan: &'a str,
    /// Who proposed it.
    pub proposer: &'a str,
    /// What it brings.
    pub releases: Vec<ApprovedRelease>,
    /// To which boxes, in the plan's order.
    pub lines: &'a [BoxLine],
    /// SHA-256 of the rest of the plan.
    pub schedule: Sha256Digest,
    /// Unix seconds after which no box takes it.
    pub not_after: i64,
}

/// A target as approvals name it.
fn release_of(target: &AssignedTarget) -> ApprovedRelease {
    ApprovedRelease {
        name: target.name.clone(),
        sha256: target.sha256,
    }
}

impl Asked {
    /// The statement.
    ///
    /// # Errors
    /// When what is stored is none.
    pub fn read(&self) -> Result<Statement, ApprovalRejection> {
        Statement::parse(self.statement.as_bytes())
    }

    /// What passkeys sign: SHA-256 of the statement.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        sha256(self.statement.as_bytes())
    }

    /// How many are still missing.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.needed
            .saturating_sub(u32::try_from(self.given.len()).unwrap_or(u32::MAX))
    }

    /// What a box gets: the statement, its own line, the path between them, the assertions. `None` for a box outside the list.
    #[must_use]
    pub fn package(&self, lines: &[BoxLine], box_id: &str) -> Option<Vec<u8>> {
        let index = lines.iter().position(|line| line.box_id == box_id)?;
        let line = lines.get(index)?;
        Some(self.pack(line, index, line_path(lines, index)?))
    }

    /// The package for the box of the line at `index`, with the path from there to the statement's root.
    #[must_use]
    pub(crate) fn pack(&self, line: &BoxLine, index: usize, path: Vec<Sha256Digest>) -> Vec<u8> {
        let given = self.given.iter().take(MOST_GIVEN);
        let given = given.map(|given| given.assertion.clone()).collect();
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        ApprovalPackage::new(self.statement.as_bytes(), line, index, path, given).to_bytes()
    }

    /// The same question with the answers that `approvers` still count at these sites: a box refuses a package as a whole when
    /// one of its people is no longer listed, however many the others are.
    #[must_use]
    pub fn counting(&self, approvers: &Approvers, sites: &BTreeSet<&str>) -> Self {
        let mut counting = self.clone();
        let Ok(statement) = self.read() else {
            counting.given.clear();
            return counting;
        };
        let bytes = self.statement.as_bytes();
        counting.given.retain(|given| {
            let at = |site: &str| verify_assertion_of(bytes, &statement, site, &given.assertion, approvers);
            sites.iter().all(|site| at(site).is_ok_and(|name| name == given.name))
        });
        counting
    }
}

impl Console {
    /// How many people have to approve these releases on boxes of these sites; 0 when nobody has to.
    #[must_use]
    pub fn approvals_needed<'a>(
        &self,
        releases: &[ApprovedRelease],
        sites: impl IntoIterator<Item = &'a str> + Clone,
    ) -> u32 {
        let Some(approvers) = self.shelf().approvers.clone() else {
            return 0;
        };
        let kinds = releases
            .iter()
            .filter_map(|release| ReleaseKind::of_target(&release.name));
        let needed = kinds.flat_map(|kind| {
            let approvers = approvers.clone();
            sites.clone().into_iter().map(move |site| approvers.needed(kind, site))
        });
        needed.max().unwrap_or(0)
    }

    /// What approvers are asked about a plan; `None` when nobody has to approve it.
    #[must_use]
    pub fn ask_approval(&self, wanted: Wanted<'_>) -> Option<Asked> {
        let sites = wanted.lines.iter().map(|line| line.site.as_str());
        let needed = self.approvals_needed(&wanted.releases, sites);
        if needed == 0 {
            return None;
        }
        let statement = Statement {
            v: 1,
            kind: STATEMENT_KIND.to_owned(),
            fleet: self.0.file.fleet.clone(),
            plan: wanted.plan.to_owned(),
            proposer: wanted.proposer.to_owned(),
            releases: wanted.releases,
            boxes: line_list(wanted.lines),
            schedule: wanted.schedule,
            not_after: wanted.not_after,
        };
        Some(Asked {
            statement: String::from_utf8(statement.to_bytes()).unwrap_or_default(),
            needed,
            given: Vec::new(),
        })
    }

    /// Checks one person's approval as every box of the plan will.
    ///
    /// # Errors
    /// 422 with the box's own code, 403 when the passkey is somebody else's.
    pub fn check_approval(
        &self,
        visitor: &Visitor,
        asked: &Asked,
        lines: &[BoxLine],
        assertion: Assertion,
    ) -> Result<Given, Refused> {
        let nobody = || ApprovalRejection::UnknownApprover {
            found: "nobody: the policy in force lists no approvers".to_owned(),
        };
        let approvers = self.shelf().approvers.clone().ok_or_else(|| Refused::of(&nobody()))?;
        let statement = asked.read().map_err(|error| Refused::of(&error))?;
        let now = self.now();
        if statement.not_after < now {
            let not_after = statement.not_after;
            return Err(Refused::of(&ApprovalRejection::Expired { not_after, now }));
        }
        let mut name = String::new();
        // Boxes of one site ask the same of an assertion.
        let sites: BTreeSet<&str> = lines.iter().map(|line| line.site.as_str()).collect();
        for site in sites {
            let bytes = asked.statement.as_bytes();
            name = verify_assertion_of(bytes, &statement, site, &assertion, &approvers)
                .map_err(|rejection| Refused::of(&rejection))?;
        }
        if name != visitor.account.name {
            let message = "the passkey belongs to another account";
            let mut refused = Refused::new(StatusCode::FORBIDDEN, "console.other_passkey", message);
            refused.report.expected = Some(visitor.account.name.clone());
            refused.report.found = Some(name);
            return Err(refused);
        }
        if asked.given.iter().any(|given| given.name == name) {
            return Err(Refused::of(&ApprovalRejection::Twice { found: name }));
        }
        Ok(Given {
            name,
            at: now,
            assertion,
        })
    }

    /// Keeps packages for a box, before an assignment names them.
    pub(crate) async fn keep_packages(&self, box_id: &str, packages: Vec<Vec<u8>>) -> Result<(), Refused> {
        if packages.is_empty() {
            return Ok(());
        }
        let at = self.now();
        let rows = packages.into_iter().map(|bytes| {
            PasskeyChange::Package(PackageRow {
                box_id: box_id.to_owned(),
                sha256: sha256(&bytes).to_hex(),
                at,
                bytes,
            })
        });
        self.passkey_change(rows.collect(), Vec::new()).await
    }

    /// What a box would say to these releases, all new to it, with these packages beside them: the box's own check.
    ///
    /// # Errors
    /// The box's own rejection.
    pub(crate) fn judge_packages(
        &self,
        box_id: &str,
        releases: impl IntoIterator<Item = ApprovedRelease>,
        packages: &[Vec<u8>],
    ) -> Result<(), ApprovalRejection> {
        let Some(approvers) = self.shelf().approvers.clone() else {
            return Ok(());
        };
        let site = self.box_site(box_id);
        let expectation = self.expected_of(box_id, &site);
        let approvals = packages
            .iter()
            .map(|package| verify_approval(package, &approvers, &expectation))
            .collect::<Result<Vec<_>, _>>()?;
        let wanted = releases.into_iter().filter_map(|release| {
            Some(WantedRelease {
                kind: ReleaseKind::of_target(&release.name)?,
                release,
            })
        });
        let wanted: Vec<WantedRelease> = wanted.collect();
        check_approvals(&wanted, None, &approvals, &approvers, &site)
    }

    /// The same for an assignment. What the box was assigned before needs no approval, nor what it `keeps` as its way back.
    ///
    /// # Errors
    /// As [`Console::judge_packages`].
    pub(crate) fn judge_approvals(
        &self,
        box_id: &str,
        targets: &[AssignedTarget],
        keeps: &[String],
        packages: &[Vec<u8>],
    ) -> Result<(), ApprovalRejection> {
        let had: Vec<String> = self
            .fleet()
            .member(box_id)
            .and_then(|member| member.assignment.as_ref().map(|head| head.targets.clone()))
            .unwrap_or_default();
        let new = targets
            .iter()
            .filter(|target| !had.contains(&target.name) && !keeps.contains(&target.name));
        self.judge_packages(box_id, new.map(release_of), packages)
    }

    fn expected_of<'a>(&'a self, box_id: &'a str, site: &'a str) -> ApprovalExpectation<'a> {
        ApprovalExpectation {
            fleet: &self.0.file.fleet,
            box_id,
            site,
            now: self.now(),
        }
    }

    /// Adds the packages of the box's last assignment that cover something of the new one, where the box has not said that it
    /// got that far. Approvals count for the assignment that carries them: a box that was away would refuse both otherwise.
    pub(crate) async fn carry_packages(
        &self,
        box_id: &str,
        targets: &[AssignedTarget],
        keeps: &[String],
        packages: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refused> {
        let Some(approvers) = self.shelf().approvers.clone() else {
            return Ok(());
        };
        let open = self.fleet().member(box_id).and_then(|member| {
            let last = member.assignment.as_ref()?.counter;
            let achieved = member.report.as_ref().and_then(|report| report.achieved);
            (achieved < Some(last)).then_some(last)
        });
        let Some(last) = open else { return Ok(()) };
        let site = self.box_site(box_id);
        let stored = self.0.store.assignment_of(box_id, last).await;
        let envelope = stored.map_err(|error| Refused::inside(&error))?.map(Base64);
        for Base64(package) in self.approvals_of(box_id, envelope.as_ref()).await? {
            let Ok(approval) = verify_approval(&package, &approvers, &self.expected_of(box_id, &site)) else {
                continue;
            };
            let mut brought = targets.iter().filter(|target| !keeps.contains(&target.name));
            let covers = brought.any(|target| approval.covers(&release_of(target)));
            if covers && !packages.contains(&package) && packages.len() < MOST_PACKAGES {
                packages.push(package);
            }
        }
        Ok(())
    }

    /// The site that an assignment to a box names.
    pub(crate) fn box_site(&self, box_id: &str) -> String {
        self.site_of(box_id).unwrap_or_else(|| self.0.file.site.clone())
    }

    /// The line of the one box of a plan from a box's page.
    pub(crate) fn plan_lines(&self, proposal: &Proposal) -> Vec<BoxLine> {
        vec![BoxLine::new(proposal.box_id(), &self.box_site(proposal.box_id()))]
    }

    /// What approvers are asked about a proposal from a box's page.
    pub(crate) fn ask_about(&self, plan: &str, proposal: &Proposal, by: &str) -> Option<Asked> {
        let Proposal::Assign { targets, .. } = proposal else {
            return None;
        };
        let releases = targets.iter().filter_map(|(name, digest)| {
            Some(ApprovedRelease {
                name: name.clone(),
                sha256: digest.parse().ok()?,
            })
        });
        self.ask_approval(Wanted {
            plan,
            proposer: by,
            releases: releases.collect(),
            lines: &self.plan_lines(proposal),
            schedule: proposal.digest().parse().ok()?,
            not_after: self.now().saturating_add(self.0.file.rules.assignment_ttl),
        })
    }

    /// A person approves a waiting plan.
    ///
    /// # Errors
    /// 403, 404, 409 when it waits no more or needs nobody, 422 with the box's own code.
    pub async fn approve_plan(&self, visitor: &Visitor, id: &str, assertion: Assertion) -> Result<Plan, Refused> {
        let plan = self.plan_of(visitor, id)?;
        let place = self.place_of_proposal(&plan.proposal);
        self.allow_deciding(visitor, &plan.by, std::slice::from_ref(&place))
            .await?;
        let decided = || {
            Refused::new(
                StatusCode::CONFLICT,
                "console.plan_decided",
                "the plan waits for nobody's approval",
            )
        };
        let asked = plan.asked.as_ref().filter(|_| plan.stand == Stand::Waiting);
        let asked = asked.ok_or_else(decided)?;
        let who = &visitor.account.name;
        let entry = self
            .entry("plan.approved", who)
            .about(plan.proposal.subject())
            .fact("plan", plan.digest.clone())
            .fact("statement", asked.digest().to_hex());
        let given = match self.check_approval(visitor, asked, &self.plan_lines(&plan.proposal), assertion) {
            Ok(given) => given,
            Err(refused) => {
                self.record(entry.refused(&refused.report.code)).await?;
                return Err(refused);
            }
        };
        let entry = entry.fact("credential", given.assertion.credential.clone());
        let used = PasskeyChange::Used {
            credential: given.assertion.credential.clone(),
            count: 0,
            at: given.at,
        };
        let (row, plan) = self.0.plans.approve(id, given).ok_or_else(decided)?;
        if let Err(refused) = self.pending_change(vec![row], vec![entry]).await {
            self.0.plans.unapprove(id, who);
            return Err(refused);
        }
        // When a passkey was used last is shown and decides nothing.
        let _ = self.passkey_change(vec![used], Vec::new()).await;
        self.0.live.tell(crate::live::Changed::Approvals);
        Ok(plan)
    }
}

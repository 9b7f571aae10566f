//! The two-person rule for rollouts: what approvers are asked about a plan, what they gave, what travels with each order.
//!
//! Refuses an approval that a box would refuse, and to begin before the boxes would take the release. Invariant: the statement
//! is made once, with the plan, and its lines follow from the plan alone; an approval by passkey is stored together with the
//! change of the rollout that it is.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use freehold_fleet::Entry;
use freehold_fleet::rollout::{Command, Direction, Plan, ReleaseRef};
use freehold_store::PasskeyChange;
use freehold_trust::{Sha256Digest, merkle};
use freehold_verify::approval::{ApprovalRejection, ApprovedRelease, BoxLine};
use freehold_verify::webauthn::Assertion;

use super::Kept;
use super::orders::target;
use super::propose::no;
use super::run::Decided;
use crate::approvals::{Asked, Given, Wanted};
use crate::console::Console;
use crate::live::Changed;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// Longest time for which approvals count, in seconds, as long as the longest assignment: a deadline may be centuries away, and
/// an approval that nobody remembers giving should open nothing.
const LONGEST: i64 = 366 * 86_400;
/// What must be left of that time, in seconds, for approvals to travel with an order to go back. Such an order does without
/// them as long as the box keeps its way back; approvals that ran out on the way would have the box refuse it as a whole.
const TO_SPARE: i64 = 86_400;

fn approved(release: &ReleaseRef) -> Option<ApprovedRelease> {
    Some(ApprovedRelease {
        name: target(release),
        sha256: release.sha256.parse().ok()?,
    })
}

/// The boxes of a plan as approvers sign them, in the plan's order: each with what it may be sent back to.
fn lines(plan: &Plan) -> Vec<BoxLine> {
    (plan.boxes.iter())
        .map(|planned| BoxLine {
            back: planned.from.iter().filter_map(approved).collect(),
            ..BoxLine::new(&planned.box_id, &planned.site)
        })
        .collect()
}

fn sites(lines: &[BoxLine]) -> BTreeSet<&str> {
    lines.iter().map(|line| line.site.as_str()).collect()
}

/// The approvals of one rollout, ready to be packed for its boxes.
pub(super) struct Packages {
    asked: Asked,
    lines: Vec<BoxLine>,
    /// Their hashes: a plan of ten thousand boxes is hashed once, not once for each box.
    leaves: Vec<Sha256Digest>,
    not_after: i64,
}

impl Console {
    /// How many people have to approve this release on boxes of these sites before any of them takes it.
    pub(super) fn people_wanted<'a>(
        &self,
        release: &ReleaseRef,
        sites: impl IntoIterator<Item = &'a str> + Clone,
    ) -> u32 {
        let release = approved(release);
        self.approvals_needed(release.as_slice(), sites)
    }

    /// What approvers are asked about a plan; `None` when the publisher's policy asks nobody.
    pub(super) fn ask_about_rollout(&self, plan: &Plan) -> Option<Asked> {
        let mut asked = self.ask_approval(Wanted {
            plan: &plan.id,
            proposer: &plan.by,
            releases: approved(&plan.release).into_iter().collect(),
            lines: &lines(plan),
            schedule: plan.digest(),
            not_after: plan.deadline.min(self.now().saturating_add(LONGEST)),
        })?;
        // Whoever proposes may want more people than the policy does.
        asked.needed = asked.needed.max(plan.approvals);
        Some(asked)
    }

    /// Approves a plan with a passkey, over the statement that was made with it.
    ///
    /// # Errors
    /// 403, 404, 409 when it is over or is approved by password, 422 with the code that a box would answer.
    pub async fn approve_rollout_with_passkey(
        &self,
        visitor: &Visitor,
        id: &str,
        assertion: Assertion,
    ) -> Result<(), Refused> {
        let kept = self.rollout_of(visitor, id)?;
        let plan = kept.rollout.plan();
        let places = self.places_of_rollout(&kept);
        self.allow_deciding(visitor, &plan.by, &places).await?;
        let mut entry = self.entry("rollout.approved", &visitor.account.name).about(id);
        entry = entry.fact("plan", plan.digest().to_hex());
        if let Some(asked) = &kept.asked {
            entry = entry.fact("statement", asked.digest().to_hex());
        }
        let used = PasskeyChange::Used {
            credential: assertion.credential.clone(),
            count: 0,
            at: self.now(),
        };
        let (console, who, told) = (self.clone(), visitor.clone(), entry.clone());
        let decided = self
            .change_rollout(id, move |kept, now| {
                console.decide_approval(kept, now, &who, assertion, told)
            })
            .await;
        if let Err(refused) = decided {
            if refused.status.is_client_error() {
                self.record(entry.refused(&refused.report.code)).await?;
            }
            return Err(refused);
        }
        // When a passkey was used last is shown and decides nothing.
        let _ = self.passkey_change(vec![used], Vec::new()).await;
        self.0.live.tell(Changed::Approvals);
        self.0.rollouts.wake();
        Ok(())
    }

    /// The approval and the change that it is: both, or none.
    fn decide_approval(
        &self,
        kept: &Kept,
        now: i64,
        visitor: &Visitor,
        assertion: Assertion,
        entry: Entry,
    ) -> Result<Decided, Refused> {
        let plan = kept.rollout.plan();
        let asked = kept.asked.as_ref().ok_or_else(password_wanted)?;
        let command = Command::Approve {
            by: visitor.account.name.clone(),
            digest: plan.digest().to_hex(),
        };
        let changes = kept
            .rollout
            .command(&command, now)
            .map_err(|rejection| no(&rejection))?;
        let given = self.check_approval(visitor, asked, &lines(plan), assertion)?;
        let entry = entry.fact("credential", given.assertion.credential.clone());
        Ok(Decided {
            changes,
            entries: vec![entry],
            given: Some(given),
        })
    }

    /// Whether the boxes would take the release today, by the check of one box of each site: the others there ask the same people
    /// about the same statement.
    ///
    /// # Errors
    /// `approval.missing` while people are missing, and the box's other codes.
    pub(super) fn approved_enough(&self, kept: &Kept) -> Result<(), ApprovalRejection> {
        let plan = kept.rollout.plan();
        let packages = self.packages_of(kept);
        let mut asked = BTreeSet::new();
        for one in plan.boxes.iter().filter(|one| asked.insert(one.site.as_str())) {
            let package = packages.as_ref().and_then(|packages| packages.package(&one.box_id));
            self.judge_packages(&one.box_id, approved(&plan.release), package.as_slice())?;
        }
        Ok(())
    }

    /// What people gave for a rollout and still counts; `None` where the policy in force asks nobody, or asked nobody when the
    /// plan was made: then there is nothing to send along.
    pub(super) fn packages_of(&self, kept: &Kept) -> Option<Packages> {
        let asked = kept.asked.as_ref()?;
        let plan = kept.rollout.plan();
        let lines = lines(plan);
        let approvers = self.shelf().approvers.clone()?;
        if self.people_wanted(&plan.release, sites(&lines)) == 0 {
            return None;
        }
        Some(Packages {
            not_after: asked.read().map_or(i64::MIN, |statement| statement.not_after),
            asked: asked.counting(&approvers, &sites(&lines)),
            leaves: lines.iter().map(|line| merkle::leaf_hash(&line.to_bytes())).collect(),
            lines,
        })
    }

    /// What travels with an order. To go back, approvals travel only while they surely still count when they arrive.
    pub(super) fn package_for(
        &self,
        packages: &Packages,
        box_id: &str,
        direction: Direction,
        run: &ReleaseRef,
    ) -> Option<Vec<u8>> {
        let package = packages.package(box_id)?;
        if direction == Direction::Back {
            let lasts = packages.not_after >= self.now().saturating_add(TO_SPARE);
            let counts = self.judge_packages(box_id, approved(run), std::slice::from_ref(&package));
            return (lasts && counts.is_ok()).then_some(package);
        }
        Some(package)
    }
}

impl Packages {
    fn package(&self, box_id: &str) -> Option<Vec<u8>> {
        let index = self.lines.iter().position(|line| line.box_id == box_id)?;
        let path = merkle::path(&self.leaves, index)?;
        Some(self.asked.pack(self.lines.get(index)?, index, path))
    }
}

impl Kept {
    /// Adds a person's approval to what is in memory, in the order in which the store gives them back.
    pub(super) fn add_approval(&mut self, given: Given) {
        if let Some(asked) = &mut self.asked {
            asked.given.push(given);
            asked
                .given
                .sort_by(|one, other| (one.at, &one.name).cmp(&(other.at, &other.name)));
        }
    }
}

/// A password where a passkey is wanted.
pub(super) fn passkey_wanted(needed: u32) -> Refused {
    let message = format!("the publisher's policy wants the passkeys of {needed} people for this release");
    let mut refused = Refused::new(StatusCode::CONFLICT, "rollout.passkey_wanted", message);
    refused.report.expected = Some("a passkey".to_owned());
    refused.report.found = Some("a password".to_owned());
    refused
}

/// A passkey where the password is wanted.
fn password_wanted() -> Refused {
    let message = "the publisher's policy wants no passkeys for this release";
    let mut refused = Refused::new(StatusCode::CONFLICT, "rollout.password_wanted", message);
    refused.report.expected = Some("a password".to_owned());
    refused.report.found = Some("a passkey".to_owned());
    refused
}

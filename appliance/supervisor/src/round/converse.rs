//! The conversation of a round: enrol, attest, report, fetch the assignment and the metadata, show the record's head.
//!
//! Refuses to go on to a part whose condition does not hold: no report before a verdict that gave a certificate. Invariant:
//! the order is fixed, and every part can be repeated.

use std::time::{Duration, Instant};

use freehold_protocol::enrol::EnrolState;
use freehold_protocol::health::HEALTH_LIMIT;
use freehold_protocol::local::{ApiToken, Quota, Scope};
use freehold_protocol::report::{BoxReport, ClientToken};
use freehold_protocol::{V1, routes};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::RefusalReport;
use freehold_verify::document::{AssignmentExpectation, AssignmentUse, MAX_DOCUMENT, verify_assignment};

use crate::console::Console;
use crate::enrol::{Attempt, Candidate, advance};
use crate::fault::Fault;
use crate::identity::Identity;
use crate::pairing::Fleet;
use crate::policy;
use crate::repository::Repository;
use crate::supervisor::{Pursuit, Supervisor};

/// After a console refused an enrolment, so long until it is asked again: a person has to act first.
const ENROL_RETRY: Duration = Duration::from_secs(30);
/// What one token may do at once and in a minute, until settings say otherwise.
const QUOTA: Quota = Quota {
    concurrent: 8,
    per_minute: 600,
};

impl Supervisor {
    /// Everything that is said to the console in a round.
    pub(super) async fn converse(&mut self) -> Result<(), Fault> {
        self.know_ourselves().await?;
        self.keep_count().await?;
        self.enrol().await?;
        if self.enrolment != EnrolState::Approved {
            return Ok(());
        }
        self.take_up_assignment()?;
        match self.prove().await {
            // A TPM that is away says nothing about what was proven before: the report says that it is away.
            Err(fault) if fault.code().starts_with("tpm.") && self.verdict.allows_change() => {
                self.tpm_fault(&fault).await?;
            }
            other => other?,
        }
        // Whatever the verdict: this is how a box hears that its lease was withdrawn.
        self.fetch_lease().await?;
        if !self.verdict.allows_change() {
            return Ok(());
        }
        let waits = match self.report().await {
            Err(fault) if must_attest(&fault) => {
                self.attest_due = true;
                return Err(fault);
            }
            other => other?,
        };
        self.fetch_assignment(waits).await?;
        self.update_repository().await?;
        self.show_record().await?;
        self.witness().await
    }

    pub(crate) fn console(&mut self) -> Result<&Console, Fault> {
        if let (None, Some(courier)) = (&self.console, &self.sticks.courier) {
            self.console = Some(Console::by_stick(courier.clone()));
        }
        if self.console.is_none() {
            let identity = self
                .identity
                .as_ref()
                .ok_or_else(|| Fault::of("tpm.unavailable", "the TPM was not open yet"))?;
            self.console = Some(Console::new(&self.pairing, identity, &self.clock)?);
        }
        self.console
            .as_ref()
            .ok_or_else(|| Fault::of("console.away", "no console"))
    }

    pub(super) async fn know_ourselves(&mut self) -> Result<(), Fault> {
        if self.identity.is_none() {
            let (state, tpm, box_id, clock) = (
                self.state.clone(),
                self.tpm.clone(),
                self.box_id.clone(),
                self.clock.clone(),
            );
            let opened = tokio::task::spawn_blocking(move || Identity::open(&state, &tpm, &box_id, &clock)).await;
            self.identity = Some(opened.map_err(|error| Fault::of("tpm.garbage", error.to_string()))??);
        }
        Ok(())
    }

    pub(super) async fn enrol(&mut self) -> Result<(), Fault> {
        if self.enrolment == EnrolState::Approved && self.fleet.is_some() {
            return Ok(());
        }
        // A console that said no is not asked again at every look.
        if let Some((at, report)) = &self.enrol_refused
            && at.elapsed() < ENROL_RETRY
        {
            return Err(report.clone().into());
        }
        self.console()?;
        let (Some(identity), Some(console)) = (&self.identity, &self.console) else {
            return Ok(());
        };
        let candidate = Candidate {
            tpm: &self.tpm,
            identity,
            pairing: &self.pairing,
            label: if self.settings.label.is_empty() {
                &self.box_id
            } else {
                &self.settings.label
            },
            ek_chain: self.settings.ek_chain.as_deref(),
        };
        let attempt = if self.enrol_refused.is_some() {
            Attempt::Again
        } else {
            Attempt::First
        };
        let advanced = advance(
            &candidate,
            console,
            &self.state,
            &self.chronicle,
            &mut self.endorsement,
            attempt,
        )
        .await;
        let standing = match advanced {
            Err(fault)
                if fault.code() != "console.away"
                    && !fault.code().starts_with("tpm.")
                    && !crate::stick::is_later(&fault) =>
            {
                self.enrol_refused = Some((Instant::now(), fault.report()));
                return Err(fault);
            }
            other => other?,
        };
        self.enrol_refused = None;
        let news = self.enrolment != standing.state;
        self.enrolment = standing.state;
        self.status.fingerprint = Some(standing.fingerprint.clone());
        let word = match standing.state {
            EnrolState::Unknown => "unknown",
            EnrolState::WaitingForApproval => "waiting_for_approval",
            EnrolState::Approved => "approved",
            EnrolState::Refused => "refused",
        };
        self.status.enrolment = word.to_owned();
        if let Some(fleet) = standing.fleet
            && self.fleet.is_none()
        {
            self.chronicle
                .entry("fleet.learnt")
                .with("fleet", self.pairing.fleet.as_str())
                .with("director", fleet.director.fingerprint())
                .with("tuf_root", sha256(&fleet.root))
                .write()
                .await?;
            self.repository = Some(Repository::open(&self.state, &fleet.root)?);
            self.fleet = Some(fleet);
        }
        if news {
            tracing::info!(state = word, fingerprint = %standing.fingerprint, "enrolment");
            self.chronicle.entry("enrol.state").with("state", word).write().await?;
        }
        match standing.state {
            EnrolState::WaitingForApproval => {
                self.status.doing = format!("waiting for a person to approve {}", standing.fingerprint);
                Ok(())
            }
            EnrolState::Refused => {
                let fault = Fault::of("enrol.refused_by_person", "a person refused this box at the console");
                self.enrol_refused = Some((Instant::now(), fault.report()));
                Err(fault)
            }
            _ => Ok(()),
        }
    }

    /// The assignment that an earlier run accepted; needs the director's key, so it waits for it.
    pub(super) fn take_up_assignment(&mut self) -> Result<(), Fault> {
        let (None, Some(fleet), Some(_)) = (&self.assignment, &self.fleet, self.pursuit.accepted) else {
            return Ok(());
        };
        self.assignment = resume(
            &self.state,
            fleet,
            &self.box_id,
            &self.pairing.fleet,
            &self.pursuit,
            self.clock.now(),
        )?;
        Ok(())
    }

    /// Reports; answers the counter of an assignment that waits.
    pub(super) async fn report(&mut self) -> Result<Option<u64>, Fault> {
        let report = self.say_how_we_are().await;
        let answer = self.console()?.report(&report).await?;
        self.inventory_told = true;
        self.wished = Some(answer.next);
        self.attest_due |= answer.attest;
        let tokens: Vec<ApiToken> = answer.tokens.iter().filter_map(token).collect();
        if tokens != self.tokens {
            self.state.put_json("tokens.json", &tokens)?;
            self.tokens = tokens;
        }
        Ok(answer.assignment)
    }

    /// The next report.
    pub(super) async fn say_how_we_are(&mut self) -> BoxReport {
        self.sequence = self.sequence.saturating_add(1);
        self.how_far();
        let stored = self.store.stored().unwrap_or_default();
        let mut health = self.system.health();
        health.extend(
            self.health.report(
                (self.aim.desired.models.values())
                    .map(|wanted| (&wanted.release, wanted.name.as_str(), wanted.version.as_str())),
                |release| {
                    let admitted = stored.get(release);
                    admitted
                        .map(|admitted| self.door.requests(&admitted.root))
                        .unwrap_or_default()
                },
            ),
        );
        health.truncate(HEALTH_LIMIT);
        BoxReport {
            v: V1,
            sequence: self.sequence,
            at: self.clock.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            achieved: self.pursuit.achieved,
            pursuing: self
                .pursuit
                .accepted
                .filter(|accepted| Some(*accepted) != self.pursuit.achieved),
            doing: self.status.doing.chars().take(200).collect(),
            refusals: self.refusals.iter().cloned().collect(),
            models: self.status.models.clone(),
            gateway: self.gateway(),
            inventory: self.inventory().await,
            health,
        }
    }

    /// What is in the box; told once after each start, since it changes with the power off.
    async fn inventory(&self) -> Option<serde_json::Value> {
        if self.inventory_told {
            return None;
        }
        let found = tokio::task::spawn_blocking(|| freehold_inventory::collect(std::path::Path::new("/")))
            .await
            .ok()?;
        serde_json::to_value(found).ok()
    }

    pub(super) async fn fetch_assignment(&mut self, waits: Option<u64>) -> Result<(), Fault> {
        let wanted = waits.is_some_and(|counter| Some(counter) != self.pursuit.accepted);
        let (true, Some(fleet)) = (wanted, self.fleet.clone()) else {
            return Ok(());
        };
        let Some(envelope) = self.console()?.get(routes::ASSIGNMENT, MAX_DOCUMENT).await? else {
            return Ok(());
        };
        let digest = sha256(&envelope);
        if self.refused_envelope == Some(digest) {
            return Ok(());
        }
        let expectation = AssignmentExpectation {
            fleet: self.pairing.fleet.clone(),
            box_id: self.box_id.clone(),
            last_counter: self.pursuit.accepted,
            purpose: AssignmentUse::Install,
        };
        match verify_assignment(&envelope, &fleet.director, &expectation, self.clock.now()) {
            Ok(assignment) => {
                let packages = self.fetch_approvals(&assignment).await?;
                let approvals = match self.judge_approvals(&assignment, packages)? {
                    Ok(approvals) => approvals,
                    Err(report) => return self.assignment_refused(digest, report).await,
                };
                let targets: Vec<String> = assignment.targets.iter().map(|target| target.name.clone()).collect();
                tracing::info!(counter = assignment.counter, ?targets, "assignment accepted");
                self.chronicle
                    .entry("assignment.accepted")
                    .with("counter", assignment.counter)
                    .with("envelope", digest)
                    .with("targets", targets)
                    .with("approved_by", approvals.by().iter().cloned().collect::<Vec<_>>())
                    .write()
                    .await?;
                // The envelope first: a counter without its envelope would be a promise that nobody can keep.
                self.state.put("assignment.dsse", &envelope)?;
                approvals.keep(&self.state)?;
                self.approvals = approvals;
                self.pursuit = Pursuit {
                    v: 1,
                    accepted: Some(assignment.counter),
                    achieved: self.pursuit.achieved,
                    ..Pursuit::default()
                };
                self.state.put_json("pursuit.json", &self.pursuit)?;
                let asked = assignment.targets.iter().map(|target| target.sha256).collect();
                self.health.asked(&asked);
                self.health.keep(&self.state)?;
                self.assignment = Some(assignment);
                self.aim.desired.assignment = None;
                self.count_change().await?;
            }
            Err(rejection) => {
                let report = Fault::refusal(&rejection).report();
                self.assignment_refused(digest, report).await?;
            }
        }
        Ok(())
    }

    async fn assignment_refused(&mut self, envelope: Sha256Digest, report: RefusalReport) -> Result<(), Fault> {
        tracing::warn!(code = %report.code, message = %report.message, "assignment refused");
        self.chronicle
            .entry("assignment.refused")
            .with("envelope", envelope)
            .refused(&report)
            .write()
            .await?;
        self.remember(report);
        self.refused_envelope = Some(envelope);
        Ok(())
    }

    pub(super) async fn update_repository(&mut self) -> Result<(), Fault> {
        self.console()?;
        let now = self.clock.now();
        let (Some(repository), Some(console)) = (&mut self.repository, &self.console) else {
            return Ok(());
        };
        let updated = repository
            .update(console, &self.state, now, self.installed.revocations)
            .await?;
        let Some(listing) = repository.listing.clone() else {
            return Ok(());
        };
        if listing.revocations.list.counter > self.installed.revocations {
            self.chronicle
                .entry("revocations.seen")
                .with("counter", listing.revocations.list.counter)
                .write()
                .await?;
            self.installed.saw(&listing.revocations);
            self.state.put_json("installed.json", &self.installed)?;
        }
        if updated == crate::repository::Updated::Same && self.policy.is_some() {
            return Ok(());
        }
        let assigned: Vec<String> = self
            .assignment
            .as_ref()
            .map(|assignment| assignment.targets.iter().map(|target| target.name.clone()).collect())
            .unwrap_or_default();
        let taken = policy::update(
            self.policy.as_ref(),
            console,
            &self.state,
            &listing,
            &assigned,
            &self.installed,
            now,
        )
        .await?;
        if let Some((policy, release)) = taken {
            tracing::info!(target = policy.target(), "policy taken");
            self.chronicle
                .entry("policy.taken")
                .with("target", policy.target())
                .with("release", policy.release())
                .write()
                .await?;
            self.installed.installed(&release);
            self.state.put_json("installed.json", &self.installed)?;
            self.policy = Some(policy);
            // Whom the last one did not know, this one may.
            self.refused_envelope = None;
        }
        Ok(())
    }
}

/// Whether a refusal means that the certificate or the verdict is no longer good.
fn must_attest(fault: &Fault) -> bool {
    fault.code().starts_with("channel.certificate")
        || matches!(fault.code(), "console.not_trusted" | "console.unknown_key")
}

fn token(given: &ClientToken) -> Option<ApiToken> {
    Some(ApiToken {
        id: given.id.clone(),
        name: given.name.clone(),
        sha256: given.sha256.parse().ok()?,
        scopes: vec![Scope::Models, Scope::Chat, Scope::Embeddings],
        models: given.models.clone(),
        quota: QUOTA,
        not_after: given.expires,
    })
}

/// The stored assignment, verified again.
pub(super) fn resume(
    state: &crate::state::State,
    fleet: &Fleet,
    box_id: &str,
    fleet_id: &str,
    pursuit: &Pursuit,
    now: i64,
) -> Result<Option<freehold_verify::Verified<freehold_verify::document::Assignment>>, Fault> {
    let Some(envelope) = state.bytes("assignment.dsse")? else {
        return Ok(None);
    };
    let expectation = AssignmentExpectation {
        fleet: fleet_id.to_owned(),
        box_id: box_id.to_owned(),
        last_counter: pursuit.accepted,
        purpose: AssignmentUse::Resume,
    };
    match verify_assignment(&envelope, &fleet.director, &expectation, now) {
        Ok(assignment) => Ok(Some(assignment)),
        // The power went between the envelope and the counter: the console will offer it again.
        Err(freehold_verify::document::AssignmentRejection::Rollback { .. }) => Ok(None),
        Err(rejection) => Err(rejection.into()),
    }
}

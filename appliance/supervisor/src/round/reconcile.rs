//! The other half of a round: aim, look, plan, carry out.
//!
//! Refuses to carry out a step whose entry is not durable. Invariant: the plan on the disk is the one that is carried out,
//! and it is there before its first step.

use std::collections::BTreeMap;

use freehold_execute::{Admitted, Hands, Progress, SoFar, StepFailed, carry_out};
use freehold_plan::{Observed, Permission, Plan, Step, StoredModel, WaitingOn, plan};
use freehold_protocol::enrol::EnrolState;
use freehold_trust::Sha256Digest;

use crate::desired::{aim, taken_back};
use crate::fault::Fault;
use crate::judge::Court;
use crate::round::converse::resume;
use crate::source::FromConsole;
use crate::state::State;
use crate::status::{Board, Status};
use crate::supervisor::Supervisor;

/// Shows the progress of a download in the status file.
struct Telling<'a> {
    state: &'a State,
    board: &'a mut Board,
    status: &'a mut Status,
}

impl Progress for Telling<'_> {
    fn chunk(&mut self, target: &str, path: &str, done: usize, all: usize) {
        let folder = target.rsplit_once('/').map_or(target, |(folder, _)| folder);
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        self.status.doing = format!("fetching {folder}/{path} {percent} %");
        if let Err(fault) = self.board.show(self.state, self.status) {
            tracing::warn!(%fault, "the status cannot be written");
        }
    }
}

impl Supervisor {
    /// Brings the box nearer to its assignment. Answers whether nothing is left to do.
    pub(super) async fn reconcile(&mut self) -> Result<bool, Fault> {
        if let (None, Some(fleet), Some(_)) = (&self.assignment, &self.fleet, self.pursuit.accepted) {
            self.assignment = resume(
                &self.state,
                fleet,
                &self.box_id,
                &self.pairing.fleet,
                &self.pursuit,
                self.clock.now(),
            )?;
        }
        self.take_aim().await?;
        let observed = self.observe()?;
        let made = plan(&self.aim.desired, &observed);
        self.write_plan(&made)?;
        let went = self.pursue(&made).await;
        self.models(&made)?;
        let done = match went {
            Ok(()) => made.is_empty() && made.waiting.is_empty(),
            Err(fault) => return Err(fault),
        };
        if done
            && self.aim.desired.assignment.is_some()
            && self.pursuit.failed.is_empty()
            && self.aim.desired.refused.is_empty()
        {
            self.achieved().await?;
        }
        let spoken = self.status.console == "ok" && self.status.tpm.state == "ok";
        if made.is_empty() && spoken && self.enrolment == EnrolState::Approved && self.verdict.allows_change() {
            self.status.doing = made
                .waiting
                .first()
                .map_or_else(|| "at rest".to_owned(), ToString::to_string);
        }
        Ok(done)
    }

    /// What the assignment means under the metadata of now; the last aim stays when that cannot be said.
    async fn take_aim(&mut self) -> Result<(), Fault> {
        let listing = self
            .repository
            .as_ref()
            .and_then(|repository| repository.listing.as_ref());
        let (Some(assignment), Some(listing)) = (&self.assignment, listing) else {
            return Ok(());
        };
        let now = self.clock.now();
        match aim(
            &self.state,
            self.console.as_ref(),
            assignment,
            listing,
            &self.installed,
            now,
        )
        .await
        {
            Ok(aim) => {
                self.aim = aim;
                Ok(())
            }
            Err(fault) if fault.code() == "console.away" => {
                tracing::debug!(%fault, "the aim stays as it was");
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    fn permission(&self) -> Permission {
        if self.enrolment != EnrolState::Approved {
            return Permission::Keep(if self.status.console == "ok" {
                WaitingOn::Approval
            } else {
                WaitingOn::Console
            });
        }
        if !self.verdict.allows_change() {
            return Permission::Keep(WaitingOn::Verdict);
        }
        if self.status.console == "console.away" {
            return Permission::Keep(WaitingOn::Console);
        }
        if self.aim.expired {
            return Permission::Keep(WaitingOn::Metadata);
        }
        Permission::Change
    }

    fn observe(&mut self) -> Result<Observed, Fault> {
        let stored = self.store.stored()?;
        let revocations = self
            .repository
            .as_ref()
            .and_then(|repository| repository.listing.as_ref())
            .map(|listing| &listing.revocations);
        let mut observed = Observed::empty(self.store.free_bytes()?);
        observed.permission = self.permission();
        observed.hardware.clone_from(&self.settings.hardware);
        observed.failed.clone_from(&self.pursuit.failed);
        observed.told.clone_from(&self.pursuit.told);
        for (root, admitted) in &stored {
            if let Some(report) = revocations.and_then(|revocations| taken_back(revocations, admitted)) {
                observed.revoked.insert(*root, report);
            }
            let Admitted {
                release, name, version, ..
            } = admitted.clone();
            observed.stored.insert(*root, StoredModel { release, name, version });
        }
        for release in self.store.unfinished()? {
            let mut files = BTreeMap::new();
            if let (Some(wanted), Some(signed)) =
                (self.aim.desired.models.get(&release), self.aim.releases.get(&release))
            {
                for (file, signed) in wanted.files.iter().zip(signed.descriptor.all_files()) {
                    let there = self
                        .store
                        .chunks(&release, file.place, &file.path, file.chunk_size, &signed.chunks)?;
                    if let Some(there) = there {
                        files.insert(file.path.clone(), there);
                    }
                }
            }
            observed.staged.insert(release, files);
        }
        observed.engines = self.engines.observe();
        Ok(observed)
    }

    fn write_plan(&mut self, made: &Plan) -> Result<(), Fault> {
        let digest = made.digest().to_hex();
        if self.status.plan.as_ref() != Some(&digest) {
            self.state.put_json("plan.json", made)?;
            self.status.plan = Some(digest);
        }
        self.status.steps = made.steps.iter().map(ToString::to_string).collect();
        self.status.waiting = made.waiting.iter().map(ToString::to_string).collect();
        Ok(())
    }

    /// Carries a plan out, step by step, each recorded before it is done.
    async fn pursue(&mut self, made: &Plan) -> Result<(), Fault> {
        if made.is_empty() {
            return Ok(());
        }
        let digest = made.digest();
        self.chronicle
            .entry("plan.begun")
            .with("plan", digest)
            .with("assignment", made.assignment)
            .with("steps", made.steps.len())
            .write()
            .await?;
        let mut so_far = SoFar::default();
        let mut seen = BTreeMap::new();
        for step in &made.steps {
            self.before(step).await?;
            let revocations = self
                .repository
                .as_ref()
                .and_then(|repository| repository.listing.as_ref())
                .map(|listing| listing.revocations.clone());
            let mut court = Court {
                releases: &self.aim.releases,
                revocations: revocations.as_ref(),
                policy: self.policy.as_ref(),
                hardware: &self.settings.hardware,
                now: self.clock.now(),
                seen,
            };
            let source = FromConsole(self.console.as_ref());
            let mut telling = Telling {
                state: &self.state,
                board: &mut self.board,
                status: &mut self.status,
            };
            let mut hands = Hands {
                store: &self.store,
                host: &mut self.engines,
                judge: &mut court,
                source: &source,
                so_far: std::mem::take(&mut so_far),
            };
            let outcome = carry_out(step, &mut hands, &mut telling).await;
            so_far = hands.so_far;
            seen = court.seen;
            self.after(step, outcome).await?;
        }
        Ok(())
    }

    /// The entry that a step needs before it may happen, and what the status says meanwhile.
    async fn before(&mut self, step: &Step) -> Result<(), Fault> {
        tracing::info!("{step}");
        self.status.doing = step.to_string();
        let entry = match step {
            Step::RefuseTarget { target, refusal } => self
                .chronicle
                .entry("release.refused")
                .with("target", target.as_str())
                .refused(refusal),
            Step::FetchFile {
                release, path, chunks, ..
            } => self
                .chronicle
                .entry("release.fetch")
                .with("release", *release)
                .with("path", path.as_str())
                .with("chunks", chunks.len()),
            Step::VerifyModel { release, root, name } => {
                model(&self.chronicle, "model.verify", root, name, Some(release))
            }
            Step::AdmitModel { release, root, name } => {
                model(&self.chronicle, "model.admit", root, name, Some(release))
            }
            Step::StoreModel { release, root, name } => {
                model(&self.chronicle, "model.store", root, name, Some(release))
            }
            Step::StartEngine { root, name, purpose } => {
                model(&self.chronicle, "engine.start", root, name, None).with("purpose", purpose.to_string())
            }
            Step::StopEngine { root, purpose, because } => self
                .chronicle
                .entry("engine.stop")
                .with("model", *root)
                .with("purpose", purpose.to_string())
                .with("because", because.as_str()),
            Step::RemoveModel { root, name, because } => {
                model(&self.chronicle, "model.remove", root, name, None).with("because", because.as_str())
            }
            Step::DiscardStaged { release } => self.chronicle.entry("release.discard").with("release", *release),
        };
        entry.write().await?;
        Ok(())
    }

    /// What a step leaves behind: a refusal is final and remembered, a fault ends the plan.
    async fn after(&mut self, step: &Step, outcome: Result<(), StepFailed>) -> Result<(), Fault> {
        match outcome {
            Ok(()) => {
                match step {
                    Step::RefuseTarget { target, refusal } => {
                        self.pursuit.told.insert(target.clone(), refusal.code.clone());
                        self.state.put_json("pursuit.json", &self.pursuit)?;
                        self.remember(refusal.clone());
                    }
                    Step::StoreModel { release, .. } => {
                        if let Some(release) = self.aim.releases.get(release) {
                            self.installed.installed(release);
                            self.state.put_json("installed.json", &self.installed)?;
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            Err(StepFailed::Refused(report)) => {
                tracing::warn!(code = %report.code, message = %report.message, "refused: {step}");
                let release = match step {
                    Step::FetchFile { release, .. }
                    | Step::VerifyModel { release, .. }
                    | Step::AdmitModel { release, .. }
                    | Step::StoreModel { release, .. } => Some(*release),
                    _ => None,
                };
                self.chronicle
                    .entry("step.refused")
                    .with("step", step.to_string())
                    .refused(&report)
                    .write()
                    .await?;
                self.remember(report.clone());
                if let Some(release) = release {
                    self.pursuit.failed.insert(release, report.clone());
                    self.state.put_json("pursuit.json", &self.pursuit)?;
                }
                Err(report.into())
            }
            Err(StepFailed::Away(report)) => {
                tracing::warn!(code = %report.code, message = %report.message, "not now: {step}");
                if report.code != "console.away" {
                    self.chronicle
                        .entry("step.failed")
                        .with("step", step.to_string())
                        .refused(&report)
                        .write()
                        .await?;
                    self.remember(report.clone());
                }
                Err(report.into())
            }
        }
    }

    async fn achieved(&mut self) -> Result<(), Fault> {
        if self.pursuit.achieved == self.aim.desired.assignment {
            return Ok(());
        }
        let Some(counter) = self.aim.desired.assignment else {
            return Ok(());
        };
        self.chronicle
            .entry("assignment.achieved")
            .with("counter", counter)
            .write()
            .await?;
        tracing::info!(counter, "assignment achieved");
        self.pursuit.achieved = Some(counter);
        self.state.put_json("pursuit.json", &self.pursuit)
    }
}

fn model<'a>(
    chronicle: &'a crate::chronicle::Chronicle,
    what: &str,
    root: &Sha256Digest,
    name: &str,
    release: Option<&Sha256Digest>,
) -> crate::chronicle::Note<'a> {
    let note = chronicle.entry(what).with("model", *root).with("name", name);
    match release {
        Some(release) => note.with("release", *release),
        None => note,
    }
}

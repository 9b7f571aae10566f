//! The other half of a round: aim, look, plan, carry out.
//!
//! Refuses to carry out a step whose entry is not durable, and to wait for a download or its examination: those go on beside the
//! rounds.
//! Invariant: the plan on the disk is the one that is carried out, and it is there before its first step.

use std::collections::BTreeMap;

use freehold_execute::{Hands, Reading, SoFar, StepFailed, carry_out};
use freehold_plan::{HealthRejection, Plan, Purpose, Step, plan};
use freehold_protocol::enrol::EnrolState;
use freehold_protocol::health::HealthState;
use freehold_trust::Sha256Digest;
use freehold_verify::milestone::{Milestone, MilestoneKind};
use freehold_verify::{Refusal as _, RefusalReport};

use crate::console::Console;
use crate::desired::{Means, aim};
use crate::fault::Fault;
use crate::health::ENGINE_TRIES;
use crate::judge::{Court, Examination, under};
use crate::round::converse::resume;
use crate::source::FromConsole;
use crate::supervisor::Supervisor;

/// How far a plan was carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    /// To its end.
    Through,
    /// Until something began that goes on beside the rounds, a download, an examination, an engine's start or its check, or a release was
    /// found broken: what else there is to do is planned anew.
    Anew,
}

impl Supervisor {
    /// Brings the box nearer to its assignment. Answers whether nothing is left to do.
    pub(super) async fn reconcile(&mut self) -> Result<bool, Fault> {
        if self.system.restarting {
            return Ok(false);
        }
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
        self.measure_policy().await?;
        self.take_aim().await?;
        self.engines.know(&self.aim.releases);
        for (step, failed) in self.downloads.ended().await {
            self.sticks.broke_off();
            let report = self.failed(&step, failed).await?;
            self.status.doing = format!("{}: {}", report.code, report.message);
        }
        for (step, failed) in self.engines.broken() {
            // A start goes on beside the rounds: that it did not work is judged here.
            let Err(failed) = self.judged(&step, Err(failed), Reading::default()).await? else {
                continue;
            };
            let report = self.failed(&step, failed).await?;
            self.status.doing = format!("{}: {}", report.code, report.message);
        }
        let made = loop {
            self.take_answers().await?;
            self.runs = self.permissions().await?;
            let observed = self.observe()?;
            let made = plan(&self.aim.desired, &observed);
            self.write_plan(&made)?;
            let went = self.pursue(&made).await;
            self.models(&made)?;
            if went? == Went::Through {
                break made;
            }
        };
        let done = made.is_empty() && made.waiting.is_empty();
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

    /// How models answered their own questions, which they do beside the rounds: confirmed, or broken.
    async fn take_answers(&mut self) -> Result<(), Fault> {
        for (step, (reading, outcome)) in self.engines.checked().await {
            match self.judged(&step, outcome, reading).await? {
                Ok(()) => self.after(&step, Ok(()), &SoFar::default()).await?,
                Err(failed) => {
                    let report = self.failed(&step, failed).await?;
                    self.status.doing = format!("{}: {}", report.code, report.message);
                }
            }
        }
        Ok(())
    }

    /// Measures the policy that is in force, before anything is admitted under it.
    async fn measure_policy(&mut self) -> Result<(), Fault> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let release = policy.release();
        if self.policy_measured == Some(release) {
            return Ok(());
        }
        let reached = Milestone::new(MilestoneKind::Policy, policy.target(), release);
        self.milestones
            .reach(reached)
            .await
            .map_err(|refused| Fault::refusal(&refused))?;
        self.policy_measured = Some(release);
        Ok(())
    }

    /// What the assignment means under the metadata of now; the last aim stays when that cannot be said.
    async fn take_aim(&mut self) -> Result<(), Fault> {
        let unapproved = self.unapproved()?;
        let listing = self
            .repository
            .as_ref()
            .and_then(|repository| repository.listing.as_ref());
        let (Some(assignment), Some(listing)) = (&self.assignment, listing) else {
            return Ok(());
        };
        let means = Means {
            state: &self.state,
            console: self.console.as_ref(),
            listing,
            installed: &self.installed,
            kept: &self.store.stored()?,
            now: self.clock.now(),
            ours: self.system.is_ours(),
        };
        match aim(means, assignment, unapproved).await {
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
    async fn pursue(&mut self, made: &Plan) -> Result<Went, Fault> {
        if made.is_empty() {
            return Ok(Went::Through);
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
        for (at, step) in made.steps.iter().enumerate() {
            if let Some(release) = fetched_by(step) {
                let steps = made.steps.iter().skip(at);
                let steps: Vec<Step> = steps
                    .take_while(|step| fetched_by(step) == Some(release))
                    .cloned()
                    .collect();
                for step in &steps {
                    self.before(step).await?;
                }
                return match self.fetch(release, steps) {
                    Ok(()) => Ok(Went::Anew),
                    Err(failed) => Err(self.failed(step, failed).await?.into()),
                };
            }
            if let Step::VerifyModel { release, root, .. } = step
                && self.begin_examination(*release, *root, step).await?
            {
                return Ok(Went::Anew);
            }
            // That it is verified was said when its examination began.
            if !matches!(step, Step::VerifyModel { .. }) {
                self.before(step).await?;
            }
            if let Step::CancelFetch { release, .. } = step {
                self.downloads.cancel(release).await;
                continue;
            }
            if let Some(outcome) = self.system_step(step).await {
                self.after(step, outcome, &so_far).await?;
                continue;
            }
            let revocations = self
                .repository
                .as_ref()
                .and_then(|repository| repository.listing.as_ref())
                .map(|listing| listing.revocations.clone());
            let mut court = Court {
                examined: &self.downloads.examined,
                releases: &self.aim.releases,
                revocations: revocations.as_ref(),
                policy: self.policy.as_ref(),
                hardware: &self.settings.hardware,
                engine: self.settings.engine_name(),
                now: self.clock.now(),
                seen,
            };
            let mut hands = Hands {
                store: &self.store,
                host: &mut self.engines,
                judge: &mut court,
                so_far: std::mem::take(&mut so_far),
            };
            let outcome = carry_out(step, &mut hands).await;
            so_far = hands.so_far;
            seen = court.seen;
            // A check only begins here; how it ended is taken before the next look.
            let checks = matches!(step, Step::CheckHealth { .. });
            if checks && outcome.is_ok() {
                return Ok(Went::Anew);
            }
            let outcome = self.judged(step, outcome, Reading::default()).await?;
            let begins = matches!(step, Step::StartEngine { .. });
            let broken = (checks || begins) && matches!(outcome, Err(StepFailed::Refused(_)));
            match self.after(step, outcome, &so_far).await {
                Err(_) if broken => return Ok(Went::Anew),
                other => other?,
            }
            if begins {
                return Ok(Went::Anew);
            }
        }
        Ok(Went::Through)
    }

    /// Begins to examine a download, beside the rounds. Answers whether it did: it was not examined under the rules of now.
    async fn begin_examination(
        &mut self,
        release: Sha256Digest,
        root: Sha256Digest,
        step: &Step,
    ) -> Result<bool, Fault> {
        let revocations = self
            .repository
            .as_ref()
            .and_then(|repository| repository.listing.as_ref())
            .map(|listing| listing.revocations.clone());
        let (Some(signed), Some(revocations)) = (self.aim.releases.get(&release).cloned(), revocations) else {
            return Ok(false);
        };
        let policy = self.policy.as_ref();
        if self.downloads.examined.has(&release, under(policy, &revocations)) {
            return Ok(false);
        }
        let examination = Examination::new(&signed, root, &self.store, policy, &revocations, self.clock.now());
        self.before(step).await?;
        self.downloads.examine(release, examination);
        Ok(true)
    }

    /// Begins the download of a release, over a connection of its own.
    fn fetch(&mut self, release: Sha256Digest, steps: Vec<Step>) -> Result<(), StepFailed> {
        let signed = self.aim.releases.get(&release);
        let signed = signed.ok_or_else(|| StepFailed::away("store.order", "the release is not at hand"))?;
        let console = match (&self.sticks.courier, &self.identity) {
            (Some(courier), _) => Console::by_stick(courier.clone()),
            (None, Some(identity)) => {
                Console::new(&self.pairing, identity, &self.clock).map_err(|fault| StepFailed::Away(fault.report()))?
            }
            (None, None) => return Err(StepFailed::away("console.away", "the console is away")),
        };
        self.downloads.begin(steps, &self.store, signed, FromConsole(console));
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
            Step::ReuseFile {
                release, path, from, ..
            } => self
                .chronicle
                .entry("release.reuse")
                .with("release", *release)
                .with("path", path.as_str())
                .with("from", from.release),
            Step::CancelFetch { release, because } => self
                .chronicle
                .entry("release.cancel")
                .with("release", *release)
                .with("because", because.as_str()),
            Step::VerifyModel { release, root, name } => {
                model(&self.chronicle, "model.verify", root, name, Some(release))
            }
            Step::AdmitModel { release, root, name } => {
                model(&self.chronicle, "model.admit", root, name, Some(release))
            }
            Step::StoreModel { release, root, name } => {
                model(&self.chronicle, "model.store", root, name, Some(release))
            }
            Step::StartEngine {
                release,
                root,
                name,
                purpose,
            } => model(&self.chronicle, "engine.start", root, name, Some(release)).with("purpose", purpose.to_string()),
            Step::CheckHealth { release, root, name } => {
                model(&self.chronicle, "health.check", root, name, Some(release))
            }
            Step::StopEngine { root, purpose, because } => self
                .chronicle
                .entry("engine.stop")
                .with("model", *root)
                .with("purpose", purpose.to_string())
                .with("because", because.as_str()),
            Step::RemoveModel {
                release,
                root,
                name,
                because,
            } => model(&self.chronicle, "model.remove", root, name, Some(release)).with("because", because.as_str()),
            Step::DiscardStaged { release } => self.chronicle.entry("release.discard").with("release", *release),
            Step::StageSystem { release, name, version } => {
                system(&self.chronicle, "update.stage", release, name, version)
            }
            Step::WriteSystem { release, name, version } => {
                system(&self.chronicle, "update.write", release, name, version)
            }
            Step::RestartSystem { release, name, version } => {
                system(&self.chronicle, "update.restart", release, name, version)
            }
            Step::RaiseFloor { level } => self.chronicle.entry("update.floor").with("level", u64::from(*level)),
        };
        entry.write().await?;
        Ok(())
    }

    /// What the end of a step says about the health of its release: confirmed, or broken. The box's own judgement; nobody is
    /// asked.
    async fn judged(
        &mut self,
        step: &Step,
        outcome: Result<(), StepFailed>,
        reading: Reading,
    ) -> Result<Result<(), StepFailed>, Fault> {
        let (release, engine) = match step {
            Step::CheckHealth { release, .. } => (release, false),
            Step::StartEngine {
                release,
                purpose: Purpose::Chat,
                ..
            } if outcome.is_err() => (release, true),
            _ => return Ok(outcome),
        };
        let stored = self.store.stored()?;
        let Some(admitted) = stored.get(release) else {
            return Ok(outcome);
        };
        let now = self.clock.now();
        let outcome = match outcome {
            // A box without an engine, with a changed file or with a TPM that does not measure says nothing about the release.
            Err(StepFailed::Away(report))
                if engine && report.code.starts_with("engine.") && report.code != "engine.missing" =>
            {
                let tries = self.health.engine_failed(admitted, now);
                let name = admitted.name.clone();
                match tries.filter(|tries| *tries >= ENGINE_TRIES) {
                    Some(tries) => {
                        let last = report.code;
                        Err(StepFailed::Refused(
                            HealthRejection::Engine { name, tries, last }.report(),
                        ))
                    }
                    None => Err(StepFailed::Away(report)),
                }
            }
            other => other,
        };
        let state = match &outcome {
            Ok(()) => HealthState::Confirmed,
            Err(StepFailed::Refused(report)) => HealthState::WentBack {
                code: report.code.clone(),
            },
            Err(StepFailed::Away(_)) => {
                self.health.keep(&self.state)?;
                return Ok(outcome);
            }
        };
        let what = match &state {
            HealthState::Confirmed => "health.confirmed",
            _ => "health.went_back",
        };
        let mut entry = model(&self.chronicle, what, &admitted.root, &admitted.name, Some(release))
            .with("version", admitted.version.as_str())
            .with("right", reading.answers.map(|(right, _)| right))
            .with("questions", reading.answers.map(|(_, total)| total))
            .with("milli_tokens_per_second", reading.speed);
        if let Err(StepFailed::Refused(report)) = &outcome {
            entry = entry.refused(report);
        }
        entry.write().await?;
        self.health.ended(admitted, reading, state, now);
        self.health.prune(&stored);
        self.health.keep(&self.state)?;
        Ok(outcome)
    }

    /// What a step leaves behind.
    async fn after(&mut self, step: &Step, outcome: Result<(), StepFailed>, so_far: &SoFar) -> Result<(), Fault> {
        if let Err(failed) = outcome {
            return Err(self.failed(step, failed).await?.into());
        }
        match step {
            Step::RefuseTarget { target, refusal } => {
                self.pursuit.told.insert(target.clone(), refusal.code.clone());
                self.state.put_json("pursuit.json", &self.pursuit)?;
                self.remember(refusal.clone());
            }
            Step::AdmitModel { release, root, name } => {
                if let Some(admitted) = so_far.admitted(release) {
                    model(&self.chronicle, "model.admitted", root, name, Some(release))
                        .with("signer", admitted.signer.as_str())
                        .with("because", admitted.because.clone())
                        .write()
                        .await?;
                }
            }
            Step::StoreModel { release, .. } => {
                self.downloads.forget(release);
            }
            Step::CheckHealth { release, .. } => {
                // Only now is there no way below it: a release that was not confirmed is no floor.
                if let Some(release) = self.aim.releases.get(release) {
                    self.installed.installed(release);
                    self.state.put_json("installed.json", &self.installed)?;
                }
            }
            Step::DiscardStaged { release } | Step::StageSystem { release, .. } => self.downloads.forget(release),
            _ => {}
        }
        Ok(())
    }

    /// A step that did not work: a refusal is final for its release and remembered, a fault is tried again by a later plan.
    async fn failed(&mut self, step: &Step, failed: StepFailed) -> Result<RefusalReport, Fault> {
        let release = match step {
            Step::FetchFile { release, .. }
            | Step::ReuseFile { release, .. }
            | Step::VerifyModel { release, .. }
            | Step::AdmitModel { release, .. }
            | Step::StoreModel { release, .. }
            | Step::StageSystem { release, .. }
            | Step::WriteSystem { release, .. }
            | Step::CheckHealth { release, .. }
            | Step::StartEngine { release, .. } => Some(*release),
            _ => None,
        };
        match failed {
            StepFailed::Refused(report) => {
                tracing::warn!(code = %report.code, message = %report.message, "refused: {step}");
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
                Ok(report)
            }
            StepFailed::Away(report) => {
                tracing::warn!(code = %report.code, message = %report.message, "not now: {step}");
                match step {
                    Step::ReuseFile { from, .. } => {
                        self.spoilt.insert(from.sha256);
                    }
                    // What could not be read is looked at anew.
                    Step::VerifyModel { release, .. }
                    | Step::StoreModel { release, .. }
                    | Step::StageSystem { release, .. } => {
                        self.downloads.forget(release);
                    }
                    _ => {}
                }
                if report.code != "console.away" {
                    self.chronicle
                        .entry("step.failed")
                        .with("step", step.to_string())
                        .refused(&report)
                        .write()
                        .await?;
                    self.remember(report.clone());
                }
                Ok(report)
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
        self.status.achieved = Some(counter);
        self.state.put_json("pursuit.json", &self.pursuit)
    }
}

/// The release whose download a step belongs to.
fn fetched_by(step: &Step) -> Option<Sha256Digest> {
    match step {
        Step::FetchFile { release, .. } | Step::ReuseFile { release, .. } => Some(*release),
        _ => None,
    }
}

fn system<'a>(
    chronicle: &'a crate::chronicle::Chronicle,
    what: &str,
    release: &Sha256Digest,
    name: &str,
    version: &str,
) -> crate::chronicle::Note<'a> {
    let note = chronicle.entry(what).with("release", *release).with("name", name);
    note.with("version", version)
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

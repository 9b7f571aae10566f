//! The other half of a round: aim, look, plan, carry out.
//!
//! Refuses to carry out a step whose entry is not durable, and to wait for a download: that goes on beside the rounds.
//! Invariant: the plan on the disk is the one that is carried out, and it is there before its first step.

use std::collections::BTreeMap;

use freehold_execute::{Admitted, Hands, SoFar, StepFailed, carry_out};
use freehold_plan::{Observed, Permission, Plan, Step, StoredFile, StoredModel, WaitingOn, plan};
use freehold_protocol::enrol::EnrolState;
use freehold_trust::Sha256Digest;
use freehold_verify::release::Release;
use freehold_verify::{RefusalReport, Verified};

use crate::console::Console;
use crate::desired::{aim, taken_back};
use crate::fault::Fault;
use crate::judge::Court;
use crate::round::converse::resume;
use crate::source::FromConsole;
use crate::supervisor::Supervisor;

/// How far a plan was carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    /// To its end.
    Through,
    /// Until a download began, which goes on beside the rounds: what else there is to do is planned anew.
    Fetching,
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
        for (step, failed) in self.downloads.ended().await {
            let report = self.failed(&step, failed).await?;
            self.status.doing = format!("{}: {}", report.code, report.message);
        }
        let made = loop {
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
        let now = self.clock.now();
        match aim(
            &self.state,
            self.console.as_ref(),
            assignment,
            listing,
            &self.installed,
            unapproved,
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
        for (release, admitted) in &stored {
            if let Some(report) = revocations.and_then(|revocations| taken_back(revocations, admitted)) {
                observed.revoked.insert(*release, report);
            }
            let Admitted {
                root,
                name,
                version,
                embeddings,
                ..
            } = admitted.clone();
            let stored = StoredModel {
                root,
                name,
                version,
                embeddings,
            };
            observed.stored.insert(*release, stored);
        }
        for release in self.store.unfinished()? {
            let mut files = BTreeMap::new();
            if let (Some(wanted), Some(signed)) =
                (self.aim.desired.models.get(&release), self.aim.releases.get(&release))
            {
                match self.downloads.there(&self.store, wanted) {
                    Some(there) => files = there,
                    None => self.downloads.look(&self.store, wanted, signed),
                }
            }
            observed.staged.insert(release, files);
        }
        for (release, signed) in &self.aim.releases {
            if !stored.contains_key(release) {
                observed.at_hand.insert(*release, self.at_hand(signed, &stored));
            }
        }
        observed.fetching = self.downloads.under_way();
        observed.engines = self.engines.observe();
        Ok(observed)
    }

    /// The files of a release whose bytes the store has already.
    fn at_hand(
        &self,
        release: &Verified<Release>,
        stored: &BTreeMap<Sha256Digest, Admitted>,
    ) -> BTreeMap<String, StoredFile> {
        let mut there = BTreeMap::new();
        for (other, admitted) in stored {
            for have in admitted.files.iter().filter(|have| !self.spoilt.contains(&have.sha256)) {
                let mut same = (release.descriptor.files.iter())
                    .filter(|file| file.sha256 == have.sha256 && file.length == have.length);
                if let Some(file) = same.next() {
                    let from = StoredFile {
                        root: admitted.root,
                        release: *other,
                        path: have.path.clone(),
                        sha256: have.sha256,
                    };
                    there.insert(file.path.clone(), from);
                }
            }
        }
        there
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
                    Ok(()) => Ok(Went::Fetching),
                    Err(failed) => Err(self.failed(step, failed).await?.into()),
                };
            }
            self.before(step).await?;
            if let Step::CancelFetch { release, .. } = step {
                self.downloads.cancel(release).await;
                continue;
            }
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
            let mut hands = Hands {
                store: &self.store,
                host: &mut self.engines,
                judge: &mut court,
                so_far: std::mem::take(&mut so_far),
            };
            let outcome = carry_out(step, &mut hands).await;
            so_far = hands.so_far;
            seen = court.seen;
            self.after(step, outcome, &so_far).await?;
        }
        Ok(Went::Through)
    }

    /// Begins the download of a release, over a connection of its own.
    fn fetch(&mut self, release: Sha256Digest, steps: Vec<Step>) -> Result<(), StepFailed> {
        let signed = self.aim.releases.get(&release);
        let signed = signed.ok_or_else(|| StepFailed::away("store.order", "the release is not at hand"))?;
        let identity = self.identity.as_ref();
        let identity = identity.ok_or_else(|| StepFailed::away("console.away", "the console is away"))?;
        let console =
            Console::new(&self.pairing, identity, &self.clock).map_err(|fault| StepFailed::Away(fault.report()))?;
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
        };
        entry.write().await?;
        Ok(())
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
                if let Some(release) = self.aim.releases.get(release) {
                    self.installed.installed(release);
                    self.state.put_json("installed.json", &self.installed)?;
                }
            }
            Step::DiscardStaged { release } => self.downloads.forget(release),
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
            | Step::StoreModel { release, .. } => Some(*release),
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
                    Step::VerifyModel { release, .. } | Step::StoreModel { release, .. } => {
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

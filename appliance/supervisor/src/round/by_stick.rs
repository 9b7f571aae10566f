//! A round whose console is a stick: what is shown before, what is done, and the return.
//!
//! Refuses to begin anything that was not shown and confirmed, and to end without a return. Invariant: a bundle's number is kept
//! before anything comes of it, and the steps are those of every round, so that a kill at any of them ends in the same state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use freehold_plan::{Permission, RunPermission, WaitingOn, plan};
use freehold_protocol::enrol::EnrolState;
use freehold_protocol::report::Challenge;
use freehold_protocol::stick::{
    ACTIVATE, BEGIN, BY_STICK, Cosigned, ENTRIES, EVIDENCE, ImportState, MAX_ENTRIES_BYTES, Pages, RECORD, REPORT,
    StickAnswer, StickPlan, StickWish,
};
use freehold_protocol::{Base64, V1};
use freehold_trust::sha256;
use freehold_verify::document::{AssignmentExpectation, AssignmentRejection, AssignmentUse, verify_assignment};
use freehold_verify::stick::{Listed, Return, return_payload, seal_return, signed_return};
use serde::Serialize;

use crate::attest::{Shown, evidence};
use crate::console::Console;
use crate::desired::{Means, aim};
use crate::enrol::blocking;
use crate::fault::Fault;
use crate::identity::spki_of;
use crate::lease::may_run;
use crate::pairing::{Fleet, digest_of};
use crate::repository::Repository;
use crate::stick::ImportRejection;
use crate::stick::courier::Courier;
use crate::stick::folder::Parts;
use crate::supervisor::Supervisor;

/// The last return, in the state folder: where a stick is mounted read-only, it is fetched from here.
const LAST: &str = "return.fhz";

impl Supervisor {
    /// Whether this box has no console on a network.
    pub(crate) fn only_by_stick(&self) -> bool {
        self.pairing.console == BY_STICK
    }

    /// Answers what the machine's administrator asks. The second value says whether a round should follow at once.
    pub(crate) async fn stick_wish(&mut self, wish: StickWish) -> (StickAnswer, bool) {
        let answered = match wish {
            StickWish::Look { folder, .. } => {
                let looked = self.look_at_stick(Path::new(&folder)).await;
                looked.map(|(_, plan)| (StickAnswer::Plan { plan }, false))
            }
            StickWish::Apply { folder, digest, .. } => self
                .begin_import(Path::new(&folder), &digest)
                .await
                .map(|()| (self.stick_progress(), true)),
            StickWish::Progress { .. } => Ok((self.stick_progress(), false)),
        };
        answered.unwrap_or_else(|fault| {
            let report = fault.report();
            (StickAnswer::Refused { report }, false)
        })
    }

    fn stick_progress(&self) -> StickAnswer {
        StickAnswer::Progress {
            state: self.sticks.state,
            doing: self.status.doing.clone(),
            returned: self.sticks.returned.as_ref().map(|path| path.display().to_string()),
        }
    }

    async fn open_stick(&mut self, folder: &Path) -> Result<Arc<Courier>, Fault> {
        self.know_ourselves().await?;
        let identity = self.identity.as_ref();
        let tls = identity
            .ok_or_else(|| Fault::of("tpm.unavailable", "the TPM was not open yet"))?
            .tls;
        let expectation = (self.sticks.taken).expectation(&self.pairing.fleet, digest_of(&self.pairing.director)?);
        let (folder, now) = (folder.to_owned(), self.clock.now());
        let opened = tokio::task::spawn_blocking(move || Parts::open(&folder, &expectation, now)).await;
        let parts = opened.map_err(|error| Fault::of("import.unreadable", error.to_string()))??;
        Ok(Arc::new(Courier::new(parts, &self.box_id, tls)?))
    }

    /// Reads a folder and says what would happen. A refusal stands in the record: somebody put this stick in.
    async fn look_at_stick(&mut self, folder: &Path) -> Result<(Arc<Courier>, StickPlan), Fault> {
        let looked = match self.open_stick(folder).await {
            Ok(courier) => self.preview(&courier).await.map(|plan| (courier, plan)),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &looked
            && !fault.code().starts_with("tpm.")
        {
            let report = fault.report();
            let entry = self.chronicle.entry("bundle.refused");
            entry.refused(&report).write().await?;
            self.remember(report);
            self.show()?;
        }
        looked
    }

    async fn begin_import(&mut self, folder: &Path, digest: &str) -> Result<(), Fault> {
        if self.sticks.courier.is_some() {
            return Err(ImportRejection::Busy.into());
        }
        let (courier, shown) = self.look_at_stick(folder).await?;
        if shown.digest != digest {
            return Err(ImportRejection::PlanChanged.into());
        }
        let bundle = courier.parts.bundle.get();
        self.chronicle
            .entry("bundle.taken")
            .with("number", bundle.number)
            .with("set", courier.parts.digest)
            .with("made_at", bundle.at)
            .write()
            .await?;
        self.sticks.taken.number = bundle.number;
        self.sticks.taken.set = Some(courier.parts.digest);
        self.sticks.taken.under_way = Some(courier.parts.folder.clone());
        self.sticks.taken.keep(&self.state)?;
        self.take_courier(courier)
    }

    fn take_courier(&mut self, courier: Arc<Courier>) -> Result<(), Fault> {
        self.clock.at_least(&self.state, courier.parts.bundle.at)?;
        tracing::info!(number = courier.parts.bundle.number, "a bundle is taken in");
        self.sticks.begin(courier);
        // What was said over a wire is said by the stick from now on.
        self.console = None;
        self.refused_envelope = None;
        self.enrol_refused = None;
        Ok(())
    }

    /// Goes on with an import that a kill or a power cut ended.
    pub(super) async fn take_up_stick(&mut self) -> Result<(), Fault> {
        let (None, Some(folder)) = (&self.sticks.courier, self.sticks.taken.under_way.clone()) else {
            return Ok(());
        };
        match self.open_stick(&folder).await {
            Ok(courier) if Some(courier.parts.digest) == self.sticks.taken.set => self.take_courier(courier),
            // Taken out, or exchanged: what is here stays as it is until the same bundle is back.
            Ok(_) => {
                self.status.doing = "waiting for the stick that was being imported".to_owned();
                Ok(())
            }
            Err(fault) => {
                self.status.doing = format!("waiting for the stick that was being imported: {fault}");
                Ok(())
            }
        }
    }

    /// What an import would do, by the same planner, without doing any of it.
    async fn preview(&mut self, courier: &Arc<Courier>) -> Result<StickPlan, Fault> {
        let (mut steps, mut waiting) = (Vec::new(), Vec::new());
        let letter = courier.letter.as_ref();
        let mut digest = courier.parts.digest.to_hex();
        match letter.map_or(EnrolState::Unknown, |letter| letter.enrol.state) {
            EnrolState::Unknown => steps.push(match letter.and_then(|letter| letter.credential.as_ref()) {
                Some(_) => "prove to the console, by the way back, that these keys live in this TPM".to_owned(),
                None => "show this box's keys to the console, by the way back".to_owned(),
            }),
            EnrolState::WaitingForApproval => {
                waiting.push("a person at the console compares the fingerprint and approves".to_owned());
            }
            EnrolState::Refused => waiting.push("a person at the console refused this box".to_owned()),
            EnrolState::Approved => {
                let made = self.preview_plan(courier).await?;
                digest.push_str(&made.digest().to_hex());
                steps.extend(made.steps.iter().map(ToString::to_string));
                waiting.extend(made.waiting.iter().map(ToString::to_string));
            }
        }
        if letter.is_some_and(|letter| letter.challenge.is_some()) {
            steps.push("answer the console's challenge with evidence, by the way back".to_owned());
        }
        let missing_parts = courier.parts.missing();
        if !missing_parts.is_empty() {
            waiting.push(format!("parts {missing_parts:?} are not in this folder"));
        }
        digest.push_str(&steps.join("\n"));
        Ok(StickPlan {
            digest: sha256(digest.as_bytes()).to_hex(),
            number: courier.parts.bundle.number,
            at: courier.parts.bundle.at,
            missing_parts,
            steps,
            waiting,
        })
    }

    async fn preview_plan(&mut self, courier: &Arc<Courier>) -> Result<freehold_plan::Plan, Fault> {
        let Some(letter) = &courier.letter else {
            return Err(ImportRejection::AnswerLater.into());
        };
        let console = Console::by_stick(courier.clone());
        let now = self.clock.now().max(courier.parts.bundle.at);
        let fleet = match &self.fleet {
            Some(fleet) => fleet.clone(),
            None => {
                let root = letter.enrol.tuf_root.clone().unwrap_or_default();
                Fleet::check(&self.pairing, &courier.parts.director, root.0)?
            }
        };
        // Of the assignment that is here already, for the same one once more.
        let still_unapproved = self.unapproved()?;
        let opened;
        let repository = match &self.repository {
            Some(repository) => repository,
            None => {
                opened = Repository::open(&self.state, &fleet.root)?;
                &opened
            }
        };
        let mut observed_aim = self.aim.clone();
        if let Some(envelope) = &letter.assignment {
            let expectation = |purpose| AssignmentExpectation {
                fleet: self.pairing.fleet.clone(),
                box_id: self.box_id.clone(),
                last_counter: self.pursuit.accepted,
                purpose,
            };
            let verify = |purpose| verify_assignment(&envelope.0, &fleet.director, &expectation(purpose), now);
            let (new, resumed) = (verify(AssignmentUse::Install), verify(AssignmentUse::Resume));
            let (assignment, unapproved) = match new {
                Err(AssignmentRejection::Rollback { last, found }) if last == found => (resumed?, still_unapproved),
                other => {
                    let assignment = other?;
                    let packages = letter.approvals.iter().map(|package| package.0.clone()).collect();
                    self.judge_approvals(&assignment, packages)??;
                    (assignment, Vec::new())
                }
            };
            let newer = repository.newer(&console, now, self.installed.revocations).await?;
            let listing = newer.map(|newer| newer.listing).or_else(|| repository.listing.clone());
            let listing = listing.ok_or_else(|| ImportRejection::Lacks("metadata".to_owned()))?;
            let ours = self.system.is_ours();
            let means = Means {
                state: &self.state,
                console: Some(&console),
                listing: &listing,
                installed: &self.installed,
                kept: &self.store.stored()?,
                now,
                ours,
            };
            observed_aim = aim(means, &assignment, unapproved).await?;
        }
        let kept = std::mem::replace(&mut self.aim, observed_aim);
        let before = self.downloads.any();
        let mut observed = self.observe();
        if !before && self.downloads.any() {
            // What an earlier import left is being hashed: the plan is about what it is, so it is waited for.
            self.downloads.settle().await;
            self.downloads.ended().await;
            observed = self.observe();
        }
        let meant = std::mem::replace(&mut self.aim, kept);
        let mut observed = observed?;
        let good = letter
            .verdict
            .as_ref()
            .is_some_and(|answer| answer.verdict.allows_change());
        observed.permission = if good {
            Permission::Change
        } else {
            Permission::Keep(WaitingOn::Verdict)
        };
        // Models that come with this stick: nobody has asked about them yet.
        for model in meant.desired.models.values() {
            let covers = self.lease.covers(&model.name, None, now);
            let forecast = match &self.policy {
                Some(_) => may_run(self.policy.as_ref(), &model.name, &covers),
                // The policy comes with the stick, too; whether it lets the model run is seen when it is here.
                None => RunPermission::Run,
            };
            observed.runs.entry(model.name.clone()).or_insert(forecast);
        }
        Ok(plan(&meant.desired, &observed))
    }

    /// The conversation of a round, with the letter's answers.
    pub(super) async fn converse_by_stick(&mut self) -> Result<(), Fault> {
        self.know_ourselves().await?;
        self.enrol().await?;
        if self.enrolment != EnrolState::Approved {
            return Ok(());
        }
        self.take_up_assignment()?;
        let letter = self.sticks.courier.as_ref().and_then(|courier| courier.letter.clone());
        let Some(letter) = letter else { return Ok(()) };
        if let Some(answer) = letter.verdict {
            self.take_verdict(answer).await?;
        }
        if let Some(cosigned) = &letter.cosigned {
            self.take_cosigned(cosigned)?;
        }
        if !self.verdict.allows_change() {
            return Ok(());
        }
        let waits = self.report().await?;
        self.fetch_assignment(waits).await?;
        self.update_repository().await
    }

    fn take_cosigned(&mut self, cosigned: &Cosigned) -> Result<(), Fault> {
        if cosigned.size <= self.cosigned || cosigned.size > self.chronicle.head().size {
            return Ok(());
        }
        if !cosigned.note.is_empty() {
            self.state.put("cosigned.note", cosigned.note.as_bytes())?;
        }
        self.state.put_json("cosigned.json", &cosigned.size)?;
        self.cosigned = cosigned.size;
        Ok(())
    }

    /// After a round: whether the import has come to its end; then the return is written.
    pub(super) async fn finish_stick(&mut self) -> Result<(), Fault> {
        let Some(courier) = self.sticks.courier.clone() else {
            return Ok(());
        };
        let steps = self.status.steps.clone();
        let Some(ended) = self.sticks.ended(&steps, self.downloads.any() || self.engines.busy()) else {
            return Ok(());
        };
        let whole = self.pursuit.achieved == self.pursuit.accepted && courier.parts.missing().is_empty();
        let ended = if whole { ended } else { ImportState::Partly };
        let path = self.write_return(&courier).await?;
        self.sticks.taken.under_way = None;
        self.sticks.taken.keep(&self.state)?;
        self.sticks.courier = None;
        self.sticks.state = ended;
        self.console = None;
        self.status.doing = format!("the stick can be taken out: the return is `{}`", path.display());
        self.sticks.returned = Some(path);
        self.show()
    }

    /// Everything that the console should know, signed by the TLS key and sealed to the console.
    async fn write_return(&mut self, courier: &Arc<Courier>) -> Result<std::path::PathBuf, Fault> {
        let bundle = courier.parts.bundle.get().clone();
        self.chronicle
            .entry("bundle.returned")
            .with("number", bundle.number)
            .with("achieved", self.pursuit.achieved.unwrap_or(0))
            .write()
            .await?;
        let messages = self.messages(courier).await?;
        let identity = self.identity.as_ref();
        let identity = identity.ok_or_else(|| Fault::of("tpm.unavailable", "the TPM was not open yet"))?;
        self.sticks.taken.sequence = self.sticks.taken.sequence.saturating_add(1);
        self.sticks.taken.keep(&self.state)?;
        let key = spki_of(&identity.tls_public)?;
        let statement = Return {
            v: 1,
            fleet: self.pairing.fleet.clone(),
            box_id: self.box_id.clone(),
            key: base64(key.spki_der()),
            number: bundle.number,
            set: courier.parts.digest,
            sequence: self.sticks.taken.sequence,
            at: self.clock.now(),
            files: (messages.iter())
                .map(|(name, bytes)| Listed {
                    name: name.clone(),
                    length: bytes.len() as u64,
                    sha256: sha256(bytes),
                })
                .collect(),
        };
        let (payload, message) = return_payload(&statement);
        let tpm = self.tpm.clone();
        let numbers = blocking(move || tpm.sign_tls(&message)).await?;
        let signature = freehold_channel::der_signature(&numbers.r, &numbers.s);
        let to = bundle.return_key().map_err(|fault| Fault::refusal(&fault))?;
        let envelope = signed_return(payload, signature);
        let sealed = seal_return(
            envelope,
            messages,
            &to,
            &self.pairing.fleet,
            bundle.number,
            courier.parts.digest,
        )?;
        self.state.put(LAST, &sealed)?;
        let name = format!("freehold-return-{}-{}.fhz", self.box_id, bundle.number);
        let path = courier.parts.folder.join(name);
        match freehold_execute::write_atomic(&path, &sealed, 0o644) {
            Ok(()) => Ok(path),
            Err(error) => {
                tracing::warn!(%error, "the return stays in the state folder: the stick cannot be written");
                Ok(self.state.path(LAST))
            }
        }
    }

    async fn messages(&mut self, courier: &Arc<Courier>) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
        let mut messages = BTreeMap::new();
        let outbox = courier.outbox();
        if let Some(begin) = &outbox.begin {
            messages.insert(BEGIN.to_owned(), json(begin));
        }
        if let Some(activate) = &outbox.activate {
            messages.insert(ACTIVATE.to_owned(), json(activate));
        }
        let challenge = courier.letter.as_ref().and_then(|letter| letter.challenge.clone());
        if let Some(challenge) = challenge {
            messages.insert(EVIDENCE.to_owned(), self.evidence_for(&challenge).await?);
        }
        if self.enrolment == EnrolState::Approved {
            self.inventory_told = false;
            messages.insert(REPORT.to_owned(), json(&self.say_how_we_are().await));
            let old = self.cosigned;
            if let Some((checkpoint, size)) = self.head_since(old).await? {
                messages.insert(RECORD.to_owned(), json(&checkpoint));
                messages.insert(ENTRIES.to_owned(), json(&self.pages(old, size)?));
            }
        }
        Ok(messages)
    }

    async fn evidence_for(&mut self, challenge: &Challenge) -> Result<Vec<u8>, Fault> {
        let boot = self.boot_shown().await?;
        let mut models = self.engines.models();
        models.sort_unstable();
        models.dedup();
        let identity = self.identity.as_ref();
        let identity = identity.ok_or_else(|| Fault::of("tpm.unavailable", "the TPM was not open yet"))?;
        let shown = Shown {
            identity,
            boot: &boot,
            chronicle: &self.chronicle,
            models,
            runtime_log: (&self.settings.runtime_log, self.settings.pcrextend.is_some()),
        };
        let (bytes, ..) = evidence(shown, &self.tpm, challenge).await?;
        self.status.tpm = crate::status::TpmStatus {
            state: "ok".to_owned(),
            message: None,
        };
        Ok(bytes)
    }

    /// New entries of the record, as many as a return may carry.
    fn pages(&self, first: u64, end: u64) -> Result<Pages, Fault> {
        let (mut entries, mut room) = (Vec::new(), MAX_ENTRIES_BYTES);
        for (_, bytes) in self.chronicle.recorder().entries(first, end)? {
            let Some(left) = room.checked_sub(bytes.len()) else {
                break;
            };
            room = left;
            entries.push(Base64(bytes));
        }
        Ok(Pages { v: V1, first, entries })
    }
}

fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}

fn base64(bytes: &[u8]) -> String {
    match serde_json::to_value(Base64(bytes.to_vec())) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

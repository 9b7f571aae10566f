//! Proving the box: boot log, evidence, verdict.
//!
//! Refuses to prove more often than it has a reason to: the console asks, the running models changed, or the last verdict
//! allowed nothing. Invariant: a verdict that is news is in the record.

use std::time::{Duration, Instant};

use freehold_protocol::enrol::EnrolState;
use freehold_protocol::report::VerdictAnswer;
use freehold_protocol::status::VerdictWord;

use crate::attest::{Shown, attest};
use crate::fault::Fault;
use crate::supervisor::Supervisor;

/// After a verdict that allows nothing, so long until the next try: long enough not to flood, short enough for a person who
/// mended the cause.
const RETRY: Duration = Duration::from_secs(3);

impl Supervisor {
    pub(super) async fn prove(&mut self) -> Result<(), Fault> {
        let mut models = self.engines.models();
        models.sort_unstable();
        models.dedup();
        let changed = self.verdict.allows_change() && models != self.attested_models;
        let retry = !self.verdict.allows_change() && self.attested_at.is_none_or(|at| at.elapsed() >= RETRY);
        if !(self.attest_due || changed || retry) {
            return Ok(());
        }
        let boot = self.boot_shown().await?;
        self.console()?;
        let (Some(identity), Some(console), Some(fleet)) = (&self.identity, &self.console, &self.fleet) else {
            return Ok(());
        };
        let shown = Shown {
            identity,
            boot: &boot,
            chronicle: &self.chronicle,
            models: models.clone(),
            runtime_log: (&self.settings.runtime_log, self.settings.pcrextend.is_some()),
        };
        let proved = match attest(shown, &self.tpm, console).await {
            Err(fault) if fault.code() == "console.unknown_key" => {
                // The console has lost us: begin anew, a person has to approve again.
                self.enrolment = EnrolState::Unknown;
                return Err(fault);
            }
            other => other?,
        };
        if let Some(time) = &proved.answer.time {
            self.clock.take(&self.state, &time.0, &fleet.director, &proved.nonce)?;
        }
        self.status.tpm = crate::status::TpmStatus {
            state: "ok".to_owned(),
            message: None,
        };
        self.attested_at = Some(Instant::now());
        // A TPM that was reset meanwhile counts another boot from now on.
        self.lease.reset_count = Some(proved.reset_count);
        self.attested_models = models;
        self.attest_due = false;
        self.take_verdict(proved.answer).await
    }

    /// The boot as it is shown with evidence; a software TPM has got its log by then.
    pub(super) async fn boot_shown(&mut self) -> Result<crate::boot::Boot, Fault> {
        let boot = self.boot()?;
        let (tpm, replaying) = (self.tpm.clone(), boot.clone());
        let replayed = tokio::task::spawn_blocking(move || replaying.replay(&tpm))
            .await
            .map_err(|error| Fault::of("tpm.garbage", error.to_string()))?;
        self.boot_was(boot.word, replayed).await?;
        Ok(boot)
    }

    /// Says once what became of the boot log.
    async fn boot_was(
        &mut self,
        word: &str,
        replayed: Result<Option<freehold_collect::Replayed>, Fault>,
    ) -> Result<(), Fault> {
        self.status.boot = word.to_owned();
        let said = match &replayed {
            Ok(None) => return Ok(()),
            Ok(Some(replayed)) => format!("{replayed:?}"),
            Err(fault) if fault.code().starts_with("tpm.") => return replayed.map(|_| ()),
            Err(fault) => fault.to_string(),
        };
        if self.boot_said.as_ref() == Some(&said) {
            return Ok(());
        }
        let entry = self.chronicle.entry("boot.replayed");
        match &replayed {
            Err(fault) => {
                let report = fault.report();
                entry.refused(&report).write().await?;
                self.remember(report);
            }
            Ok(Some(freehold_collect::Replayed::Extended(events))) => {
                tracing::info!(events, "the boot log was replayed into the software TPM");
                entry.with("events", *events).write().await?;
            }
            Ok(Some(freehold_collect::Replayed::Foreign { pcr })) => {
                let report = Fault::of(
                    "box.boot_log",
                    format!("PCR {pcr} does not hold the beginning of the boot log"),
                )
                .report();
                entry.refused(&report).write().await?;
                self.remember(report);
            }
            Ok(_) => {}
        }
        self.boot_said = Some(said);
        Ok(())
    }

    pub(super) async fn take_verdict(&mut self, answer: VerdictAnswer) -> Result<(), Fault> {
        if let (Some(certificate), Some(identity)) = (&answer.certificate, &self.identity) {
            identity.renew(&self.state, &certificate.0)?;
            // The next request shows the new certificate.
            self.console = None;
        }
        let news = self.verdict != answer.verdict || self.status.because != answer.because;
        self.verdict = answer.verdict;
        self.status.verdict = answer.verdict;
        self.status.because.clone_from(&answer.because);
        if news {
            tracing::info!(verdict = answer.verdict.word(), because = ?answer.because, "verdict");
            let mut entry = self
                .chronicle
                .entry("verdict.received")
                .with("verdict", answer.verdict.word())
                .with("because", answer.because.clone());
            if let Some(first) = answer.refusals.first() {
                entry = entry.refused(first);
            }
            entry.write().await?;
            for report in answer.refusals {
                self.remember(report);
            }
        }
        if answer.verdict == VerdictWord::Refused {
            self.status.doing = "the console refuses this box's evidence".to_owned();
        }
        Ok(())
    }
}

//! One round: speak with the console, then bring the box nearer to its assignment.
//!
//! Refuses to let a console that is away stop what runs: each part of a round fails alone. Invariant: an assignment is
//! accepted, recorded and written before anything comes of it.

mod approve;
mod by_stick;
mod converse;
mod lease;
mod observe;
mod prove;
mod reconcile;
mod renew;
mod tell;

pub(crate) use approve::Approvals;
use freehold_verify::RefusalReport;

use crate::fault::Fault;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Looks at everything once. Answers whether nothing is left to do.
    pub(crate) async fn look(&mut self) -> Result<bool, Fault> {
        self.take_up_stick().await?;
        let said = if self.sticks.courier.is_some() {
            self.converse_by_stick().await
        } else if self.only_by_stick() {
            Err(crate::stick::ImportRejection::AnswerLater.into())
        } else {
            self.converse().await
        };
        match said {
            Ok(()) => self.status.console = "ok".to_owned(),
            // Nothing is wrong: this box speaks with its console by sticks.
            Err(fault) if crate::stick::is_later(&fault) => self.status.console = fault.code().to_owned(),
            Err(fault) => self.troubled(&fault).await?,
        }
        self.trial_news().await?;
        let done = self.reconcile().await;
        let finished = self.finish_stick().await;
        self.tell_gateway()?;
        self.say_alive(done.is_ok()).await;
        if let Err(fault) = &done {
            self.status.doing = format!("{}: {fault}", fault.code());
        }
        self.show()?;
        finished?;
        done
    }

    /// A conversation that broke off: said in the status, and in the record when it is news.
    async fn troubled(&mut self, fault: &Fault) -> Result<(), Fault> {
        let report = fault.report();
        let news = self.status.console != report.code;
        if news {
            tracing::warn!(code = %report.code, message = %report.message, "the console conversation broke off");
        }
        if report.code.starts_with("tpm.") {
            return self.tpm_fault(fault).await;
        }
        self.status.console.clone_from(&report.code);
        self.status.doing.clone_from(&report.message);
        if news && is_refusal(&report) {
            self.chronicle
                .entry("console.conversation")
                .refused(&report)
                .write()
                .await?;
            self.remember(report);
        }
        Ok(())
    }
}

impl Supervisor {
    /// A TPM that does not do its part: said in the status, and in the record when it is news.
    async fn tpm_fault(&mut self, fault: &Fault) -> Result<(), Fault> {
        let report = fault.report();
        let news = self.status.tpm.state != report.code;
        self.status.tpm.state.clone_from(&report.code);
        self.status.tpm.message = Some(report.message.clone());
        self.status.doing.clone_from(&report.message);
        // When it answers again it proves the box anew: another one may sit in its place.
        self.attest_due = true;
        if news {
            tracing::warn!(code = %report.code, message = %report.message, "the TPM does not answer as it should");
            self.chronicle.entry("tpm.fault").refused(&report).write().await?;
            self.remember(report);
        }
        Ok(())
    }
}

/// A console that is only away is no refusal and fills no record.
fn is_refusal(report: &RefusalReport) -> bool {
    report.code != "console.away"
}

//! The verdict lease in a round: fetched while the console is there, looked at in every round.
//!
//! Refuses to ask where no policy demands one, and to keep a lease that does not count here. Invariant: what became of it is
//! in the record before an engine starts or stops for it.

use std::collections::BTreeMap;

use freehold_plan::RunPermission;
use freehold_protocol::routes;
use freehold_verify::RefusalReport;
use freehold_verify::document::MAX_DOCUMENT;

use crate::fault::Fault;
use crate::lease::{Whose, demanded, may_run};
use crate::status::LeaseStatus;
use crate::supervisor::Supervisor;

impl Supervisor {
    /// The names of models that are here or wanted and run only under a lease.
    fn leased(&self) -> Result<Vec<String>, Fault> {
        let Some(policy) = &self.policy else {
            return Ok(Vec::new());
        };
        let stored = self.store.stored()?;
        let here = stored.values().map(|admitted| admitted.name.as_str());
        let wanted = self.aim.desired.models.values().map(|wanted| wanted.name.as_str());
        let mut names = demanded(policy, here.chain(wanted));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Asks the console for the lease, where one is demanded. That there is none yet is no fault.
    pub(super) async fn fetch_lease(&mut self) -> Result<(), Fault> {
        if self.leased()?.is_empty() {
            return Ok(());
        }
        let Some(envelope) = self.console()?.get(routes::LEASE, MAX_DOCUMENT).await? else {
            return Ok(());
        };
        let (Some(fleet), Some(identity)) = (&self.fleet, &self.identity) else {
            return Ok(());
        };
        let whose = Whose {
            fleet: &self.pairing.fleet,
            box_id: &self.box_id,
            director: &fleet.director,
            ak_public: &identity.ak_public,
        };
        if let Err(rejection) = self.lease.take(&self.state, &envelope, whose)? {
            let report = Fault::refusal(&rejection).report();
            if self.refused_lease.as_ref() != Some(&report.code) {
                tracing::warn!(code = %report.code, message = %report.message, "a lease was refused");
                self.chronicle.entry("lease.refused").refused(&report).write().await?;
                self.refused_lease = Some(report.code.clone());
                self.remember(report);
            }
            return Ok(());
        }
        self.refused_lease = None;
        Ok(())
    }

    /// Which boot this is, where no proof has said it yet: the console may be away since the start. A TPM that does not answer
    /// leaves it unknown, and that is never yes.
    async fn know_boot(&mut self) {
        if self.lease.reset_count.is_some() || self.identity.is_none() {
            return;
        }
        let tpm = self.tpm.clone();
        match tokio::task::spawn_blocking(move || tpm.clock()).await {
            Ok(Ok(clock)) => self.lease.reset_count = Some(clock.reset_count),
            Ok(Err(error)) => tracing::warn!(%error, "the TPM does not say which boot this is"),
            Err(error) => tracing::warn!(%error, "the TPM does not say which boot this is"),
        }
    }

    /// Whether each model that is here or wanted may run now.
    pub(super) async fn permissions(&mut self) -> Result<BTreeMap<String, RunPermission>, Fault> {
        let leased = self.leased()?;
        if !leased.is_empty() {
            self.know_boot().await;
        }
        let now = self.clock.now();
        let whose = match (&self.fleet, &self.identity) {
            (Some(fleet), Some(identity)) => Some(Whose {
                fleet: &self.pairing.fleet,
                box_id: &self.box_id,
                director: &fleet.director,
                ak_public: &identity.ak_public,
            }),
            _ => None,
        };
        let stored = self.store.stored()?;
        let here = stored.values().map(|admitted| admitted.name.as_str());
        let wanted = self.aim.desired.models.values().map(|wanted| wanted.name.as_str());
        let mut runs = BTreeMap::new();
        let (mut until, mut lost) = (None, None);
        for name in here.chain(wanted) {
            if runs.contains_key(name) {
                continue;
            }
            let covers = self.lease.covers(name, whose, now);
            let may = may_run(self.policy.as_ref(), name, &covers);
            if leased.iter().any(|leased| leased == name) {
                until = until.or(covers.ok());
                if let RunPermission::Stop(report) = &may {
                    lost = lost.or(Some(report.clone()));
                }
            }
            runs.insert(name.to_owned(), may);
        }
        self.say_lease(leased, until, lost).await?;
        Ok(runs)
    }

    /// Says in status and record how the lease is, when that is news.
    async fn say_lease(
        &mut self,
        leased: Vec<String>,
        until: Option<i64>,
        lost: Option<RefusalReport>,
    ) -> Result<(), Fault> {
        if leased.is_empty() {
            self.status.lease = None;
            return Ok(());
        }
        let code = lost.as_ref().map(|report| report.code.clone());
        self.status.lease = Some(LeaseStatus {
            models: leased.clone(),
            state: code.clone().unwrap_or_else(|| "held".to_owned()),
            until,
        });
        if self.lease.said.as_ref() == Some(&code) {
            return Ok(());
        }
        let entry = match &lost {
            None => self.chronicle.entry("lease.held").with("until", until),
            Some(report) => self.chronicle.entry("lease.lost").refused(report),
        };
        entry.with("models", leased).write().await?;
        if let Some(report) = lost {
            tracing::warn!(code = %report.code, message = %report.message, "no verdict lease");
            self.remember(report);
        }
        self.lease.said = Some(code);
        Ok(())
    }
}

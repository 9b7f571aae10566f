//! The one way to write: a list of changes, one transaction, sealed by the record.
//!
//! Refuses to commit before the record's entry is durable, and to keep half of a list. Invariant: after `Ok` everything is on
//! disk; after `Err` nothing is.

use std::future::Future;

use freehold_fleet::member::{AssignmentHead, CosignedHead, TokenRow};
use freehold_fleet::{Effect, Entry, LeaseOrder, Member, Verdict};
use freehold_protocol::report::BoxReport;
use sqlx::{Sqlite, Transaction};

use crate::account::AccountChange;
use crate::fault::{CommitFault, StoreFault, document};
use crate::open::Store;
use crate::passkey::PasskeyChange;
use crate::pending::PendingChange;
use crate::rollout::RolloutChange;
use crate::stick::StickChange;

/// Evidence packages kept per box: enough to look at what was before a fault.
const EVIDENCE_KEPT: i64 = 8;
/// Verdicts kept per box with PCRs and events; what is older keeps word, reasons and the other claims.
const WHOLE_KEPT: i64 = 8;
/// Verdicts kept per box in any case: a day at one every five minutes. Of what is older only the turns are kept, where the word
/// changed; every verdict stands in the record for ever.
const VERDICTS_KEPT: i64 = 288;

/// One change to be written.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Of the fleet.
    Fleet(&'a Effect),
    /// Of people.
    Account(&'a AccountChange),
    /// Of plans and failures.
    Pending(&'a PendingChange),
    /// Of sticks.
    Stick(&'a StickChange),
    /// Of rollouts.
    Rollout(&'a RolloutChange),
    /// Of passkeys and approvals.
    Passkey(&'a PasskeyChange),
}

impl Store {
    /// Writes `changes` in one transaction; `seal` (the record's entry) must succeed before it is committed.
    ///
    /// # Errors
    /// [`CommitFault::Conflict`] when a constraint holds against it, [`CommitFault::NotSealed`] when the seal fails; nothing is
    /// written then.
    pub async fn commit<S, E>(&self, changes: &[Change<'_>], seal: S) -> Result<(), CommitFault>
    where
        S: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut transaction = self.writer.begin().await.map_err(fault)?;
        for change in changes {
            match change {
                Change::Fleet(effect) => self.write(&mut transaction, effect).await?,
                Change::Account(change) => change.write(&mut transaction, &self.site).await?,
                Change::Pending(change) => change.write(&mut transaction, &self.site).await?,
                Change::Stick(change) => change.write(&mut transaction, &self.site).await?,
                Change::Rollout(change) => change.write(&mut transaction, &self.site).await?,
                Change::Passkey(change) => change.write(&mut transaction, &self.site).await?,
            }
        }
        if let Err(source) = seal.await {
            let _ = transaction.rollback().await;
            return Err(CommitFault::NotSealed(source.into()));
        }
        transaction.commit().await.map_err(fault)
    }

    async fn write(&self, tx: &mut Transaction<'_, Sqlite>, effect: &Effect) -> Result<(), CommitFault> {
        match effect {
            Effect::BoxSaved(member) => self.save_box(tx, member).await,
            Effect::BoxRemoved { box_id } => remove_box(tx, box_id).await,
            Effect::VerdictReached {
                box_id,
                verdict,
                evidence,
            } => self.add_verdict(tx, box_id, verdict, evidence).await,
            Effect::Assigned { box_id, head, envelope } => self.add_assignment(tx, box_id, head, envelope).await,
            Effect::ReportTaken { box_id, report, at } => self.put_report(tx, box_id, report, *at).await,
            Effect::Cosigned { box_id, head } => self.put_cosigned(tx, box_id, head).await,
            Effect::TokenMade { box_id, token } => self.add_token(tx, box_id, token).await,
            Effect::TokenWithdrawn { box_id, id } => {
                sqlx::query("DELETE FROM tokens WHERE box_id = ? AND id = ?")
                    .bind(box_id)
                    .bind(id)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                Ok(())
            }
            Effect::LeaseSaved { box_id, order } => self.put_lease(tx, box_id, order).await,
            Effect::SessionOpened(_)
            | Effect::SessionClosed { .. }
            | Effect::ChallengeIssued { .. }
            | Effect::ChallengeSpent { .. }
            | Effect::AttestWanted { .. }
            | Effect::VerdictLost { .. }
            | Effect::Record(Entry { .. }) => Ok(()),
        }
    }

    async fn save_box(&self, tx: &mut Transaction<'_, Sqlite>, member: &Member) -> Result<(), CommitFault> {
        // Verdicts, assignments, heads and tokens have tables of their own.
        let mut lean = member.clone();
        lean.verdict = None;
        lean.last_good = None;
        lean.assignment = None;
        lean.cosigned = None;
        lean.tokens = Vec::new();
        let text = serde_json::to_string(&lean).map_err(document("box"))?;
        // The row may change, its EK never: another EK under this name fails on the condition, and is seen as a conflict.
        let done = sqlx::query(
            "INSERT INTO boxes (site, box_id, ek, document) VALUES (?, ?, ?, ?)
             ON CONFLICT (box_id) DO UPDATE SET document = excluded.document WHERE boxes.ek = excluded.ek",
        )
        .bind(&self.site)
        .bind(&member.box_id)
        .bind(&member.ek)
        .bind(text)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        if done.rows_affected() != 1 {
            return Err(CommitFault::Conflict {
                what: "boxes.box_id".to_owned(),
            });
        }
        sqlx::query("DELETE FROM box_keys WHERE box_id = ?")
            .bind(&member.box_id)
            .execute(&mut **tx)
            .await
            .map_err(fault)?;
        // A box that comes back with another record key begins a record anew.
        if member.cosigned.is_none() {
            sqlx::query("DELETE FROM cosigned WHERE box_id = ?")
                .bind(&member.box_id)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
        }
        let mut spkis: Vec<&str> = member
            .active
            .iter()
            .chain(&member.pending)
            .map(|keys| keys.tls_spki.as_str())
            .collect();
        spkis.dedup();
        for spki in spkis {
            sqlx::query("INSERT INTO box_keys (site, tls_spki, box_id) VALUES (?, ?, ?)")
                .bind(&self.site)
                .bind(spki)
                .bind(&member.box_id)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
        }
        Ok(())
    }

    async fn add_verdict(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        box_id: &str,
        verdict: &Verdict,
        evidence: &[u8],
    ) -> Result<(), CommitFault> {
        let text = serde_json::to_string(verdict).map_err(document("verdict"))?;
        sqlx::query(
            "INSERT INTO verdicts (site, box_id, at, word, good, evidence, document) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&self.site)
        .bind(box_id)
        .bind(verdict.at)
        .bind(verdict.word.word())
        .bind(verdict.word.allows_change())
        .bind(&verdict.evidence)
        .bind(text)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        self.thin_verdicts(tx, box_id).await?;
        if evidence.is_empty() {
            return Ok(());
        }
        sqlx::query("INSERT OR REPLACE INTO evidence (sha256, site, box_id, at, bytes) VALUES (?, ?, ?, ?, ?)")
            .bind(&verdict.evidence)
            .bind(&self.site)
            .bind(box_id)
            .bind(verdict.at)
            .bind(evidence)
            .execute(&mut **tx)
            .await
            .map_err(fault)?;
        sqlx::query(
            "DELETE FROM evidence WHERE box_id = ?1 AND sha256 NOT IN
             (SELECT sha256 FROM evidence WHERE box_id = ?1 ORDER BY at DESC LIMIT ?2)",
        )
        .bind(box_id)
        .bind(EVIDENCE_KEPT)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }

    /// One verdict comes, so one becomes lean and one may go: two statements about one row each, whatever the fleet's age.
    async fn thin_verdicts(&self, tx: &mut Transaction<'_, Sqlite>, box_id: &str) -> Result<(), CommitFault> {
        sqlx::query(
            "UPDATE verdicts SET document = json_remove(document, '$.claims.pcrs', '$.claims.events') WHERE number =
             (SELECT number FROM verdicts WHERE box_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        )
        .bind(box_id)
        .bind(WHOLE_KEPT)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        sqlx::query(
            "DELETE FROM verdicts WHERE number =
               (SELECT number FROM verdicts WHERE box_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
             AND word = (SELECT word FROM verdicts AS before WHERE before.box_id = ?1 AND before.number < verdicts.number
               ORDER BY before.number DESC LIMIT 1)
             AND number <> (SELECT coalesce(max(number), 0) FROM verdicts WHERE box_id = ?1 AND good = 1)",
        )
        .bind(box_id)
        .bind(VERDICTS_KEPT)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }

    async fn add_assignment(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        box_id: &str,
        head: &AssignmentHead,
        envelope: &[u8],
    ) -> Result<(), CommitFault> {
        let targets = serde_json::to_string(&head.targets).map_err(document("assignment"))?;
        sqlx::query(
            "INSERT INTO assignments (site, box_id, counter, not_after, at, made_by, targets, envelope)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&self.site)
        .bind(box_id)
        .bind(i64::try_from(head.counter).unwrap_or(i64::MAX))
        .bind(head.not_after)
        .bind(head.at)
        .bind(&head.by)
        .bind(targets)
        .bind(envelope)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }

    async fn put_report(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        box_id: &str,
        report: &BoxReport,
        at: i64,
    ) -> Result<(), CommitFault> {
        let inventory = report.inventory.as_ref().map(serde_json::Value::to_string);
        let mut lean = report.clone();
        lean.inventory = None;
        let text = serde_json::to_string(&lean).map_err(document("report"))?;
        sqlx::query(
            "INSERT INTO reports (site, box_id, at, document, inventory) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (box_id) DO UPDATE SET at = excluded.at, document = excluded.document,
             inventory = coalesce(excluded.inventory, reports.inventory)",
        )
        .bind(&self.site)
        .bind(box_id)
        .bind(at)
        .bind(text)
        .bind(inventory)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }

    async fn put_cosigned(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        box_id: &str,
        head: &CosignedHead,
    ) -> Result<(), CommitFault> {
        sqlx::query(
            "INSERT INTO cosigned (site, box_id, size, root, at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (box_id) DO UPDATE SET size = excluded.size, root = excluded.root, at = excluded.at
             WHERE excluded.size >= cosigned.size",
        )
        .bind(&self.site)
        .bind(box_id)
        .bind(i64::try_from(head.size).unwrap_or(i64::MAX))
        .bind(&head.root)
        .bind(head.at)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }

    async fn put_lease(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        box_id: &str,
        order: &LeaseOrder,
    ) -> Result<(), CommitFault> {
        let text = serde_json::to_string(order).map_err(document("lease"))?;
        sqlx::query(
            "INSERT INTO leases (site, box_id, changes, document) VALUES (?, ?, ?, ?)
             ON CONFLICT (box_id) DO UPDATE SET changes = excluded.changes, document = excluded.document
             WHERE excluded.changes > leases.changes",
        )
        .bind(&self.site)
        .bind(box_id)
        .bind(i64::try_from(order.changes).unwrap_or(i64::MAX))
        .bind(text)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }

    async fn add_token(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        box_id: &str,
        token: &TokenRow,
    ) -> Result<(), CommitFault> {
        let models = serde_json::to_string(&token.models).map_err(document("token"))?;
        sqlx::query(
            "INSERT INTO tokens (site, id, box_id, sha256, name, models, expires, made_at, made_by)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&self.site)
        .bind(&token.id)
        .bind(box_id)
        .bind(&token.sha256)
        .bind(&token.name)
        .bind(models)
        .bind(token.expires)
        .bind(token.made_at)
        .bind(&token.made_by)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
        Ok(())
    }
}

async fn remove_box(tx: &mut Transaction<'_, Sqlite>, box_id: &str) -> Result<(), CommitFault> {
    // Verdicts and assignments stay: the first are history, the second hold the counter that the box remembers.
    for statement in [
        "DELETE FROM boxes WHERE box_id = ?",
        "DELETE FROM tokens WHERE box_id = ?",
        "DELETE FROM reports WHERE box_id = ?",
    ] {
        sqlx::query(statement)
            .bind(box_id)
            .execute(&mut **tx)
            .await
            .map_err(fault)?;
    }
    Ok(())
}

/// A constraint is a conflict, anything else a database that does not work.
pub(crate) fn fault(source: sqlx::Error) -> CommitFault {
    if let Some(database) = source.as_database_error()
        && database.is_unique_violation()
    {
        let message = database.message();
        let what = message.rsplit(": ").next().unwrap_or(message).to_owned();
        return CommitFault::Conflict { what };
    }
    CommitFault::Store(StoreFault::Query { what: "write", source })
}

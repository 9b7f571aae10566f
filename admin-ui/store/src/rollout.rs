//! Rollouts: a plan that never changes, the changes since, numbered without gaps, and what people's passkeys signed.
//!
//! Refuses a change whose number is taken: two consoles cannot both go on from the same state; and a second approval of one
//! person. Invariant: the changes read back in order give the state that was in memory when the last of them was written.

use sqlx::{FromRow, Sqlite, Transaction};

use crate::change::fault;
use crate::fault::{CommitFault, StoreFault, query};
use crate::open::Store;

/// A rollout as it was proposed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RolloutRow {
    /// Its identifier.
    pub id: String,
    /// When it was proposed, Unix seconds.
    pub at: i64,
    /// The plan, as JSON.
    pub plan: String,
    /// What was said beside it, as JSON.
    pub risks: String,
    /// What approvers are asked, as JSON; `None` where the publisher's policy asks nobody.
    pub asked: Option<String>,
}

/// One change of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RolloutChangeRow {
    /// Which rollout.
    pub rollout: String,
    /// Its number, from 0.
    pub number: i64,
    /// When, Unix seconds.
    pub at: i64,
    /// The change, as JSON.
    pub document: String,
}

/// One person's approval of a rollout, by passkey.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RolloutApprovalRow {
    /// Which rollout.
    pub rollout: String,
    /// The approver's name in the policy.
    pub name: String,
    /// When, Unix seconds.
    pub at: i64,
    /// Name, time and assertion, as JSON.
    pub document: String,
}

/// A change of what is kept about rollouts.
#[derive(Debug, Clone)]
pub enum RolloutChange {
    /// A plan was proposed.
    Proposed(RolloutRow),
    /// Something changed.
    Changed(RolloutChangeRow),
    /// Somebody's passkey approved it; a conflict when that person's did before.
    Approved(RolloutApprovalRow),
}

impl RolloutChange {
    pub(crate) async fn write(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        let statement = match self {
            Self::Proposed(row) => {
                sqlx::query("INSERT INTO rollouts (site, id, at, plan, risks, asked) VALUES (?, ?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.id)
                    .bind(row.at)
                    .bind(&row.plan)
                    .bind(&row.risks)
                    .bind(&row.asked)
            }
            Self::Changed(row) => {
                sqlx::query("INSERT INTO rollout_changes (site, rollout, number, at, document) VALUES (?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.rollout)
                    .bind(row.number)
                    .bind(row.at)
                    .bind(&row.document)
            }
            Self::Approved(row) => {
                sqlx::query("INSERT INTO rollout_approvals (site, rollout, name, at, document) VALUES (?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.rollout)
                    .bind(&row.name)
                    .bind(row.at)
                    .bind(&row.document)
            }
        };
        statement.execute(&mut **tx).await.map_err(fault)?;
        Ok(())
    }
}

impl Store {
    /// Every rollout, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rollouts(&self) -> Result<Vec<RolloutRow>, StoreFault> {
        sqlx::query_as("SELECT id, at, plan, risks, asked FROM rollouts ORDER BY at, rowid")
            .fetch_all(&self.readers)
            .await
            .map_err(query("rollouts"))
    }

    /// Every change of every rollout, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rollout_changes(&self) -> Result<Vec<RolloutChangeRow>, StoreFault> {
        sqlx::query_as("SELECT rollout, number, at, document FROM rollout_changes ORDER BY rollout, number")
            .fetch_all(&self.readers)
            .await
            .map_err(query("rollout changes"))
    }

    /// Every approval of every rollout, oldest first within each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rollout_approvals(&self) -> Result<Vec<RolloutApprovalRow>, StoreFault> {
        sqlx::query_as("SELECT rollout, name, at, document FROM rollout_approvals ORDER BY rollout, at, name")
            .fetch_all(&self.readers)
            .await
            .map_err(query("rollout approvals"))
    }
}

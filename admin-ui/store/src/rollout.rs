//! Rollouts: a plan that never changes, and the changes since, numbered without gaps.
//!
//! Refuses a change whose number is taken: two consoles cannot both go on from the same state. Invariant: the changes read back
//! in order give the state that was in memory when the last of them was written.

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

/// A change of what is kept about rollouts.
#[derive(Debug, Clone)]
pub enum RolloutChange {
    /// A plan was proposed.
    Proposed(RolloutRow),
    /// Something changed.
    Changed(RolloutChangeRow),
}

impl RolloutChange {
    pub(crate) async fn write(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        let statement = match self {
            Self::Proposed(row) => {
                sqlx::query("INSERT INTO rollouts (site, id, at, plan, risks) VALUES (?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.id)
                    .bind(row.at)
                    .bind(&row.plan)
                    .bind(&row.risks)
            }
            Self::Changed(row) => {
                sqlx::query("INSERT INTO rollout_changes (site, rollout, number, at, document) VALUES (?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.rollout)
                    .bind(row.number)
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
        sqlx::query_as("SELECT id, at, plan, risks FROM rollouts ORDER BY at, rowid")
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
}

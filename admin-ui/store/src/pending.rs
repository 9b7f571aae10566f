//! What waits between two requests: plans that people proposed, and failures to sign in.
//!
//! Refuses to read a plan's document: that is the caller's. Invariant: a plan is replaced whole, and both tables are bounded.

use sqlx::{FromRow, Sqlite, Transaction};

use crate::change::fault;
use crate::fault::{CommitFault, StoreFault, query};
use crate::open::Store;

/// Plans kept; the oldest are forgotten. Bounds what somebody with an account can grow.
pub const PLANS_KEPT: i64 = 500;
/// Acceptances kept; those that ended longest ago are forgotten. Every one stands in the record for ever.
pub const ACCEPTANCES_KEPT: i64 = 10_000;
/// Failures kept; those of longest ago are forgotten. Bounds what made-up names can grow.
pub const FAILURES_KEPT: i64 = 20_000;

/// A plan as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PlanRow {
    /// Its random name.
    pub id: String,
    /// When it was proposed, Unix seconds.
    pub at: i64,
    /// All of it, as JSON.
    pub document: String,
}

/// Failures of one account or address.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct FailureRow {
    /// `account NAME` or `address IP`.
    pub name: String,
    /// How many in a row.
    pub count: i64,
    /// When the last one was, Unix seconds.
    pub last: i64,
}

/// An acceptance of a finding as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AcceptanceRow {
    /// Its random name.
    pub id: String,
    /// When, Unix seconds.
    pub at: i64,
    /// Until when, Unix seconds.
    pub until: i64,
    /// All of it, as JSON.
    pub document: String,
}

/// A change of what waits.
#[derive(Debug, Clone)]
pub enum PendingChange {
    /// A plan is new, or stands elsewhere.
    Plan(PlanRow),
    /// Somebody accepts a finding.
    Accepted(AcceptanceRow),
    /// Somebody failed.
    Failed(FailureRow),
    /// Somebody succeeded: their failures are forgotten.
    Succeeded {
        /// `account NAME`.
        name: String,
    },
}

impl PendingChange {
    pub(crate) async fn write(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        match self {
            Self::Plan(row) => {
                sqlx::query(
                    "INSERT INTO plans (site, id, at, document) VALUES (?, ?, ?, ?)
                     ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                )
                .bind(site)
                .bind(&row.id)
                .bind(row.at)
                .bind(&row.document)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
                prune(
                    tx,
                    "DELETE FROM plans WHERE id IN (SELECT id FROM plans ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?)",
                    PLANS_KEPT,
                )
                .await
            }
            Self::Accepted(row) => {
                sqlx::query("INSERT INTO acceptances (site, id, at, until, document) VALUES (?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.id)
                    .bind(row.at)
                    .bind(row.until)
                    .bind(&row.document)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                prune(
                    tx,
                    "DELETE FROM acceptances WHERE id IN
                     (SELECT id FROM acceptances ORDER BY until DESC, rowid DESC LIMIT -1 OFFSET ?)",
                    ACCEPTANCES_KEPT,
                )
                .await
            }
            Self::Failed(row) => {
                sqlx::query(
                    "INSERT INTO failures (site, name, count, last) VALUES (?, ?, ?, ?)
                     ON CONFLICT (name) DO UPDATE SET count = excluded.count, last = excluded.last",
                )
                .bind(site)
                .bind(&row.name)
                .bind(row.count)
                .bind(row.last)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
                prune(
                    tx,
                    "DELETE FROM failures WHERE name IN (SELECT name FROM failures ORDER BY last DESC LIMIT -1 OFFSET ?)",
                    FAILURES_KEPT,
                )
                .await
            }
            Self::Succeeded { name } => {
                sqlx::query("DELETE FROM failures WHERE name = ?")
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                Ok(())
            }
        }
    }
}

async fn prune(tx: &mut Transaction<'_, Sqlite>, statement: &'static str, kept: i64) -> Result<(), CommitFault> {
    sqlx::query(statement)
        .bind(kept)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    Ok(())
}

impl Store {
    /// Every plan, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plans(&self) -> Result<Vec<PlanRow>, StoreFault> {
        sqlx::query_as("SELECT id, at, document FROM plans ORDER BY at, rowid")
            .fetch_all(&self.readers)
            .await
            .map_err(query("plans"))
    }

    /// Every acceptance, oldest first; those that ended, too: they say why something is open again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn acceptances(&self) -> Result<Vec<AcceptanceRow>, StoreFault> {
        sqlx::query_as("SELECT id, at, until, document FROM acceptances ORDER BY at, rowid")
            .fetch_all(&self.readers)
            .await
            .map_err(query("acceptances"))
    }

    /// Failures since `since`, Unix seconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failures(&self, since: i64) -> Result<Vec<FailureRow>, StoreFault> {
        sqlx::query_as("SELECT name, count, last FROM failures WHERE last >= ?")
            .bind(since)
            .fetch_all(&self.readers)
            .await
            .map_err(query("failures"))
    }
}

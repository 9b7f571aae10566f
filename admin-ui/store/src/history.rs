//! Looking back: verdicts, evidence packages and assignment documents of one box.
//!
//! Refuses to guess: what was not kept is `None`. Invariant: reads only, on the readers' connections.

use freehold_fleet::Verdict;
use sqlx::FromRow;

use crate::fault::{StoreFault, document, query};
use crate::open::Store;

/// One verdict of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// Counts up over the whole fleet.
    pub number: i64,
    /// The verdict.
    pub verdict: Verdict,
}

#[derive(FromRow)]
struct Numbered {
    number: i64,
    document: String,
}

impl Store {
    /// The last verdicts of a box, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verdicts_of(&self, box_id: &str, limit: u32) -> Result<Vec<VerdictRow>, StoreFault> {
        let rows: Vec<Numbered> =
            sqlx::query_as("SELECT number, document FROM verdicts WHERE box_id = ? ORDER BY number DESC LIMIT ?")
                .bind(box_id)
                .bind(limit)
                .fetch_all(&self.readers)
                .await
                .map_err(query("verdicts"))?;
        rows.into_iter()
            .map(|row| {
                let verdict = serde_json::from_str(&row.document).map_err(document("verdict"))?;
                Ok(VerdictRow {
                    number: row.number,
                    verdict,
                })
            })
            .collect()
    }

    /// An evidence package as it came: the one with this SHA-256 (hex), else the last one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn evidence_of(&self, box_id: &str, sha256: Option<&str>) -> Result<Option<Vec<u8>>, StoreFault> {
        let found: Option<(Vec<u8>,)> = match sha256 {
            Some(sha256) => {
                sqlx::query_as("SELECT bytes FROM evidence WHERE box_id = ? AND sha256 = ?")
                    .bind(box_id)
                    .bind(sha256)
                    .fetch_optional(&self.readers)
                    .await
            }
            None => {
                sqlx::query_as("SELECT bytes FROM evidence WHERE box_id = ? ORDER BY at DESC, rowid DESC LIMIT 1")
                    .bind(box_id)
                    .fetch_optional(&self.readers)
                    .await
            }
        }
        .map_err(query("evidence"))?;
        Ok(found.map(|row| row.0))
    }

    /// The signed document of an assignment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn assignment_of(&self, box_id: &str, counter: u64) -> Result<Option<Vec<u8>>, StoreFault> {
        let found: Option<(Vec<u8>,)> =
            sqlx::query_as("SELECT envelope FROM assignments WHERE box_id = ? AND counter = ?")
                .bind(box_id)
                .bind(i64::try_from(counter).unwrap_or(i64::MAX))
                .fetch_optional(&self.readers)
                .await
                .map_err(query("assignment"))?;
        Ok(found.map(|row| row.0))
    }
}

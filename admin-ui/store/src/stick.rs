//! What the console keeps about sticks: bundles, their challenges, returns, and notes for the next letters.
//!
//! Refuses to read a document: that is the caller's. Invariant: a bundle's number and a return's sequence are there once, by the
//! schema, so that no race takes one twice.

use sqlx::{FromRow, Sqlite, Transaction};

use crate::change::fault;
use crate::fault::{CommitFault, StoreFault, query};
use crate::open::Store;

/// Bundles and returns that are listed.
pub const STICKS_SHOWN: i64 = 200;

/// A bundle as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct BundleRow {
    /// Its number.
    pub number: i64,
    /// When it was made, Unix seconds.
    pub at: i64,
    /// Until when it may be taken, Unix seconds.
    pub not_after: i64,
    /// Who made it.
    pub made_by: String,
    /// SHA-256 of its signed list, hex.
    pub digest: String,
    /// Boxes and parts, as JSON.
    pub document: String,
}

/// A challenge that travels with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StickChallengeRow {
    /// Whose.
    pub box_id: String,
    /// The bundle's number.
    pub number: i64,
    /// 32 random bytes.
    pub nonce: Vec<u8>,
    /// Unix seconds.
    pub issued: i64,
    /// Unix seconds.
    pub expires: i64,
}

/// A return that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ReturnRow {
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// The box.
    pub box_id: String,
    /// SHA-256 of the key that signed it, hex.
    pub tls_spki: String,
    /// The bundle that it answers.
    pub number: i64,
    /// The box's count.
    pub sequence: i64,
    /// When it came, Unix seconds.
    pub at: i64,
    /// What came of it, as JSON.
    pub document: String,
}

/// A change about sticks.
#[derive(Debug, Clone)]
pub enum StickChange {
    /// A bundle was made, with its challenges.
    Made(BundleRow, Vec<StickChallengeRow>),
    /// A challenge was answered: it counts no more.
    Answered {
        /// Whose.
        box_id: String,
        /// The nonce.
        nonce: Vec<u8>,
    },
    /// A return came.
    Returned(ReturnRow),
    /// What came of a return's messages.
    Outcome {
        /// SHA-256 of the file, hex.
        sha256: String,
        /// As JSON.
        document: String,
    },
    /// A note for the next letter; empty takes it away.
    Noted {
        /// Which box.
        box_id: String,
        /// As JSON.
        document: String,
    },
}

impl StickChange {
    pub(crate) async fn write(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        match self {
            Self::Made(row, challenges) => {
                sqlx::query(
                    "INSERT INTO bundles (site, number, at, not_after, made_by, digest, document) VALUES (?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(row.number)
                .bind(row.at)
                .bind(row.not_after)
                .bind(&row.made_by)
                .bind(&row.digest)
                .bind(&row.document)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
                for challenge in challenges {
                    sqlx::query(
                        "INSERT INTO stick_challenges (site, box_id, number, nonce, issued, expires) VALUES (?, ?, ?, ?, ?, ?)",
                    )
                    .bind(site)
                    .bind(&challenge.box_id)
                    .bind(challenge.number)
                    .bind(&challenge.nonce)
                    .bind(challenge.issued)
                    .bind(challenge.expires)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                }
                Ok(())
            }
            Self::Answered { box_id, nonce } => {
                sqlx::query("DELETE FROM stick_challenges WHERE box_id = ? AND nonce = ?")
                    .bind(box_id)
                    .bind(nonce)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                Ok(())
            }
            Self::Returned(row) => {
                sqlx::query(
                    "INSERT INTO stick_returns (site, sha256, box_id, tls_spki, number, sequence, at, document)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(&row.sha256)
                .bind(&row.box_id)
                .bind(&row.tls_spki)
                .bind(row.number)
                .bind(row.sequence)
                .bind(row.at)
                .bind(&row.document)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
                Ok(())
            }
            Self::Outcome { sha256, document } => {
                sqlx::query("UPDATE stick_returns SET document = ? WHERE sha256 = ?")
                    .bind(document)
                    .bind(sha256)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                Ok(())
            }
            Self::Noted { box_id, document } => {
                sqlx::query(
                    "INSERT INTO stick_notes (site, box_id, document) VALUES (?, ?, ?)
                     ON CONFLICT (box_id) DO UPDATE SET document = excluded.document",
                )
                .bind(site)
                .bind(box_id)
                .bind(document)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
                Ok(())
            }
        }
    }
}

impl Store {
    /// The last bundles, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bundles(&self) -> Result<Vec<BundleRow>, StoreFault> {
        sqlx::query_as(
            "SELECT number, at, not_after, made_by, digest, document FROM bundles ORDER BY number DESC LIMIT ?",
        )
        .bind(STICKS_SHOWN)
        .fetch_all(&self.readers)
        .await
        .map_err(query("bundles"))
    }

    /// One bundle.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bundle(&self, number: i64) -> Result<Option<BundleRow>, StoreFault> {
        sqlx::query_as("SELECT number, at, not_after, made_by, digest, document FROM bundles WHERE number = ?")
            .bind(number)
            .fetch_optional(&self.readers)
            .await
            .map_err(query("bundle"))
    }

    /// The challenge that a nonce belongs to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stick_challenge(&self, box_id: &str, nonce: &[u8]) -> Result<Option<StickChallengeRow>, StoreFault> {
        sqlx::query_as(
            "SELECT box_id, number, nonce, issued, expires FROM stick_challenges WHERE box_id = ? AND nonce = ?",
        )
        .bind(box_id)
        .bind(nonce)
        .fetch_optional(&self.readers)
        .await
        .map_err(query("stick challenge"))
    }

    /// Returns that answer a bundle or a later one, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn returns_since(&self, number: i64) -> Result<Vec<ReturnRow>, StoreFault> {
        sqlx::query_as(
            "SELECT sha256, box_id, tls_spki, number, sequence, at, document FROM stick_returns WHERE number >= ?
             ORDER BY number, sequence",
        )
        .bind(number)
        .fetch_all(&self.readers)
        .await
        .map_err(query("returns"))
    }

    /// The last return of a key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_return(&self, tls_spki: &str) -> Result<Option<ReturnRow>, StoreFault> {
        sqlx::query_as(
            "SELECT sha256, box_id, tls_spki, number, sequence, at, document FROM stick_returns WHERE tls_spki = ?
             ORDER BY sequence DESC LIMIT 1",
        )
        .bind(tls_spki)
        .fetch_optional(&self.readers)
        .await
        .map_err(query("last return"))
    }

    /// The notes for the next letters, by box.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stick_notes(&self) -> Result<Vec<(String, String)>, StoreFault> {
        sqlx::query_as("SELECT box_id, document FROM stick_notes WHERE document <> '' ORDER BY box_id")
            .fetch_all(&self.readers)
            .await
            .map_err(query("stick notes"))
    }
}

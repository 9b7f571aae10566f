//! Passkeys of accounts, and the packages of approvals that boxes fetch.
//!
//! Refuses to keep a passkey under two accounts. Invariant: a package is kept under the digest that an assignment names, for
//! the box that it is for.

use sqlx::{FromRow, Sqlite, Transaction};

use crate::change::fault;
use crate::fault::{CommitFault, StoreFault, query};
use crate::open::Store;

/// Packages kept per box: the assignment in force names at most eight; bounds what plans can grow.
const PACKAGES_KEPT: i64 = 32;

/// One passkey.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PasskeyRow {
    /// Its credential id, base64url without padding.
    pub credential: String,
    /// Whose.
    pub account: String,
    /// What its owner calls it.
    pub name: String,
    /// `approval` or `sign_in`.
    pub purpose: String,
    /// Its public key, PEM.
    pub key: String,
    /// The authenticator's counter.
    pub count: i64,
    /// Unix seconds.
    pub made_at: i64,
    /// When it was used last, Unix seconds.
    pub used_at: Option<i64>,
}

/// A package of approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRow {
    /// For which box.
    pub box_id: String,
    /// SHA-256, hex.
    pub sha256: String,
    /// Unix seconds.
    pub at: i64,
    /// As it travels.
    pub bytes: Vec<u8>,
}

/// A change of them.
#[derive(Debug, Clone)]
pub enum PasskeyChange {
    /// A new passkey; a conflict when it is there.
    Made(PasskeyRow),
    /// It was used.
    Used {
        /// Which.
        credential: String,
        /// The authenticator's counter.
        count: i64,
        /// Unix seconds.
        at: i64,
    },
    /// It is gone.
    Removed {
        /// Which.
        credential: String,
        /// Whose it must be.
        account: String,
    },
    /// A package that an assignment is about to name.
    Package(PackageRow),
}

impl PasskeyChange {
    pub(crate) async fn write(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        match self {
            Self::Made(row) => {
                sqlx::query(
                    "INSERT INTO passkeys (site, credential, account, name, purpose, key, count, made_at, used_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(&row.credential)
                .bind(&row.account)
                .bind(&row.name)
                .bind(&row.purpose)
                .bind(&row.key)
                .bind(row.count)
                .bind(row.made_at)
                .bind(row.used_at)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
            }
            Self::Used { credential, count, at } => {
                sqlx::query("UPDATE passkeys SET count = ?, used_at = ? WHERE credential = ?")
                    .bind(count)
                    .bind(at)
                    .bind(credential)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::Removed { credential, account } => {
                sqlx::query("DELETE FROM passkeys WHERE credential = ? AND account = ?")
                    .bind(credential)
                    .bind(account)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::Package(row) => {
                sqlx::query(
                    "INSERT INTO approval_packages (site, box_id, sha256, at, bytes) VALUES (?, ?, ?, ?, ?)
                     ON CONFLICT (box_id, sha256) DO UPDATE SET at = excluded.at",
                )
                .bind(site)
                .bind(&row.box_id)
                .bind(&row.sha256)
                .bind(row.at)
                .bind(&row.bytes)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
                sqlx::query(
                    "DELETE FROM approval_packages WHERE box_id = ? AND sha256 IN
                     (SELECT sha256 FROM approval_packages WHERE box_id = ? ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?)",
                )
                .bind(&row.box_id)
                .bind(&row.box_id)
                .bind(PACKAGES_KEPT)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// The passkeys of an account, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn passkeys_of(&self, account: &str) -> Result<Vec<PasskeyRow>, StoreFault> {
        sqlx::query_as(
            "SELECT credential, account, name, purpose, key, count, made_at, used_at FROM passkeys
             WHERE account = ? ORDER BY made_at, credential",
        )
        .bind(account)
        .fetch_all(&self.readers)
        .await
        .map_err(query("passkeys"))
    }

    /// A package of approvals for a box.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn approval_package(&self, box_id: &str, sha256: &str) -> Result<Option<Vec<u8>>, StoreFault> {
        let row: Option<(Vec<u8>,)> =
            sqlx::query_as("SELECT bytes FROM approval_packages WHERE box_id = ? AND sha256 = ?")
                .bind(box_id)
                .bind(sha256)
                .fetch_optional(&self.readers)
                .await
                .map_err(query("approval_packages"))?;
        Ok(row.map(|(bytes,)| bytes))
    }
}

//! People: accounts and sessions.
//!
//! Refuses to see a password or a token: callers hand in hashes. Invariant: a session whose account or role changed is gone,
//! in the same transaction.

use sqlx::{FromRow, Sqlite, Transaction};

use crate::change::fault;
use crate::fault::{CommitFault, StoreFault, query};
use crate::open::Store;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AccountRow {
    /// The site.
    pub site: String,
    /// The name that signs in.
    pub name: String,
    /// `viewer`, `auditor`, `operator` or `administrator`.
    pub role: String,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// Whether the password is a one-time one.
    pub must_change: bool,
    /// Unix seconds.
    pub made_at: i64,
    /// When the password or role last changed, Unix seconds.
    pub changed_at: i64,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SessionRow {
    /// SHA-256 of the token, hex.
    pub token: String,
    /// Short public name.
    pub id: String,
    /// Whose.
    pub account: String,
    /// `page` or `api`.
    pub door: String,
    /// The token of this session's forms.
    pub csrf: String,
    /// Unix seconds.
    pub made_at: i64,
    /// Unix seconds.
    pub expires: i64,
    /// Where it came from.
    pub address: String,
}

/// A change of people's rows.
#[derive(Debug, Clone)]
pub enum AccountChange {
    /// A new account; a conflict when the name is taken.
    Made(AccountRow),
    /// A new password; every other session of the account ends.
    Password {
        /// Whose.
        name: String,
        /// Argon2id, as a PHC string.
        password: String,
        /// Whether it is a one-time one.
        must_change: bool,
        /// Unix seconds.
        at: i64,
        /// SHA-256 of the session's token that goes on, hex.
        keep: Option<String>,
    },
    /// A new role; every session of the account ends.
    Role {
        /// Whose.
        name: String,
        /// Which.
        role: String,
        /// Unix seconds.
        at: i64,
    },
    /// An account is gone, with its sessions.
    Removed {
        /// Whose.
        name: String,
    },
    /// Somebody signed in.
    SignedIn(SessionRow),
    /// A session ended, by the SHA-256 of its token.
    SignedOut {
        /// Hex.
        token: String,
    },
    /// A session was ended by its public name.
    Ended {
        /// Its public name.
        id: String,
        /// Whose it must be.
        account: String,
    },
    /// Sessions that ran out are forgotten.
    Expired {
        /// Unix seconds.
        now: i64,
    },
}

impl AccountChange {
    pub(crate) async fn write(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        match self {
            Self::Made(row) => {
                sqlx::query(
                    "INSERT INTO accounts (site, name, role, password, must_change, made_at, changed_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(&row.name)
                .bind(&row.role)
                .bind(&row.password)
                .bind(row.must_change)
                .bind(row.made_at)
                .bind(row.changed_at)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
            }
            Self::Password {
                name,
                password,
                must_change,
                at,
                keep,
            } => {
                sqlx::query("UPDATE accounts SET password = ?, must_change = ?, changed_at = ? WHERE name = ?")
                    .bind(password)
                    .bind(must_change)
                    .bind(at)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                sqlx::query("DELETE FROM sessions WHERE account = ? AND token IS NOT ?")
                    .bind(name)
                    .bind(keep)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::Role { name, role, at } => {
                sqlx::query("UPDATE accounts SET role = ?, changed_at = ? WHERE name = ?")
                    .bind(role)
                    .bind(at)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                one(tx, "DELETE FROM sessions WHERE account = ?", name).await?;
            }
            Self::Removed { name } => one(tx, "DELETE FROM accounts WHERE name = ?", name).await?,
            Self::SignedIn(row) => {
                sqlx::query(
                    "INSERT INTO sessions (site, token, id, account, door, csrf, made_at, expires, address)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(&row.token)
                .bind(&row.id)
                .bind(&row.account)
                .bind(&row.door)
                .bind(&row.csrf)
                .bind(row.made_at)
                .bind(row.expires)
                .bind(&row.address)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
            }
            Self::SignedOut { token } => one(tx, "DELETE FROM sessions WHERE token = ?", token).await?,
            Self::Ended { id, account } => {
                sqlx::query("DELETE FROM sessions WHERE id = ? AND account = ?")
                    .bind(id)
                    .bind(account)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::Expired { now } => {
                sqlx::query("DELETE FROM sessions WHERE expires < ?")
                    .bind(now)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
        }
        Ok(())
    }
}

async fn one(tx: &mut Transaction<'_, Sqlite>, statement: &'static str, value: &str) -> Result<(), CommitFault> {
    sqlx::query(statement)
        .bind(value)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    Ok(())
}

impl Store {
    /// One account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRow>, StoreFault> {
        sqlx::query_as("SELECT * FROM accounts WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map_err(query("account"))
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreFault> {
        sqlx::query_as("SELECT * FROM accounts ORDER BY name")
            .fetch_all(&self.readers)
            .await
            .map_err(query("accounts"))
    }

    /// A session that has not run out, with its account as it is now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(&self, token: &str, now: i64) -> Result<Option<(SessionRow, AccountRow)>, StoreFault> {
        let session: Option<SessionRow> = sqlx::query_as(
            "SELECT token, id, account, door, csrf, made_at, expires, address FROM sessions WHERE token = ? AND expires >= ?",
        )
        .bind(token)
        .bind(now)
        .fetch_optional(&self.readers)
        .await
        .map_err(query("session"))?;
        let Some(session) = session else { return Ok(None) };
        Ok(self.account(&session.account).await?.map(|account| (session, account)))
    }

    /// The sessions of an account that have not run out, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions_of(&self, account: &str, now: i64) -> Result<Vec<SessionRow>, StoreFault> {
        sqlx::query_as(
            "SELECT token, id, account, door, csrf, made_at, expires, address FROM sessions
             WHERE account = ? AND expires >= ? ORDER BY made_at DESC",
        )
        .bind(account)
        .bind(now)
        .fetch_all(&self.readers)
        .await
        .map_err(query("sessions"))
    }
}

//! People, read: accounts, sessions, tokens, alarms.
//!
//! Refuses to answer with a session or token that has run out. Invariant: a session comes with its account as it is now.

use super::{AccountRow, AlarmRow, ApiTokenRow, SessionRow};
use crate::fault::{StoreFault, query};
use crate::open::Store;

/// An account's columns, with what is counted elsewhere.
macro_rules! account {
    ($tail:literal) => {
        concat!(
            "SELECT site, name, role, password, must_change, made_at, changed_at, sites, kind, disabled, totp, totp_step, subject,
             (SELECT COUNT(*) FROM passkeys WHERE passkeys.account = accounts.name AND purpose = 'sign_in') AS passkeys
             FROM accounts ",
            $tail
        )
    };
}

/// A session's columns.
macro_rules! session {
    ($tail:literal) => {
        concat!(
            "SELECT token, id, account, door, csrf, made_at, expires, address, factor FROM sessions ",
            $tail
        )
    };
}

/// A token's columns.
macro_rules! token {
    ($tail:literal) => {
        concat!(
            "SELECT id, account, sha256, name, actions, made_at, made_by, expires FROM api_tokens ",
            $tail
        )
    };
}

impl Store {
    /// One account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRow>, StoreFault> {
        sqlx::query_as(account!("WHERE name = ?"))
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map_err(query("account"))
    }

    /// The account that an identity from elsewhere is bound to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account_of_subject(&self, subject: &str) -> Result<Option<AccountRow>, StoreFault> {
        sqlx::query_as(account!("WHERE subject = ?"))
            .bind(subject)
            .fetch_optional(&self.readers)
            .await
            .map_err(query("account of subject"))
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreFault> {
        sqlx::query_as(account!("ORDER BY name"))
            .fetch_all(&self.readers)
            .await
            .map_err(query("accounts"))
    }

    /// A session that has not run out, with its account as it is now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(&self, token: &str, now: i64) -> Result<Option<(SessionRow, AccountRow)>, StoreFault> {
        let session: Option<SessionRow> = sqlx::query_as(session!("WHERE token = ? AND expires >= ?"))
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
        sqlx::query_as(session!("WHERE account = ? AND expires >= ? ORDER BY made_at DESC"))
            .bind(account)
            .bind(now)
            .fetch_all(&self.readers)
            .await
            .map_err(query("sessions"))
    }

    /// A token that has not run out, with its account as it is now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_token(&self, sha256: &str, now: i64) -> Result<Option<(ApiTokenRow, AccountRow)>, StoreFault> {
        let token: Option<ApiTokenRow> = sqlx::query_as(token!("WHERE sha256 = ? AND expires >= ?"))
            .bind(sha256)
            .bind(now)
            .fetch_optional(&self.readers)
            .await
            .map_err(query("api token"))?;
        let Some(token) = token else { return Ok(None) };
        Ok(self.account(&token.account).await?.map(|account| (token, account)))
    }

    /// Every token, by account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_tokens(&self) -> Result<Vec<ApiTokenRow>, StoreFault> {
        sqlx::query_as(token!("ORDER BY account, made_at"))
            .fetch_all(&self.readers)
            .await
            .map_err(query("api tokens"))
    }

    /// How many recovery codes an account has left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recovery_codes_of(&self, account: &str) -> Result<i64, StoreFault> {
        sqlx::query_scalar("SELECT COUNT(*) FROM recovery_codes WHERE account = ?")
            .bind(account)
            .fetch_one(&self.readers)
            .await
            .map_err(query("recovery codes"))
    }

    /// Alarms that nobody has settled, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn alarms(&self) -> Result<Vec<AlarmRow>, StoreFault> {
        sqlx::query_as(
            "SELECT id, at, kind, about, detail, settled_by, settled_at FROM alarms WHERE settled_at IS NULL ORDER BY at DESC",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(query("alarms"))
    }
}

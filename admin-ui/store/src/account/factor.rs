//! How second factors, tokens and alarms are written.
//!
//! Refuses to take a code twice: the row says which was last, and the update has that as its condition. Invariant: what two
//! requests race for, one of them gets; the other sees a conflict.

use sqlx::{Sqlite, Transaction};

use super::AccountChange;
use crate::change::fault;
use crate::fault::CommitFault;

/// Runs a statement with one value.
pub(super) async fn one(
    tx: &mut Transaction<'_, Sqlite>,
    statement: &'static str,
    value: &str,
) -> Result<(), CommitFault> {
    sqlx::query(statement)
        .bind(value)
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    Ok(())
}

/// One row must have changed, else somebody else was first.
fn won(done: &sqlx::sqlite::SqliteQueryResult, what: &str) -> Result<(), CommitFault> {
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(CommitFault::Conflict { what: what.to_owned() })
}

impl AccountChange {
    pub(super) async fn write_factor(&self, tx: &mut Transaction<'_, Sqlite>, site: &str) -> Result<(), CommitFault> {
        match self {
            Self::Totp { name, salt, step } => {
                sqlx::query("UPDATE accounts SET totp = ?, totp_step = ? WHERE name = ?")
                    .bind(salt)
                    .bind(step)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::TotpUsed { name, step } => {
                let done = sqlx::query("UPDATE accounts SET totp_step = ? WHERE name = ? AND totp_step < ?")
                    .bind(step)
                    .bind(name)
                    .bind(step)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                won(&done, "accounts.totp_step")?;
            }
            Self::RecoveryCodes { name, sha256 } => {
                one(tx, "DELETE FROM recovery_codes WHERE account = ?", name).await?;
                for code in sha256 {
                    sqlx::query("INSERT INTO recovery_codes (site, account, sha256) VALUES (?, ?, ?)")
                        .bind(site)
                        .bind(name)
                        .bind(code)
                        .execute(&mut **tx)
                        .await
                        .map_err(fault)?;
                }
            }
            Self::RecoveryUsed { name, sha256 } => {
                let done = sqlx::query("DELETE FROM recovery_codes WHERE account = ? AND sha256 = ?")
                    .bind(name)
                    .bind(sha256)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                won(&done, "recovery_codes")?;
            }
            Self::FactorsReset { name, at } => {
                sqlx::query("UPDATE accounts SET totp = NULL, changed_at = ? WHERE name = ?")
                    .bind(at)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                one(
                    tx,
                    "DELETE FROM passkeys WHERE account = ? AND purpose = 'sign_in'",
                    name,
                )
                .await?;
                one(tx, "DELETE FROM recovery_codes WHERE account = ?", name).await?;
                one(tx, "DELETE FROM sessions WHERE account = ?", name).await?;
            }
            Self::Bound { name, subject } => {
                let done = sqlx::query("UPDATE accounts SET subject = ? WHERE name = ? AND subject IS NULL")
                    .bind(subject)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                won(&done, "accounts.subject")?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) async fn write_token_or_alarm(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        site: &str,
    ) -> Result<(), CommitFault> {
        match self {
            Self::TokenMade(row) => {
                sqlx::query(
                    "INSERT INTO api_tokens (site, id, account, sha256, name, actions, made_at, made_by, expires)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(&row.id)
                .bind(&row.account)
                .bind(&row.sha256)
                .bind(&row.name)
                .bind(&row.actions)
                .bind(row.made_at)
                .bind(&row.made_by)
                .bind(row.expires)
                .execute(&mut **tx)
                .await
                .map_err(fault)?;
            }
            Self::TokenGone { id, account } => {
                sqlx::query("DELETE FROM api_tokens WHERE id = ? AND account = ?")
                    .bind(id)
                    .bind(account)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::Alarm(row) => {
                sqlx::query("INSERT INTO alarms (site, id, at, kind, about, detail) VALUES (?, ?, ?, ?, ?, ?)")
                    .bind(site)
                    .bind(&row.id)
                    .bind(row.at)
                    .bind(&row.kind)
                    .bind(&row.about)
                    .bind(&row.detail)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            Self::AlarmSettled { id, by, at } => {
                sqlx::query("UPDATE alarms SET settled_by = ?, settled_at = ? WHERE id = ? AND settled_at IS NULL")
                    .bind(by)
                    .bind(at)
                    .bind(id)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
            }
            _ => {}
        }
        Ok(())
    }
}

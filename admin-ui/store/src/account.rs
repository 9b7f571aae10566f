//! People: accounts and sessions, and every change of them.
//!
//! Refuses to see a password or a token: callers hand in hashes. Invariant: a session whose account or role changed is gone,
//! in the same transaction.

mod factor;
mod read;

use sqlx::{FromRow, Sqlite, Transaction};

use self::factor::one;
use crate::change::fault;
use crate::fault::CommitFault;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Default, FromRow)]
pub struct AccountRow {
    /// The site.
    pub site: String,
    /// The name that signs in.
    pub name: String,
    /// `viewer`, `auditor`, `operator`, `approver` or `administrator`.
    pub role: String,
    /// Argon2id, as a PHC string.
    pub password: String,
    /// Whether the password is a one-time one.
    pub must_change: bool,
    /// Unix seconds.
    pub made_at: i64,
    /// When the password or role last changed, Unix seconds.
    pub changed_at: i64,
    /// The sites that it is for, one a line; `*` stands for all.
    pub sites: String,
    /// `person`, `machine`, `outside` (signs in elsewhere) or `break_glass`.
    pub kind: String,
    /// Switched off.
    pub disabled: bool,
    /// The salt of its codes, hex; `None` when it has none.
    pub totp: Option<String>,
    /// The last 30 seconds that a code was taken for.
    pub totp_step: i64,
    /// Issuer and subject, once an outside account has signed in.
    pub subject: Option<String>,
    /// How many passkeys sign it in.
    pub passkeys: i64,
}

impl AccountRow {
    /// The sites, `*` among them when it is for all.
    pub fn sites(&self) -> impl Iterator<Item = &str> {
        self.sites.lines().filter(|site| !site.is_empty())
    }

    /// Whether a password alone does not sign it in.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.kind == "person" && (self.totp.is_some() || self.passkeys > 0)
    }
}

/// A token of a person or a machine.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ApiTokenRow {
    /// Short public name.
    pub id: String,
    /// Whose.
    pub account: String,
    /// SHA-256 of the token, hex.
    pub sha256: String,
    /// What it is for.
    pub name: String,
    /// Actions, one a line.
    pub actions: String,
    /// Unix seconds.
    pub made_at: i64,
    /// Who made it.
    pub made_by: String,
    /// Unix seconds.
    pub expires: i64,
}

/// Something that people have to hear of until somebody says that they did.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AlarmRow {
    /// Random name.
    pub id: String,
    /// Unix seconds.
    pub at: i64,
    /// What happened, for example `break_glass`.
    pub kind: String,
    /// About whom or what.
    pub about: String,
    /// One line.
    pub detail: String,
    /// Who settled it.
    pub settled_by: Option<String>,
    /// When, Unix seconds.
    pub settled_at: Option<i64>,
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
    /// How the person showed who they are: `password`, `totp`, `recovery`, `passkey`, `outside`, `break_glass`, `token`.
    pub factor: String,
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
    /// Other sites; every session of the account ends.
    Sites {
        /// Whose.
        name: String,
        /// One a line.
        sites: String,
        /// Unix seconds.
        at: i64,
    },
    /// Switched off or on; every session and token of an account that is switched off ends.
    Disabled {
        /// Whose.
        name: String,
        /// Whether it is off.
        disabled: bool,
        /// Unix seconds.
        at: i64,
    },
    /// Codes of an authenticator app from now on, or none.
    Totp {
        /// Whose.
        name: String,
        /// The salt, hex.
        salt: Option<String>,
        /// The 30 seconds that the first code was for.
        step: i64,
    },
    /// A code was taken: neither it nor an older one counts again. A conflict when another request was first.
    TotpUsed {
        /// Whose.
        name: String,
        /// The 30 seconds that it was for.
        step: i64,
    },
    /// New recovery codes; the old ones are worth nothing.
    RecoveryCodes {
        /// Whose.
        name: String,
        /// SHA-256 of each, hex.
        sha256: Vec<String>,
    },
    /// A recovery code was used. A conflict when it is not there.
    RecoveryUsed {
        /// Whose.
        name: String,
        /// SHA-256, hex.
        sha256: String,
    },
    /// All second factors are gone; every session of the account ends.
    FactorsReset {
        /// Whose.
        name: String,
        /// Unix seconds.
        at: i64,
    },
    /// An outside account signed in for the first time. A conflict when it is bound already.
    Bound {
        /// Whose.
        name: String,
        /// Issuer and subject.
        subject: String,
    },
    /// A token was made.
    TokenMade(ApiTokenRow),
    /// A token is gone.
    TokenGone {
        /// Which.
        id: String,
        /// Whose it must be.
        account: String,
    },
    /// Something that people have to hear of.
    Alarm(AlarmRow),
    /// Somebody has heard of it.
    AlarmSettled {
        /// Which.
        id: String,
        /// Who.
        by: String,
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
                    "INSERT INTO accounts (site, name, role, password, must_change, made_at, changed_at, sites, kind)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(site)
                .bind(&row.name)
                .bind(&row.role)
                .bind(&row.password)
                .bind(row.must_change)
                .bind(row.made_at)
                .bind(row.changed_at)
                .bind(&row.sites)
                .bind(&row.kind)
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
            Self::Sites { name, sites, at } => {
                sqlx::query("UPDATE accounts SET sites = ?, changed_at = ? WHERE name = ?")
                    .bind(sites)
                    .bind(at)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                one(tx, "DELETE FROM sessions WHERE account = ?", name).await?;
            }
            Self::Disabled { name, disabled, at } => {
                sqlx::query("UPDATE accounts SET disabled = ?, changed_at = ? WHERE name = ?")
                    .bind(disabled)
                    .bind(at)
                    .bind(name)
                    .execute(&mut **tx)
                    .await
                    .map_err(fault)?;
                if *disabled {
                    one(tx, "DELETE FROM sessions WHERE account = ?", name).await?;
                    one(tx, "DELETE FROM api_tokens WHERE account = ?", name).await?;
                }
            }
            Self::Totp { .. }
            | Self::TotpUsed { .. }
            | Self::RecoveryCodes { .. }
            | Self::RecoveryUsed { .. }
            | Self::FactorsReset { .. }
            | Self::Bound { .. } => self.write_factor(tx, site).await?,
            Self::TokenMade(_) | Self::TokenGone { .. } | Self::Alarm(_) | Self::AlarmSettled { .. } => {
                self.write_token_or_alarm(tx, site).await?;
            }
            Self::Removed { name } => one(tx, "DELETE FROM accounts WHERE name = ?", name).await?,
            Self::SignedIn(row) => {
                sqlx::query(
                    "INSERT INTO sessions (site, token, id, account, door, csrf, made_at, expires, address, factor)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                .bind(&row.factor)
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

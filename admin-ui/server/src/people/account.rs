//! Accounts: made with a one-time password, changed, removed.
//!
//! Refuses to leave a fleet without administrator, and roles that do not exist. Invariant: whatever changes about an account
//! ends its sessions in the same transaction.

use axum::http::StatusCode;
use freehold_store::{AccountChange, AccountRow};

use super::action::ROLES;
use super::password::check_choice;
use super::session::Visitor;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// Longest account name, in bytes.
const NAME_LIMIT: usize = 64;

fn check_name(name: &str) -> Result<(), Refused> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '@');
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(fits) {
        let message = format!("an account's name has 1 to {NAME_LIMIT} letters, digits and `.-_@`");
        return Err(Refused::new(StatusCode::BAD_REQUEST, "console.bad_account", message));
    }
    Ok(())
}

pub(super) fn check_role(role: &str) -> Result<(), Refused> {
    if ROLES.contains(&role) {
        return Ok(());
    }
    let mut refused = Refused::new(StatusCode::BAD_REQUEST, "console.bad_role", "there is no such role");
    refused.report.expected = Some(ROLES.join(", "));
    Err(refused)
}

/// What kinds of account there are.
pub const KINDS: [&str; 4] = ["person", "machine", "outside", "break_glass"];

/// An account that is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWish {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its sites; `*` is every site.
    pub sites: Vec<String>,
    /// One of [`KINDS`].
    pub kind: String,
}

impl Console {
    /// Checks the sites of an account: all of them, or ones that this console serves.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn check_sites(&self, sites: &[String]) -> Result<String, Refused> {
        let fleet = self.fleet();
        let known = |site: &String| site == "*" || fleet.serves(site);
        if sites.is_empty() || !sites.iter().all(known) {
            let mut refused = Refused::new(StatusCode::BAD_REQUEST, "console.bad_site", "there is no such site");
            let mut all: Vec<&str> = fleet.sites().collect();
            all.push("*");
            refused.report.expected = Some(all.join(", "));
            return Err(refused);
        }
        let mut sites = sites.to_vec();
        sites.sort();
        sites.dedup();
        Ok(sites.join("\n"))
    }

    /// Whether an account may be made like this.
    ///
    /// # Errors
    /// 400 for a bad name, role, site or kind.
    pub(crate) fn check_wish(&self, wish: &AccountWish) -> Result<(), Refused> {
        check_name(&wish.name)?;
        check_role(&wish.role)?;
        self.check_sites(&wish.sites)?;
        if !KINDS.contains(&wish.kind.as_str()) {
            let mut refused = Refused::new(StatusCode::BAD_REQUEST, "console.bad_account", "there is no such kind");
            refused.report.expected = Some(KINDS.join(", "));
            return Err(refused);
        }
        Ok(())
    }

    /// Makes an account and answers its one-time password; a machine's or an outside account has none that anybody knows.
    ///
    /// # Errors
    /// 400 for a bad name, role, site or kind, 409 when the name is taken.
    pub async fn make_account(&self, wish: &AccountWish, by: &str) -> Result<String, Refused> {
        self.check_wish(wish)?;
        let (name, role) = (wish.name.as_str(), wish.role.as_str());
        let password = random::password().map_err(|error| Refused::inside(&error))?;
        let now = self.now();
        let row = AccountRow {
            site: self.0.file.site.clone(),
            name: name.to_owned(),
            role: role.to_owned(),
            password: self.password_hash(password.clone()).await?,
            // What lies in an envelope in a safe is the password itself.
            must_change: wish.kind == "person",
            made_at: now,
            changed_at: now,
            sites: self.check_sites(&wish.sites)?,
            kind: wish.kind.clone(),
            ..AccountRow::default()
        };
        let entry = self
            .entry("account.made", by)
            .about(name)
            .fact("role", role)
            .fact("kind", wish.kind.clone())
            .fact("sites", wish.sites.clone());
        self.people_change(vec![AccountChange::Made(row)], entry).await?;
        Ok(password)
    }

    /// Gives a person a new one-time password and takes every second factor away; the sessions end.
    ///
    /// # Errors
    /// 404, 400 for an account without a password.
    pub async fn reset_account(&self, name: &str, by: &str) -> Result<String, Refused> {
        let account = self.known_account(name).await?;
        if !matches!(account.kind.as_str(), "person" | "break_glass") {
            let message = "this account has no password";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "console.bad_account", message));
        }
        let password = random::password().map_err(|error| Refused::inside(&error))?;
        let at = self.now();
        let changes = vec![
            AccountChange::Password {
                name: name.to_owned(),
                password: self.password_hash(password.clone()).await?,
                must_change: account.kind == "person",
                at,
                keep: None,
            },
            AccountChange::FactorsReset {
                name: name.to_owned(),
                at,
            },
        ];
        self.people_change(changes, self.entry("account.reset", by).about(name))
            .await?;
        Ok(password)
    }

    /// Switches an account off or on.
    ///
    /// # Errors
    /// 404, 409 for the last administrator.
    pub async fn disable_account(&self, name: &str, disabled: bool, by: &str) -> Result<(), Refused> {
        let account = self.known_account(name).await?;
        self.not_the_last(name, !disabled && account.role == "administrator")
            .await?;
        let change = AccountChange::Disabled {
            name: name.to_owned(),
            disabled,
            at: self.now(),
        };
        let kind = if disabled {
            "account.disabled"
        } else {
            "account.enabled"
        };
        self.people_change(vec![change], self.entry(kind, by).about(name)).await
    }

    pub(crate) async fn known_account(&self, name: &str) -> Result<AccountRow, Refused> {
        let account = self.0.store.account(name).await;
        let account = account.map_err(|error| Refused::inside(&error))?;
        account.ok_or_else(|| Refused::not_found("account"))
    }

    /// Whether a visitor knows the account's own password: asked again before what counts. Failures are counted like those of
    /// signing in, and stand in the record as a refused `kind`.
    ///
    /// # Errors
    /// 401 when it is wrong, 429 after too many failures.
    pub(crate) async fn own_password(&self, visitor: &Visitor, password: &str, kind: &str) -> Result<(), Refused> {
        let name = &visitor.account.name;
        let throttled = format!("account {name}");
        if self.0.throttle.wait(&[&throttled], self.now()) > 0 {
            return Err(Refused::new(
                StatusCode::TOO_MANY_REQUESTS,
                "console.too_many_failures",
                "too many failures",
            ));
        }
        let fits = password.len() <= super::password::LONGEST
            && self
                .password_matches(password.to_owned(), Some(visitor.account.password.clone()))
                .await?;
        if fits {
            if let Some(freed) = self.0.throttle.succeeded(&throttled) {
                self.pending_change(vec![freed], Vec::new()).await?;
            }
            return Ok(());
        }
        let failed = self.0.throttle.failed(&[&throttled], self.now());
        let entry = self.entry(kind, name).refused("console.sign_in_refused");
        self.pending_change(failed, vec![entry]).await?;
        Err(Refused::new(
            StatusCode::UNAUTHORIZED,
            "console.sign_in_refused",
            "the password is wrong",
        ))
    }

    /// Changes one's own password; every other session of the account ends.
    ///
    /// # Errors
    /// 401 when the old one is wrong, 400 when the new one may not be chosen.
    pub async fn change_password(&self, visitor: &Visitor, old: &str, new: &str) -> Result<(), Refused> {
        let name = &visitor.account.name;
        self.own_password(visitor, old, "account.password").await?;
        check_choice(name, new)?;
        if old == new {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "console.bad_password",
                "the new password is the old one",
            ));
        }
        let change = AccountChange::Password {
            name: name.clone(),
            password: self.password_hash(new.to_owned()).await?,
            must_change: false,
            at: self.now(),
            keep: Some(visitor.session.token.clone()),
        };
        self.people_change(vec![change], self.entry("account.password", name).about(name))
            .await
    }

    /// Gives an account another role, other sites, or both at once; its sessions end. A role never counts at sites that it was
    /// not meant for, not even for a moment.
    ///
    /// # Errors
    /// 400, 404 for an unknown account, 409 when no administrator for all sites would be left.
    pub async fn change_access(
        &self,
        name: &str,
        role: Option<&str>,
        sites: Option<&[String]>,
        by: &str,
    ) -> Result<(), Refused> {
        let account = self.known_account(name).await?;
        let (mut changes, mut entries) = (Vec::new(), Vec::new());
        let at = self.now();
        if let Some(sites) = sites {
            changes.push(AccountChange::Sites {
                name: name.to_owned(),
                sites: self.check_sites(sites)?,
                at,
            });
            let entry = self.entry("account.sites", by).about(name);
            entries.push(entry.fact("sites", sites.to_vec()));
        }
        if let Some(role) = role {
            check_role(role)?;
            changes.push(AccountChange::Role {
                name: name.to_owned(),
                role: role.to_owned(),
                at,
            });
            entries.push(self.entry("account.role", by).about(name).fact("role", role));
        }
        let everywhere = match sites {
            Some(sites) => sites.iter().any(|site| site == "*"),
            None => account.sites().any(|site| site == "*"),
        };
        let stays = role.unwrap_or(&account.role) == "administrator" && everywhere && !account.disabled;
        self.not_the_last(name, stays).await?;
        if changes.is_empty() {
            return Ok(());
        }
        self.people_changes(changes, entries).await
    }

    /// Removes an account; its sessions end.
    ///
    /// # Errors
    /// As [`Console::change_access`].
    pub async fn remove_account(&self, name: &str, by: &str) -> Result<(), Refused> {
        self.not_the_last(name, false).await?;
        let change = AccountChange::Removed { name: name.to_owned() };
        self.people_change(vec![change], self.entry("account.removed", by).about(name))
            .await
    }

    async fn not_the_last(&self, name: &str, stays: bool) -> Result<(), Refused> {
        let accounts = self.0.store.accounts().await.map_err(|error| Refused::inside(&error))?;
        if !accounts.iter().any(|account| account.name == name) {
            return Err(Refused::not_found("account"));
        }
        let able = |account: &AccountRow| {
            account.role == "administrator"
                && !account.disabled
                && matches!(account.kind.as_str(), "person" | "outside")
                && account.sites().any(|site| site == "*")
        };
        let others = accounts.iter().any(|account| account.name != name && able(account));
        // Nothing that leaves an account as able as it was takes the last one away.
        let was = accounts.iter().any(|account| account.name == name && able(account));
        if stays || others || !was {
            return Ok(());
        }
        Err(Refused::new(
            StatusCode::CONFLICT,
            "console.last_administrator",
            "the fleet would have no administrator",
        ))
    }
}

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

fn check_role(role: &str) -> Result<(), Refused> {
    if ROLES.contains(&role) {
        return Ok(());
    }
    let mut refused = Refused::new(StatusCode::BAD_REQUEST, "console.bad_role", "there is no such role");
    refused.report.expected = Some(ROLES.join(", "));
    Err(refused)
}

impl Console {
    /// Makes an account and answers its one-time password.
    ///
    /// # Errors
    /// 400 for a bad name or role, 409 when the name is taken.
    pub async fn make_account(&self, name: &str, role: &str, by: &str) -> Result<String, Refused> {
        check_name(name)?;
        check_role(role)?;
        let password = random::password().map_err(|error| Refused::inside(&error))?;
        let now = self.now();
        let row = AccountRow {
            site: self.0.file.site.clone(),
            name: name.to_owned(),
            role: role.to_owned(),
            password: self.password_hash(password.clone()).await?,
            must_change: true,
            made_at: now,
            changed_at: now,
        };
        let entry = self.entry("account.made", by).about(name).fact("role", role);
        self.people_change(vec![AccountChange::Made(row)], entry).await?;
        Ok(password)
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

    /// Gives an account another role; its sessions end.
    ///
    /// # Errors
    /// 404 for an unknown account, 409 for the last administrator.
    pub async fn change_role(&self, name: &str, role: &str, by: &str) -> Result<(), Refused> {
        check_role(role)?;
        self.not_the_last(name, role == "administrator").await?;
        let change = AccountChange::Role {
            name: name.to_owned(),
            role: role.to_owned(),
            at: self.now(),
        };
        self.people_change(
            vec![change],
            self.entry("account.role", by).about(name).fact("role", role),
        )
        .await
    }

    /// Removes an account; its sessions end.
    ///
    /// # Errors
    /// As [`Console::change_role`].
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
        let others = accounts
            .iter()
            .any(|account| account.name != name && account.role == "administrator");
        if stays || others {
            return Ok(());
        }
        Err(Refused::new(
            StatusCode::CONFLICT,
            "console.last_administrator",
            "the fleet would have no administrator",
        ))
    }
}

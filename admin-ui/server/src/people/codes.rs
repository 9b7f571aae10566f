//! Setting up and taking away codes of an authenticator app, and recovery codes.
//!
//! Refuses to begin without the password, and to switch codes on before one was typed that fits: nobody locks themselves out
//! with a mistyped secret. Invariant: recovery codes come with the first second factor, and are shown once.

use axum::http::StatusCode;
use freehold_store::AccountChange;

use super::second::recovery_codes;
use super::session::Visitor;
use super::totp;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// A secret for an authenticator app that is not in force yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCodes {
    /// Base32, in groups of four.
    pub secret: String,
    /// What apps open.
    pub uri: String,
}

fn in_groups(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

impl Console {
    /// A fresh secret for a visitor's authenticator app; it counts once its first code was typed.
    ///
    /// # Errors
    /// 401 for a wrong password, 400 for an account without one.
    pub async fn begin_codes(&self, visitor: &Visitor, password: &str) -> Result<NewCodes, Refused> {
        if visitor.account.kind != "person" {
            let message = "this account has no second factor here";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "console.bad_account", message));
        }
        self.own_password(visitor, password, "codes.made").await?;
        let salt = self.0.ceremonies.begin(&waiting(visitor), self.now());
        let salt = hex::encode(salt.map_err(|error| Refused::inside(&error))?);
        let name = &visitor.account.name;
        let secret = totp::secret(&self.0.codes, name, &salt);
        Ok(NewCodes {
            uri: totp::uri(&secret, &self.0.file.name, name),
            secret: in_groups(&totp::base32(&secret)),
        })
    }

    /// The first code of a new secret; answers recovery codes, to be shown once.
    ///
    /// # Errors
    /// 400 when nothing was begun, 401 for a wrong code: it has to be begun anew.
    pub async fn confirm_codes(&self, visitor: &Visitor, code: &str) -> Result<Vec<String>, Refused> {
        let now = self.now();
        let name = visitor.account.name.clone();
        let salt = self.0.ceremonies.take(&waiting(visitor), now).map(hex::encode);
        let salt = salt.ok_or_else(|| {
            let message = "the page is too old; begin anew";
            Refused::new(StatusCode::BAD_REQUEST, "console.second_factor", message)
        })?;
        let secret = totp::secret(&self.0.codes, &name, &salt);
        let entry = self.entry("codes.made", &name).about(&name);
        let Some(step) = totp::check(&secret, code, now, 0) else {
            self.record(entry.refused("console.second_factor")).await?;
            let message = "the code does not fit; look at the clock of the device, and begin anew";
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "console.second_factor", message));
        };
        let (codes, kept) = recovery_codes().map_err(|error: random::NoRandomness| Refused::inside(&error))?;
        let changes = vec![
            AccountChange::Totp {
                name: name.clone(),
                salt: Some(salt),
                step,
            },
            AccountChange::RecoveryCodes { name, sha256: kept },
        ];
        self.people_change(changes, entry).await?;
        Ok(codes)
    }

    /// No codes any more.
    ///
    /// # Errors
    /// 401 for a wrong password.
    pub async fn remove_codes(&self, visitor: &Visitor, password: &str) -> Result<(), Refused> {
        self.own_password(visitor, password, "codes.removed").await?;
        let name = visitor.account.name.clone();
        let entry = self.entry("codes.removed", &name).about(&name);
        let change = AccountChange::Totp {
            name,
            salt: None,
            step: 0,
        };
        self.people_change(vec![change], entry).await
    }

    /// New recovery codes; the old ones are worth nothing.
    ///
    /// # Errors
    /// 401 for a wrong password.
    pub async fn new_recovery_codes(&self, visitor: &Visitor, password: &str) -> Result<Vec<String>, Refused> {
        self.own_password(visitor, password, "recovery.made").await?;
        let name = visitor.account.name.clone();
        let (codes, kept) = recovery_codes().map_err(|error: random::NoRandomness| Refused::inside(&error))?;
        let entry = self.entry("recovery.made", &name).about(&name);
        self.people_change(vec![AccountChange::RecoveryCodes { name, sha256: kept }], entry)
            .await?;
        Ok(codes)
    }
}

/// What a new secret waits under: apart from a passkey's challenge of the same session.
fn waiting(visitor: &Visitor) -> String {
    format!("codes {}", visitor.session.id)
}

//! The second factor: who has one signs in in two steps, with a code, a recovery code or a passkey.
//!
//! Refuses a first step without its second, and one first step twice. Invariant: between the two steps nobody is signed in:
//! there is a ticket that opens nothing else, for a few minutes, in memory only.

use axum::http::StatusCode;
use freehold_store::{AccountChange, AccountRow, PasskeyChange};
use freehold_trust::{PublicKey, sha256};
use freehold_verify::webauthn::{Assertion, AssertionExpectation, verify_assertion};

use super::once::Once;
use super::session::{Door, SignedIn, claimed, refused_sign_in};
use super::totp;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// How long the second step may take, in seconds.
const LIFETIME: i64 = 300;
/// Recovery codes of an account.
const CODES: usize = 10;

/// Somebody whose password was right.
#[derive(Debug)]
pub struct Ticket {
    account: String,
    door: Door,
    challenge: [u8; 32],
}

/// First steps that wait for their second, by the SHA-256 of what opens it.
pub type Tickets = Once<Ticket>;

/// What the second step needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Opens the second step, once.
    pub ticket: String,
    /// Whether a code of an authenticator app will do.
    pub code: bool,
    /// Passkeys that will do, base64url.
    pub passkeys: Vec<String>,
    /// What a passkey has to sign.
    pub challenge: [u8; 32],
}

/// How the second step is taken.
#[derive(Debug)]
pub enum Second {
    /// A code of an authenticator app, or a recovery code.
    Code(String),
    /// A passkey.
    Passkey(Assertion),
}

/// Under which name a ticket waits: what opens it is not kept.
fn kept(ticket: &str) -> String {
    sha256(ticket.as_bytes()).to_hex()
}

/// A recovery code as it is compared: people leave out dashes and mind no capitals.
fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// New recovery codes, and what is kept of them. Each has about 100 bits, so a plain hash hides it.
///
/// # Errors
/// When there is no randomness.
pub fn recovery_codes() -> Result<(Vec<String>, Vec<String>), random::NoRandomness> {
    let codes: Vec<String> = (0..CODES).map(|_| random::password()).collect::<Result<_, _>>()?;
    let kept = codes
        .iter()
        .map(|code| sha256(plain(code).as_bytes()).to_hex())
        .collect();
    Ok((codes, kept))
}

impl Console {
    /// What the second step of this account needs; its first step is over.
    ///
    /// # Errors
    /// 500.
    pub(crate) async fn want_second(&self, account: &AccountRow, door: Door) -> Result<Wanted, Refused> {
        let inside = |error: random::NoRandomness| Refused::inside(&error);
        let now = self.now();
        let token = random::hex::<32>().map_err(inside)?;
        let challenge = random::bytes::<32>().map_err(inside)?;
        let known = self.0.store.passkeys_of(&account.name).await;
        let known = known.map_err(|error| Refused::inside(&error))?;
        let ticket = Ticket {
            account: account.name.clone(),
            door,
            challenge,
        };
        let until = now.saturating_add(LIFETIME);
        self.0.tickets.keep(kept(&token), ticket, until, now);
        Ok(Wanted {
            ticket: token,
            code: account.totp.is_some(),
            passkeys: known
                .into_iter()
                .filter(|row| row.purpose == "sign_in")
                .map(|row| row.credential)
                .collect(),
            challenge,
        })
    }

    /// The second step.
    ///
    /// # Errors
    /// 401 without telling what was wrong, 429 after too many failures, 503 when it could not be recorded.
    pub async fn sign_in_second(
        &self,
        ticket: &str,
        second: Second,
        door: Door,
        from: &str,
    ) -> Result<SignedIn, Refused> {
        let now = self.now();
        // Taken first: each try costs its ticket, and the password has to be typed again.
        let ticket = self
            .0
            .tickets
            .take(&kept(ticket), now)
            .filter(|ticket| ticket.door == door);
        let ticket = ticket.ok_or_else(refused_sign_in)?;
        let account = self.0.store.account(&ticket.account).await;
        let account = account.map_err(|error| Refused::inside(&error))?;
        let account = account
            .filter(|account| !account.disabled)
            .ok_or_else(refused_sign_in)?;
        let (by_account, by_address) = (format!("account {}", claimed(&account.name)), format!("address {from}"));
        let names = [by_account.as_str(), by_address.as_str()];
        self.not_throttled(&names, &account.name, from).await?;
        let proof = match second {
            Second::Code(code) => self.code_counts(&account, &code, now),
            Second::Passkey(assertion) => self.passkey_counts(&account, &assertion, &ticket.challenge).await?,
        };
        let Some((factor, change)) = proof else {
            return Err(self.second_failed(&account.name, &names, from).await);
        };
        let spent = match change {
            Some(Spent::Account(change)) => vec![change],
            Some(Spent::Passkey(change)) => {
                self.passkey_change(vec![change], Vec::new()).await?;
                Vec::new()
            }
            None => Vec::new(),
        };
        let name = account.name.clone();
        match self.signed_in(account, door, from, factor, spent).await {
            // There is no such recovery code, or another request took the code first: a wrong one like any other.
            Err(refused) if refused.report.code == "console.conflict" => {
                Err(self.second_failed(&name, &names, from).await)
            }
            outcome => outcome,
        }
    }

    /// A second step that was wrong: counted like a wrong password, and recorded.
    async fn second_failed(&self, account: &str, names: &[&str], from: &str) -> Refused {
        let failed = self.0.throttle.failed(names, self.now());
        let entry = self
            .entry("session.sign_in", account)
            .refused("console.second_factor")
            .fact("from", from);
        match self.pending_change(failed, vec![entry]).await {
            Ok(()) => second_refused(),
            Err(refused) => refused,
        }
    }

    fn code_counts(&self, account: &AccountRow, code: &str, now: i64) -> Option<(&'static str, Option<Spent>)> {
        let name = account.name.clone();
        if let Some(salt) = &account.totp {
            let secret = totp::secret(&self.0.codes, &account.name, salt);
            if let Some(step) = totp::check(&secret, code, now, account.totp_step) {
                return Some(("totp", Some(Spent::Account(AccountChange::TotpUsed { name, step }))));
            }
        }
        let code = plain(code);
        // Six digits are a code of an app; anything else is looked up as a recovery code, and the row decides.
        (code.len() > 6).then(|| {
            let sha256 = sha256(code.as_bytes()).to_hex();
            let spent = Spent::Account(AccountChange::RecoveryUsed { name, sha256 });
            ("recovery", Some(spent))
        })
    }

    async fn passkey_counts(
        &self,
        account: &AccountRow,
        assertion: &Assertion,
        challenge: &[u8],
    ) -> Result<Option<(&'static str, Option<Spent>)>, Refused> {
        let Some(party) = self.relying_party() else {
            return Ok(None);
        };
        let known = self.0.store.passkeys_of(&account.name).await;
        let known = known.map_err(|error| Refused::inside(&error))?;
        let row = known
            .into_iter()
            .find(|row| row.purpose == "sign_in" && row.credential == assertion.credential);
        let Some(row) = row else { return Ok(None) };
        let key = PublicKey::from_spki_pem(&row.key).map_err(|error| Refused::inside(&error))?;
        let expectation = AssertionExpectation {
            challenge,
            relying_party: &party.id,
            origins: &party.origins,
        };
        let Ok(seen) = verify_assertion(assertion, &key, &expectation) else {
            return Ok(None);
        };
        let count = i64::from(seen.count);
        // A counter that does not rise says that the key was copied; authenticators without one say 0 for ever.
        if row.count > 0 && count <= row.count {
            return Ok(None);
        }
        let spent = PasskeyChange::Used {
            credential: row.credential,
            count,
            at: self.now(),
        };
        Ok(Some(("passkey", Some(Spent::Passkey(spent)))))
    }
}

/// What taking a proof costs.
enum Spent {
    Account(AccountChange),
    Passkey(PasskeyChange),
}

/// The second step was wrong, or is missing.
#[must_use]
pub fn second_refused() -> Refused {
    Refused::new(
        StatusCode::UNAUTHORIZED,
        "console.second_factor",
        "the account has a second factor: a code, a recovery code or a passkey",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let (codes, kept) = recovery_codes().unwrap();
        assert_eq!((codes.len(), kept.len()), (CODES, CODES));
        let typed = codes[0].to_uppercase().replace('-', " ");
        assert_eq!(sha256(plain(&typed).as_bytes()).to_hex(), kept[0]);
    }
}

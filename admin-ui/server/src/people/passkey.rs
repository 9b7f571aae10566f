//! Passkeys of accounts: registered with the password in hand, used for one purpose each.
//!
//! Refuses a passkey for two purposes, and an answer to a challenge that was not given to this very session. Invariant: a
//! challenge is used once; the same verifier judges here and on the box (`freehold_verify::webauthn`).

use axum::http::StatusCode;
use freehold_store::{PasskeyChange, PasskeyRow};
use freehold_verify::webauthn::{AssertionExpectation, Registration, encoded, verify_registration};

use super::once::Once;
use super::session::Visitor;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// How long a challenge may be answered, in seconds: somebody has to find the key in a bag.
const LIFETIME: i64 = 600;
/// Passkeys of one account.
const MOST: usize = 16;
/// Longest name of a passkey, in bytes.
const NAME_LIMIT: usize = 60;

/// What passkeys are for.
pub const PURPOSES: [&str; 2] = ["approval", "sign_in"];

/// Challenges that wait for an answer, by who was asked.
#[derive(Debug, Default)]
pub struct Ceremonies(Once<[u8; 32]>);

impl Ceremonies {
    /// A fresh challenge for somebody; the one before is forgotten.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn begin(&self, who: &str, now: i64) -> Result<[u8; 32], random::NoRandomness> {
        let challenge = random::bytes::<32>()?;
        let until = now.saturating_add(LIFETIME);
        self.0.keep(who.to_owned(), challenge, until, now);
        Ok(challenge)
    }

    /// The challenge that was given, taken: it counts once.
    pub fn take(&self, who: &str, now: i64) -> Option<[u8; 32]> {
        self.0.take(who, now)
    }
}

/// What a console's address means for passkeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Host name.
    pub id: String,
    /// The one page that may ask.
    pub origins: Vec<String>,
}

/// The relying party of an address; `None` for an IP address: browsers offer passkeys to names only.
#[must_use]
pub fn relying_party(people_url: &str) -> Option<RelyingParty> {
    let origin = people_url.trim_end_matches('/');
    let host = origin.strip_prefix("https://")?;
    if host.starts_with('[') || host.contains('/') {
        return None;
    }
    let id = host.split(':').next()?.to_owned();
    let named = !id.is_empty() && id.parse::<std::net::IpAddr>().is_err();
    named.then(|| RelyingParty {
        id,
        origins: vec![origin.to_owned()],
    })
}

/// The line by which a publisher takes an approver's passkey into the policy.
#[must_use]
pub fn line(row: &PasskeyRow) -> String {
    let key: String = row.key.lines().filter(|line| !line.starts_with("-----")).collect();
    format!("freehold-approver:1:{}:{}:{key}", row.account, row.credential)
}

fn bad(message: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, "console.bad_passkey", message)
}

impl Console {
    /// The relying party that this console's own address stands for.
    #[must_use]
    pub fn relying_party(&self) -> Option<RelyingParty> {
        relying_party(&self.0.addresses.get()?.people_url)
    }

    /// Registers a passkey for a visitor.
    ///
    /// # Errors
    /// 401 for a wrong password, 400, 409 when it is registered already, 422 with the passkey's own code.
    pub async fn add_passkey(
        &self,
        visitor: &Visitor,
        name: &str,
        purpose: &str,
        password: &str,
        registration: &Registration,
    ) -> Result<PasskeyRow, Refused> {
        let account = &visitor.account.name;
        // Taken first: whatever comes of it, this challenge is spent.
        let challenge = self.0.ceremonies.take(&visitor.session.id, self.now());
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_LIMIT || !PURPOSES.contains(&purpose) {
            return Err(bad("a passkey has a name of at most 60 bytes, and a purpose"));
        }
        self.own_password(visitor, password, "passkey.made").await?;
        let party = self
            .relying_party()
            .ok_or_else(|| bad("this console is reached by a number; passkeys need a name"))?;
        let known = self
            .0
            .store
            .passkeys_of(account)
            .await
            .map_err(|error| Refused::inside(&error))?;
        if known.len() >= MOST {
            return Err(bad("the account has too many passkeys; remove one first"));
        }
        let challenge = challenge.ok_or_else(|| bad("the page is too old; open it again"))?;
        let expectation = AssertionExpectation {
            challenge: &challenge,
            relying_party: &party.id,
            origins: &party.origins,
        };
        let entry = self
            .entry("passkey.made", account)
            .about(account)
            .fact("purpose", purpose);
        let made = match verify_registration(registration, &expectation) {
            Ok(made) => made,
            Err(rejection) => {
                let refused = Refused::of(&rejection);
                self.record(entry.refused(&refused.report.code)).await?;
                return Err(refused);
            }
        };
        let row = PasskeyRow {
            credential: encoded(&made.credential),
            account: account.clone(),
            name: name.to_owned(),
            purpose: purpose.to_owned(),
            key: made.key.to_spki_pem(),
            count: made.count.into(),
            made_at: self.now(),
            used_at: None,
        };
        let entry = entry
            .fact("credential", row.credential.clone())
            .fact("key", made.key.fingerprint().to_hex());
        self.passkey_change(vec![PasskeyChange::Made(row.clone())], vec![entry])
            .await?;
        Ok(row)
    }

    /// Forgets a passkey of a visitor. What the publisher's policy lists stays listed until the publisher takes it out. One that
    /// signs in is a second factor: a session that was left open does not take it away.
    ///
    /// # Errors
    /// 404, 401 for a wrong password where one is needed.
    pub async fn remove_passkey(&self, visitor: &Visitor, credential: &str, password: &str) -> Result<(), Refused> {
        let account = &visitor.account.name;
        let known = self
            .0
            .store
            .passkeys_of(account)
            .await
            .map_err(|error| Refused::inside(&error))?;
        let row = known.iter().find(|row| row.credential == credential);
        let row = row.ok_or_else(|| Refused::not_found("passkey"))?;
        if row.purpose != "approval" {
            self.own_password(visitor, password, "passkey.removed").await?;
        }
        let entry = self
            .entry("passkey.removed", account)
            .about(account)
            .fact("credential", credential.to_owned());
        let change = PasskeyChange::Removed {
            credential: credential.to_owned(),
            account: account.clone(),
        };
        self.passkey_change(vec![change], vec![entry]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_counts_once_and_for_a_while() {
        let ceremonies = Ceremonies::default();
        let first = ceremonies.begin("a", 100).unwrap();
        let second = ceremonies.begin("a", 100).unwrap();
        assert_ne!(first, second);
        assert_eq!(ceremonies.take("b", 100), None);
        assert_eq!(ceremonies.take("a", 100 + LIFETIME), Some(second));
        assert_eq!(ceremonies.take("a", 100), None);
        ceremonies.begin("a", 100).unwrap();
        assert_eq!(ceremonies.take("a", 101 + LIFETIME), None);
    }

    #[test]
    fn names_are_relying_parties_and_numbers_are_not() {
        let party = relying_party("https://console.example:8443").unwrap();
        assert_eq!(party.id, "console.example");
        assert_eq!(party.origins, ["https://console.example:8443"]);
        for number in [
            "https://10.0.0.1:8443",
            "https://[::1]:8443",
            "http://console.example",
            "https://",
        ] {
            assert_eq!(relying_party(number), None, "{number}");
        }
    }
}

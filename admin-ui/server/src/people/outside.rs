//! Signing in at an identity provider (OpenID Connect Core 1.0: authorization code flow with PKCE).
//!
//! Refuses a provider that the console's own file does not name, an answer to another browser, and a person for whom nobody
//! made an account. Invariant: the provider says who somebody is, never what they may do: role and sites are the account's.

mod client;
mod config;
mod id_token;

use axum::http::StatusCode;
use freehold_store::AccountChange;
use freehold_trust::digest::ct_eq;
use freehold_trust::sha256;
use freehold_verify::webauthn::encoded;

pub use config::{Outside, OutsideFault};
pub use id_token::{Expected, IdToken, TokenFault, verify_id_token};

use super::once::Once;
use super::session::{Door, SignedIn};
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// Name of the cookie that ties the way back to the browser that left; `Lax`, because it comes back from another site.
pub const COOKIE: &str = "__Host-freehold-outside";
/// How long somebody may take at the provider, in seconds.
pub const LIFETIME: i64 = 600;
/// Somebody who is at the provider.
#[derive(Debug)]
pub struct Flight {
    browser: String,
    nonce: String,
    verifier: String,
    next: String,
}

/// People who are at the provider, by the state that they took along.
pub type Flights = Once<Flight>;

/// Where a browser is sent, and the cookie that it takes along.
#[derive(Debug)]
pub struct Leaving {
    /// The provider's page.
    pub to: String,
    /// Value of the cookie.
    pub browser: String,
}

/// What a browser brings back from the provider.
#[derive(Debug, Clone, Copy)]
pub struct Returned<'a> {
    /// Which leaving it answers.
    pub state: &'a str,
    /// What the provider gives a token for.
    pub code: &'a str,
    /// Who says that they answered, where they say it.
    pub issuer: Option<&'a str>,
    /// The cookie of the browser that left.
    pub browser: Option<&'a str>,
}

fn refused(message: impl Into<String>) -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "console.outside_refused", message)
}

impl Console {
    /// The name of the identity provider; empty when there is none.
    #[must_use]
    pub fn outside_name(&self) -> String {
        self.0
            .outside
            .as_ref()
            .map(|outside| outside.name.clone())
            .unwrap_or_default()
    }

    fn back_url(&self) -> Result<String, Refused> {
        let addresses = self.0.addresses.get();
        let addresses = addresses.ok_or_else(|| refused("the doors are not open yet"))?;
        Ok(format!(
            "{}{}",
            addresses.people_url.trim_end_matches('/'),
            freehold_views::address::OUTSIDE_BACK
        ))
    }

    /// The way to the provider, for one browser.
    ///
    /// # Errors
    /// 404 when no provider is named, 401 when it does not answer.
    pub async fn leave_for_outside(&self, next: &str) -> Result<Leaving, Refused> {
        let outside = self
            .0
            .outside
            .as_ref()
            .ok_or_else(|| Refused::not_found("identity provider"))?;
        let inside = |error: random::NoRandomness| Refused::inside(&error);
        let found = outside.discover().await.map_err(|fault| self.provider_fault(&fault))?;
        let (state, nonce) = (
            random::hex::<32>().map_err(inside)?,
            random::hex::<32>().map_err(inside)?,
        );
        let (verifier, browser) = (
            random::hex::<32>().map_err(inside)?,
            random::hex::<32>().map_err(inside)?,
        );
        let challenge = encoded(sha256(verifier.as_bytes()).as_bytes());
        let back = self.back_url()?;
        let query = serde_urlencoded::to_string([
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("client_id", outside.client_id.as_str()),
            ("redirect_uri", back.as_str()),
            ("state", state.as_str()),
            ("nonce", nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ])
        .map_err(|error| Refused::inside(&error))?;
        let now = self.now();
        let flight = Flight {
            browser: sha256(browser.as_bytes()).to_hex(),
            nonce,
            verifier,
            next: next.to_owned(),
        };
        let until = now.saturating_add(LIFETIME);
        self.0.flights.keep(state.clone(), flight, until, now);
        let joint = if found.authorization_endpoint.contains('?') {
            '&'
        } else {
            '?'
        };
        Ok(Leaving {
            to: format!("{}{joint}{query}", found.authorization_endpoint),
            browser,
        })
    }

    fn provider_fault(&self, fault: &OutsideFault) -> Refused {
        tracing::warn!(error = %fault, "the identity provider");
        refused("the identity provider did not answer as it should")
    }

    /// Back from the provider: who it was, and where they wanted to go.
    ///
    /// # Errors
    /// 401 `console.outside_refused` or `console.outside_unknown`, recorded; 503.
    pub async fn back_from_outside(&self, returned: Returned<'_>, from: &str) -> Result<(SignedIn, String), Refused> {
        let outcome = self.judge_return(returned).await;
        let (token, next) = match outcome {
            Ok(good) => good,
            Err(refusal) => {
                let entry = self
                    .entry("session.sign_in", "outside")
                    .refused(&refusal.report.code)
                    .fact("from", from);
                self.record(entry).await?;
                return Err(refusal);
            }
        };
        let subject = format!("{} {}", token.issuer, token.subject);
        let store = &self.0.store;
        let bound = store
            .account_of_subject(&subject)
            .await
            .map_err(|error| Refused::inside(&error))?;
        let (account, changes) = match bound {
            Some(account) => (Some(account), Vec::new()),
            None => {
                let named = store
                    .account(&token.name)
                    .await
                    .map_err(|error| Refused::inside(&error))?;
                // An account that is bound to somebody else is not given to a second person of that name.
                let free = named.filter(|account| account.kind == "outside" && account.subject.is_none());
                let bind = free.as_ref().map(|account| AccountChange::Bound {
                    name: account.name.clone(),
                    subject: subject.clone(),
                });
                (free, bind.into_iter().collect())
            }
        };
        let Some(account) = account.filter(|account| account.kind == "outside" && !account.disabled) else {
            let entry = self
                .entry("session.sign_in", &super::session::claimed(&token.name))
                .refused("console.outside_unknown")
                .fact("from", from);
            self.record(entry).await?;
            let message = "nobody made an account for this person here";
            return Err(Refused::new(
                StatusCode::UNAUTHORIZED,
                "console.outside_unknown",
                message,
            ));
        };
        let signed = self.signed_in(account, Door::Page, from, "outside", changes).await?;
        Ok((signed, next))
    }

    async fn judge_return(&self, returned: Returned<'_>) -> Result<(IdToken, String), Refused> {
        let outside = self
            .0
            .outside
            .as_ref()
            .ok_or_else(|| Refused::not_found("identity provider"))?;
        let now = self.now();
        let flight = self.0.flights.take(returned.state, now);
        let flight = flight.ok_or_else(|| refused("nobody left for the provider with this state"))?;
        let browser = returned
            .browser
            .map(|token| sha256(token.as_bytes()).to_hex())
            .unwrap_or_default();
        if !ct_eq(browser.as_bytes(), flight.browser.as_bytes()) {
            return Err(refused("another browser left for the provider"));
        }
        // RFC 9207: an answer that says whose it is comes from the provider that was asked.
        if returned.issuer.is_some_and(|issuer| issuer != outside.issuer) {
            return Err(refused("the answer is another provider's"));
        }
        let fault = |fault: OutsideFault| self.provider_fault(&fault);
        let found = outside.discover().await.map_err(fault)?;
        let keys = outside.keys(&found).await.map_err(fault)?;
        let redeemed = outside
            .redeem(&found, returned.code, &flight.verifier, &self.back_url()?)
            .await
            .map_err(fault)?;
        let expected = Expected {
            outside,
            nonce: &flight.nonce,
            access_token: redeemed.access_token.as_deref(),
        };
        let token = verify_id_token(&redeemed.id_token, &keys, &expected, now).map_err(|fault| {
            tracing::warn!(error = %fault, "an id token is refused");
            refused(fault.to_string())
        })?;
        Ok((token, flight.next))
    }
}

//! Sessions: 256 random bits, kept hashed, ended by time, by people, and by every change of the account.
//!
//! Refuses to say whether a name exists. Invariant: the token itself is sent once and stored nowhere.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, StatusCode, header};
use freehold_store::{AccountChange, AccountRow, AlarmRow, SessionRow};
use freehold_trust::sha256;

use super::second::{Second, Wanted, second_refused};
use super::token::TOKEN_PREFIX;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// Name of the cookie: the prefix binds it to this origin, to HTTPS and to the whole path (RFC 6265bis).
pub const COOKIE: &str = "__Host-freehold";
/// A session of a person ends after this, in seconds: one working day.
const PAGE_LIFETIME: i64 = 12 * 3600;
/// A session of a program ends after this, in seconds.
const API_LIFETIME: i64 = 7 * 86_400;

/// Which door a session came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Pages: a cookie, `SameSite=Strict`.
    Page,
    /// The API: a bearer token.
    Api,
}

impl Door {
    const fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
        }
    }
}

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The account, as it is now.
    pub account: AccountRow,
    /// The session.
    pub session: SessionRow,
    /// What a token may do at most; `None` for a person's session.
    pub scope: Option<BTreeSet<String>>,
}

/// How a first step of signing in ended.
#[derive(Debug)]
pub enum FirstStep {
    /// Signed in.
    Done(Box<SignedIn>),
    /// The account has a second factor.
    Second(Wanted),
}

/// A new session, with the token to hand over.
#[derive(Debug)]
pub struct SignedIn {
    /// The token, 64 hex digits.
    pub token: String,
    /// The session.
    pub session: SessionRow,
    /// The account.
    pub account: AccountRow,
}

/// The token of a request, and through which door it came.
#[must_use]
pub fn token_of(headers: &HeaderMap, door: Door) -> Option<String> {
    match door {
        Door::Api => {
            let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            value.strip_prefix("Bearer ").map(str::to_owned)
        }
        Door::Page => headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(|line| {
                line.split(';')
                    .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned))
            }),
    }
}

/// The cookie of a new session, or one that ends it.
#[must_use]
pub fn cookie(token: Option<&str>) -> String {
    let (value, age) = token.map_or(("", 0), |token| (token, PAGE_LIFETIME));
    format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}")
}

pub(super) fn refused_sign_in() -> Refused {
    Refused::new(
        StatusCode::UNAUTHORIZED,
        "console.sign_in_refused",
        "name or password is wrong",
    )
}

/// A stranger's text for the record: short, escaped.
pub(super) fn claimed(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_default).collect()
}

impl Console {
    /// The visitor of a token: a session or an API token that has not run out, on an account as it is now.
    ///
    /// # Errors
    /// 500 when the database fails.
    pub async fn visitor(&self, token: &str, door: Door) -> Result<Option<Visitor>, Refused> {
        if door == Door::Api && token.starts_with(TOKEN_PREFIX) {
            return self.token_visitor(token).await;
        }
        if token.len() != 64 {
            return Ok(None);
        }
        let hashed = sha256(token.as_bytes()).to_hex();
        let found = self
            .0
            .store
            .session(&hashed, self.now())
            .await
            .map_err(|error| Refused::inside(&error))?;
        Ok(found
            .filter(|(session, account)| session.door == door.word() && !account.disabled)
            .map(|(session, account)| Visitor {
                account,
                session,
                scope: None,
            }))
    }

    /// The same visitor as they are now: with what begun before and goes on, such as a stream. `None` when the session or the
    /// token is gone, or the account is switched off.
    ///
    /// # Errors
    /// 500 when the database fails.
    pub async fn still(&self, visitor: &Visitor) -> Result<Option<Visitor>, Refused> {
        let (hashed, now) = (&visitor.session.token, self.now());
        let account = if visitor.scope.is_some() {
            let found = self.0.store.api_token(hashed, now).await;
            found.map(|found| found.map(|(_, account)| account))
        } else {
            let found = self.0.store.session(hashed, now).await;
            found.map(|found| found.map(|(_, account)| account))
        };
        let account = account.map_err(|error| Refused::inside(&error))?;
        Ok(account.filter(|account| !account.disabled).map(|account| Visitor {
            account,
            session: visitor.session.clone(),
            scope: visitor.scope.clone(),
        }))
    }

    /// Refuses names that have failed too often lately.
    pub(super) async fn not_throttled(&self, names: &[&str], who: &str, from: &str) -> Result<(), Refused> {
        let wait = self.0.throttle.wait(names, self.now());
        if wait <= 0 {
            return Ok(());
        }
        let message = format!("too many failures, wait {wait} s");
        let mut refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "console.too_many_failures", message);
        refused.retry_after = u32::try_from(wait).ok();
        self.record(
            self.entry("session.sign_in", &claimed(who))
                .refused("console.too_many_failures")
                .fact("from", from),
        )
        .await?;
        Err(refused)
    }

    /// The first step of signing in: name and password.
    ///
    /// # Errors
    /// 401 without telling why, 429 after too many failures, 503 when it could not be recorded.
    pub async fn sign_in(&self, name: &str, password: &str, door: Door, from: &str) -> Result<FirstStep, Refused> {
        let now = self.now();
        let (by_account, by_address) = (format!("account {}", claimed(name)), format!("address {from}"));
        let names = [by_account.as_str(), by_address.as_str()];
        self.not_throttled(&names, name, from).await?;
        let account = self
            .0
            .store
            .account(name)
            .await
            .map_err(|error| Refused::inside(&error))?;
        // Machines have tokens, and people from outside sign in there: neither has a password here.
        let account = account.filter(|account| matches!(account.kind.as_str(), "person" | "break_glass"));
        let stored = account.as_ref().map(|account| account.password.clone());
        let fits =
            password.len() <= super::password::LONGEST && self.password_matches(password.to_owned(), stored).await?;
        let Some(account) = account.filter(|account| fits && !account.disabled) else {
            let failed = self.0.throttle.failed(&names, now);
            let entry = self
                .entry("session.sign_in", &claimed(name))
                .refused("console.sign_in_refused")
                .fact("from", from);
            self.pending_change(failed, vec![entry]).await?;
            return Err(refused_sign_in());
        };
        if account.has_second_factor() {
            return Ok(FirstStep::Second(self.want_second(&account, door).await?));
        }
        let (factor, changes) = if account.kind == "break_glass" {
            let alarm = AlarmRow {
                id: random::hex::<6>().map_err(|error| Refused::inside(&error))?,
                at: now,
                kind: "break_glass".to_owned(),
                about: account.name.clone(),
                detail: format!("signed in from {from}"),
                settled_by: None,
                settled_at: None,
            };
            ("break_glass", vec![AccountChange::Alarm(alarm)])
        } else {
            ("password", Vec::new())
        };
        let signed = self.signed_in(account, door, from, factor, changes).await?;
        Ok(FirstStep::Done(Box::new(signed)))
    }

    /// Both steps at once, for programs: password, and a code where the account wants one.
    ///
    /// # Errors
    /// As [`Console::sign_in`]; 401 `console.second_factor` when a code is missing or wrong.
    pub async fn sign_in_whole(
        &self,
        name: &str,
        password: &str,
        code: Option<String>,
        from: &str,
    ) -> Result<SignedIn, Refused> {
        match (self.sign_in(name, password, Door::Api, from).await?, code) {
            (FirstStep::Done(signed), _) => Ok(*signed),
            (FirstStep::Second(_), None) => Err(second_refused()),
            (FirstStep::Second(wanted), Some(code)) => {
                self.sign_in_second(&wanted.ticket, Second::Code(code), Door::Api, from)
                    .await
            }
        }
    }

    /// A session for an account that showed who it is. `changes` are written with it, or nothing is.
    pub(super) async fn signed_in(
        &self,
        account: AccountRow,
        door: Door,
        from: &str,
        factor: &str,
        mut changes: Vec<AccountChange>,
    ) -> Result<SignedIn, Refused> {
        let now = self.now();
        let inside = |error: random::NoRandomness| Refused::inside(&error);
        let token = random::hex::<32>().map_err(inside)?;
        let session = SessionRow {
            token: sha256(token.as_bytes()).to_hex(),
            id: random::hex::<6>().map_err(inside)?,
            account: account.name.clone(),
            door: door.word().to_owned(),
            csrf: random::hex::<32>().map_err(inside)?,
            made_at: now,
            expires: now.saturating_add(if door == Door::Page {
                PAGE_LIFETIME
            } else {
                API_LIFETIME
            }),
            address: from.to_owned(),
            factor: factor.to_owned(),
        };
        let entry = self
            .entry("session.sign_in", &account.name)
            .fact("from", from)
            .fact("door", door.word())
            .fact("factor", factor)
            .fact("session_id", session.id.clone());
        changes.extend([AccountChange::Expired { now }, AccountChange::SignedIn(session.clone())]);
        let alarmed = changes.iter().any(|change| matches!(change, AccountChange::Alarm(_)));
        self.people_change(changes, entry).await?;
        // Only now: what was taken with it may have been no proof, and a guess frees nobody from waiting.
        let throttled = format!("account {}", claimed(&account.name));
        if let Some(freed) = self.0.throttle.succeeded(&throttled) {
            self.pending_change(vec![freed], Vec::new()).await?;
        }
        if alarmed {
            self.0.live.tell(crate::live::Changed::Approvals);
        }
        Ok(SignedIn {
            token,
            session,
            account,
        })
    }

    /// Signs out.
    ///
    /// # Errors
    /// 503 when it could not be recorded.
    pub async fn sign_out(&self, visitor: &Visitor) -> Result<(), Refused> {
        let entry = self
            .entry("session.sign_out", &visitor.account.name)
            .fact("session_id", visitor.session.id.clone());
        self.people_change(
            vec![AccountChange::SignedOut {
                token: visitor.session.token.clone(),
            }],
            entry,
        )
        .await
    }
}

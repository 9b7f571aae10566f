//! Tokens for people's own programs and for machines: each does a listed part of what its account may do, for a while.
//!
//! Refuses a token that would do more than its account, and one without an end. Invariant: policy is asked about the account
//! first; the token's list only takes away.

use axum::http::StatusCode;
use freehold_store::{AccountChange, AccountRow, ApiTokenRow, SessionRow};
use freehold_trust::sha256;

use super::action::Action;
use super::session::Visitor;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// How a token begins, so that a search of logs and repositories finds one that was lost.
pub const TOKEN_PREFIX: &str = "fhc_";
/// Longest life, in days.
const MOST_DAYS: u32 = 366;
/// Longest name, in bytes.
const NAME_LIMIT: usize = 80;
/// Tokens of one account.
const MOST: usize = 50;

/// A token that was made.
#[derive(Debug)]
pub struct MadeToken {
    /// The token, to be shown once.
    pub token: String,
    /// Its row.
    pub row: ApiTokenRow,
}

fn bad(message: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, "console.bad_token", message)
}

impl Console {
    pub(super) async fn token_visitor(&self, token: &str) -> Result<Option<Visitor>, Refused> {
        if token.len() != TOKEN_PREFIX.len() + 64 {
            return Ok(None);
        }
        let found = self
            .0
            .store
            .api_token(&sha256(token.as_bytes()).to_hex(), self.now())
            .await;
        let found = found.map_err(|error| Refused::inside(&error))?;
        Ok(found
            .filter(|(_, account)| !account.disabled)
            .map(|(row, account)| Visitor {
                scope: Some(row.actions.lines().map(str::to_owned).collect()),
                session: SessionRow {
                    token: row.sha256,
                    id: row.id,
                    account: row.account,
                    door: "api".to_owned(),
                    csrf: String::new(),
                    made_at: row.made_at,
                    expires: row.expires,
                    address: String::new(),
                    factor: "token".to_owned(),
                },
                account,
            }))
    }

    /// Makes a token for an account.
    ///
    /// # Errors
    /// 400 for a name, a list or a life that may not be, 403 for a token that wants to make tokens.
    pub async fn make_api_token(
        &self,
        visitor: &Visitor,
        account: &AccountRow,
        name: &str,
        actions: &[String],
        days: u32,
    ) -> Result<MadeToken, Refused> {
        if visitor.scope.is_some() {
            let message = "a token makes no tokens";
            return Err(Refused::new(StatusCode::FORBIDDEN, "console.token_scope", message));
        }
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_LIMIT {
            return Err(bad("a token has a name of at most 80 bytes"));
        }
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(bad("a token lives between 1 and 366 days"));
        }
        let words: Vec<&str> = Action::ALL
            .iter()
            .filter(|action| !action.takes_a_person())
            .map(|action| action.word())
            .collect();
        if actions.is_empty() || !actions.iter().all(|action| words.contains(&action.as_str())) {
            let mut refused = bad("a token lists what it may do, and never what takes a person");
            refused.report.expected = Some(words.join(", "));
            return Err(refused);
        }
        if account.disabled || account.kind == "break_glass" {
            return Err(bad("this account has no tokens"));
        }
        let all = self
            .0
            .store
            .api_tokens()
            .await
            .map_err(|error| Refused::inside(&error))?;
        if all.iter().filter(|row| row.account == account.name).count() >= MOST {
            return Err(bad("the account has too many tokens; withdraw one first"));
        }
        let inside = |error: random::NoRandomness| Refused::inside(&error);
        let now = self.now();
        let token = format!("{TOKEN_PREFIX}{}", random::hex::<32>().map_err(inside)?);
        let mut actions = actions.to_vec();
        actions.sort();
        actions.dedup();
        let row = ApiTokenRow {
            id: random::hex::<5>().map_err(inside)?,
            account: account.name.clone(),
            sha256: sha256(token.as_bytes()).to_hex(),
            name: name.to_owned(),
            actions: actions.join("\n"),
            made_at: now,
            made_by: visitor.account.name.clone(),
            expires: now.saturating_add(i64::from(days) * 86_400),
        };
        let entry = self
            .entry("api_token.made", &visitor.account.name)
            .about(&account.name)
            .fact("token_id", row.id.clone())
            .fact("actions", actions)
            .fact("until", row.expires);
        self.people_change(vec![AccountChange::TokenMade(row.clone())], entry)
            .await?;
        Ok(MadeToken { token, row })
    }

    /// Withdraws a token.
    ///
    /// # Errors
    /// 404.
    pub async fn withdraw_api_token(&self, visitor: &Visitor, account: &str, id: &str) -> Result<(), Refused> {
        let all = self
            .0
            .store
            .api_tokens()
            .await
            .map_err(|error| Refused::inside(&error))?;
        if !all.iter().any(|row| row.id == id && row.account == account) {
            return Err(Refused::not_found("token"));
        }
        let entry = self
            .entry("api_token.withdrawn", &visitor.account.name)
            .about(account)
            .fact("token_id", id.to_owned());
        let change = AccountChange::TokenGone {
            id: id.to_owned(),
            account: account.to_owned(),
        };
        self.people_change(vec![change], entry).await
    }
}

//! Who may do what: accounts, sessions, tokens, and what people have to hear of.
//!
//! Refuses to change anything by itself: each change of an account is a plan first. Invariant: no secret stands here; a token
//! or password is shown once, on a page of its own.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::settings::Session;
use crate::shell::Shell;

/// `GET /access`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccessPage {
    /// The frame.
    pub shell: Shell,
    /// What somebody has to hear of, newest first.
    pub alarms: Vec<Alarm>,
    /// The accounts: all of them, or one's own.
    pub accounts: Vec<AccountLine>,
    /// Sessions: all of them, or one's own.
    pub sessions: Vec<Session>,
    /// Tokens: all of them, or one's own.
    pub tokens: Vec<TokenLine>,
    /// What each role may do: role, then actions.
    pub roles: Vec<(String, String)>,
    /// Words that a token may list.
    pub actions: Vec<String>,
    /// The sites of the fleet.
    pub sites: Vec<String>,
    /// This person manages accounts.
    pub may_manage: bool,
    /// The name of an identity provider, when there is one.
    pub outside: String,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alarm {
    /// Its id.
    pub id: String,
    /// About whom.
    pub about: String,
    /// What happened.
    pub text: String,
    /// When, unix seconds.
    pub at: i64,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountLine {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its sites in words.
    pub sites: String,
    /// Its kind in words.
    pub kind: String,
    /// How it shows who it is beside the password.
    pub factors: String,
    /// Switched off.
    pub disabled: bool,
    /// Whether it still has a one-time password.
    pub one_time_password: bool,
    /// Made, unix seconds.
    pub made: i64,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenLine {
    /// Its public name.
    pub id: String,
    /// Whose.
    pub account: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub actions: String,
    /// Made, unix seconds.
    pub made: i64,
    /// Counts until, unix seconds.
    pub until: i64,
}

#[derive(Template)]
#[template(path = "access.html")]
struct Whole<'a> {
    m: &'a AccessPage,
    shell: &'a Shell,
}

impl AccessPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    fn me(&self) -> &str {
        self.shell.person.as_ref().map_or("", |person| person.name.as_str())
    }
}

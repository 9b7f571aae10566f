//! One's own account: passkeys, and the line that makes a publisher's policy know one of them.
//!
//! Refuses to show anything of another account. Invariant: nothing on this page is a secret; a passkey's private half never
//! left its owner.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// `GET /account`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountPage {
    /// The frame.
    pub shell: Shell,
    /// The account's passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
    /// What a new passkey has to sign, base64url; empty when this console's name allows none.
    pub challenge: String,
    /// The relying party: this console's host name.
    pub relying_party: String,
    /// Why no passkey can be registered here; empty when one can.
    pub why_not: String,
    /// The sites of the policy's approver of this name; empty when the policy lists none.
    pub approves: Vec<String>,
    /// Whether an authenticator app's codes are set up.
    pub codes: bool,
    /// Recovery codes left.
    pub recovery: u32,
    /// A new secret to be typed into an app, in groups; empty unless one is being set up.
    pub secret: String,
    /// The same as an address that apps open.
    pub secret_uri: String,
    /// An account that signs in elsewhere has no second factor here.
    pub outside: bool,
    /// Why the last try did not work.
    pub fault: Option<String>,
}

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Passkey {
    /// Its credential id, base64url.
    pub credential: String,
    /// What its owner calls it.
    pub name: String,
    /// `approval` or `sign_in`.
    pub purpose: String,
    /// When, unix seconds.
    pub made: i64,
    /// When it was used last, unix seconds.
    pub used: Option<i64>,
    /// For the publisher: `freehold policy approver add`; empty for one that only signs in.
    pub line: String,
    /// Whether the policy in force lists it.
    pub listed: bool,
}

impl Passkey {
    fn says(&self) -> &'static str {
        match (self.purpose.as_str(), self.listed) {
            ("approval", true) => "approves plans",
            ("approval", false) => "not in the publisher's policy yet",
            _ => "signs in",
        }
    }
}

#[derive(Template)]
#[template(path = "account.html")]
struct Whole<'a> {
    m: &'a AccountPage,
    shell: &'a Shell,
}

impl AccountPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    fn lines(&self) -> impl Iterator<Item = &Passkey> {
        self.passkeys.iter().filter(|passkey| !passkey.line.is_empty())
    }
}

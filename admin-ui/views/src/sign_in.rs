//! Signing in, and choosing a password of one's own.
//!
//! Refuses to say whether a name exists. Invariant: neither page ever shows a password again.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fingerprint, Shell};

/// `GET /sign-in`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignInPage {
    /// The frame, with `person: None`.
    pub shell: Shell,
    /// Where to go afterwards: a path of this console.
    pub next: String,
    /// The name typed last time.
    pub name: String,
    /// Why the last try did not work, one sentence that does not say whether the name exists.
    pub fault: Option<String>,
    /// True until somebody has signed in for the first time: tells where the one-time password is.
    pub first_time: bool,
    /// The console's own fingerprints, to be compared with the ones printed when it was made.
    pub fingerprints: Vec<Fingerprint>,
    /// The name of the identity provider; empty when there is none.
    pub outside: String,
}

/// `POST /sign-in` for an account with a second factor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecondPage {
    /// The frame, with `person: None`.
    pub shell: Shell,
    /// Where to go afterwards: a path of this console.
    pub next: String,
    /// Opens the second step, once.
    pub ticket: String,
    /// Whether an authenticator app's code will do.
    pub code: bool,
    /// Passkeys that will do, base64url.
    pub credentials: Vec<String>,
    /// What a passkey has to sign, base64url.
    pub challenge: String,
    /// The relying party.
    pub relying_party: String,
}

/// `GET /password`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PasswordPage {
    /// The frame.
    pub shell: Shell,
    /// The password in use is a one-time password and nothing else is possible before it is changed.
    pub must_change: bool,
    /// Least number of characters of a new one.
    pub least_length: u32,
    /// Why the last try did not work.
    pub fault: Option<String>,
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignIn<'a> {
    m: &'a SignInPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "password.html")]
struct Password<'a> {
    m: &'a PasswordPage,
    shell: &'a Shell,
}

/// `GET /sign-in/outside/back`: a page of this console in between, so that the next request comes from here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnwardPage {
    /// The frame, with `person: None`.
    pub shell: Shell,
    /// Who signed in.
    pub name: String,
    /// Where to go: a path of this console.
    pub to: String,
}

#[derive(Template)]
#[template(path = "onward.html")]
struct Onward<'a> {
    m: &'a OnwardPage,
    shell: &'a Shell,
}

impl OnwardPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Onward {
            m: self,
            shell: &self.shell,
        })
    }
}

#[derive(Template)]
#[template(path = "second.html")]
struct SecondStep<'a> {
    m: &'a SecondPage,
    shell: &'a Shell,
}

impl SecondPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&SecondStep {
            m: self,
            shell: &self.shell,
        })
    }
}

impl SignInPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&SignIn {
            m: self,
            shell: &self.shell,
        })
    }
}

impl PasswordPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Password {
            m: self,
            shell: &self.shell,
        })
    }
}

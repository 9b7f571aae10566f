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

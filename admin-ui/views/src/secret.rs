//! A secret that is shown once: an application's token, an account's one-time password.
//!
//! Refuses to be shown again: the server keeps a hash only, and answers this page to the `POST` itself, never to a `GET`.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// The answer to a confirmed plan that made a secret. Send it with `Cache-Control: no-store`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretPage {
    /// The frame.
    pub shell: Shell,
    /// What it is, for example `Token for "ward assistant"`.
    pub title: String,
    /// The secret.
    pub secret: String,
    /// Facts about it, `(name, value)`, for example `("valid until", "2027-02-19")`.
    pub facts: Vec<(String, String)>,
    /// A command that uses it; empty when none.
    pub command: String,
    /// Where to go on, and the words of that link.
    pub back_href: String,
    /// The words of the link.
    pub back: String,
}

impl std::fmt::Debug for SecretPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretPage")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

#[derive(Template)]
#[template(path = "secret.html")]
struct Whole<'a> {
    m: &'a SecretPage,
    shell: &'a Shell,
}

impl SecretPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

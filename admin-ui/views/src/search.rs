//! Search: a box, a model, a digest, a refusal code.
//!
//! Refuses to guess what was meant: it lists what it found. Invariant: a refusal code is explained even when it stands nowhere.

use askama::Template;
use freehold_protocol::status::VerdictWord;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// `GET /search`. The explanation of a refusal code is added by the page itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SearchPage {
    /// The frame; [`Shell::query`] is what was searched.
    pub shell: Shell,
    /// What was found, best first, at most 50.
    pub hits: Vec<Hit>,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hit {
    /// `box`, `model`, `release`, `record entry`, `key`.
    pub kind: String,
    /// Its verdict, when it has one.
    pub verdict: Option<VerdictWord>,
    /// Its title.
    pub title: String,
    /// One line on why it matches; from outside.
    pub detail: String,
    /// Where it is.
    pub href: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Whole<'a> {
    m: &'a SearchPage,
    shell: &'a Shell,
    explained: Option<freehold_explain::Explanation>,
    similar: Vec<String>,
}

/// Codes offered beside the answer; more than this is no help.
const SIMILAR: usize = 12;

impl SearchPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        let query = self.shell.query.trim();
        let explained = freehold_explain::explain(query);
        let similar = if query.len() < 3 {
            Vec::new()
        } else {
            freehold_explain::codes()
                .filter(|code| code != query && code.contains(query))
                .take(SIMILAR)
                .collect()
        };
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
            explained,
            similar,
        })
    }
}

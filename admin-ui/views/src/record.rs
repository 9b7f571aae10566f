//! The record: who did what and when, in a log that anybody can check.
//!
//! Refuses to be the proof itself: it says how to check without this console. Invariant: an entry is shown by its index.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fault, Fingerprint, Shell};

/// Entries of one page; keeps a page under 60 KB.
pub const ENTRIES_PER_PAGE: u32 = 60;

/// `GET /record`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordPage {
    /// The frame.
    pub shell: Shell,
    /// Text to filter by.
    pub q: String,
    /// Kind to filter by; empty for all.
    pub kind: String,
    /// Kinds to choose from.
    pub kinds: Vec<String>,
    /// Entries, newest first; at most [`ENTRIES_PER_PAGE`].
    pub entries: Vec<Entry>,
    /// Entries of the whole record.
    pub size: u64,
    /// Index for `before` of the next (older) page.
    pub older: Option<u64>,
    /// Faults found in the record.
    pub faults: Vec<Fault>,
    /// The last checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// The record's key.
    pub key: Option<Fingerprint>,
    /// Commands that check it without this console, in order.
    pub verify_commands: Vec<String>,
    /// What boxes' own records look like from here.
    pub boxes: Vec<BoxRecord>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Its index, from 0.
    pub index: u64,
    /// When, unix seconds.
    pub at: i64,
    /// Kind, for example `enrol.approved`.
    pub kind: String,
    /// Who did it: account, `box amber-fox-9d1e`, or `console`.
    pub actor: String,
    /// What it is about, for example a box id; may be empty.
    pub subject: String,
    /// Where the subject is found; empty when nowhere.
    pub href: String,
    /// One line.
    pub text: String,
    /// A refusal code, when it is one.
    pub code: Option<String>,
}

/// A checkpoint (C2SP tlog-checkpoint).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log's origin line.
    pub origin: String,
    /// Entries it covers.
    pub size: u64,
    /// Root hash, hex.
    pub root: String,
    /// When it was signed, unix seconds: the time of its last entry, which is signed for as soon as it is durable.
    pub at: Option<i64>,
    /// Who cosigned it, by name.
    pub cosigned_by: Vec<String>,
}

/// The own record of a box, as the console last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BoxRecord {
    /// The box's id.
    pub box_id: String,
    /// Entries.
    pub size: u64,
    /// Root hash, hex.
    pub root: String,
    /// When the console cosigned it, unix seconds.
    pub cosigned: i64,
    /// A fault (code), when its record did not extend the one seen before.
    pub fault: Option<String>,
}

#[derive(Template)]
#[template(path = "record.html")]
struct Whole<'a> {
    m: &'a RecordPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "record.html", block = "live")]
struct Live<'a> {
    m: &'a RecordPage,
    shell: &'a Shell,
}

impl RecordPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    /// The fragment `live`, or the whole page for another name.
    #[must_use]
    pub fn render_fragment(&self, id: &str) -> String {
        match id {
            "live" => self.shell.with_words(&Live {
                m: self,
                shell: &self.shell,
            }),
            _ => self.render(),
        }
    }

    fn older_href(&self, before: &u64) -> String {
        let mut href = format!("{}?before={before}", crate::address::RECORD);
        for (name, value) in [("q", &self.q), ("kind", &self.kind)] {
            if !value.is_empty() {
                href.push_str(&format!("&{name}={}", crate::address::segment(value)));
            }
        }
        href
    }
}

//! Boxes without a network: bundles for sticks, who is back, and the forms that make one and take one in.
//!
//! Refuses to call a box back before its return was taken in. Invariant: "not yet" is a word of its own and never reads as well.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::Shell;

/// `GET /sticks`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SticksPage {
    /// The frame.
    pub shell: Shell,
    /// Bundles, newest first.
    pub bundles: Vec<Bundle>,
    /// Boxes that a bundle can be made for.
    pub boxes: Vec<Candidate>,
    /// The signed-in person may make bundles and take returns in.
    pub may_change: bool,
}

/// A box that a bundle can be made for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Candidate {
    /// Its identifier.
    pub id: String,
    /// Its label.
    pub label: String,
}

/// One bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bundle {
    /// Its number.
    pub number: u64,
    /// When it was made, unix seconds.
    pub at: i64,
    /// Until when boxes take it, unix seconds.
    pub until: i64,
    /// Who made it.
    pub by: String,
    /// SHA-256 of its list, hex.
    pub set: String,
    /// Bytes of each part.
    pub parts: Vec<u64>,
    /// For example "3 of 5 back, 2 not yet".
    pub says: String,
    /// Its boxes.
    pub boxes: Vec<Back>,
}

/// What came back of one box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Back {
    /// Its identifier.
    pub id: String,
    /// When its return was taken in.
    pub at: Option<i64>,
    /// The verdict on its evidence, a word.
    pub verdict: String,
    /// Whether it runs what it should.
    pub achieved: bool,
    /// Codes of what was refused in the return.
    pub refused: Vec<String>,
}

#[derive(Template)]
#[template(path = "sticks.html")]
struct Whole<'a> {
    m: &'a SticksPage,
    shell: &'a Shell,
}

impl SticksPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

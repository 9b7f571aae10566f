//! `report.json`: what the report is about, in the console's words.
//!
//! Refuses unknown fields and other versions. Invariant: nothing here is believed that a file of evidence could show; what is
//! only the console's word is named so on every page.

use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::rejection::AuditRejection;

/// The version of the report's form.
pub const REPORT_VERSION: u8 = 1;

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// The whole fleet, or what its maker may see of it.
    Fleet {},
    /// One box.
    Box {
        /// Its name.
        id: String,
    },
    /// The life of one model.
    Model {
        /// Its root digest.
        digest: Sha256Digest,
    },
}

impl Scope {
    /// In a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Fleet {} => "the fleet".to_owned(),
            Self::Box { id } => format!("box {id}"),
            Self::Model { digest } => format!("model {digest}"),
        }
    }
}

/// The piece of the console's record that is in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPlace {
    /// The log's name.
    pub origin: String,
    /// Its key, as the console says (`name+hash+base64`).
    pub key: String,
    /// Index of the first entry in the report.
    pub first: u64,
    /// Roots of the complete subtrees before it, largest first.
    pub before: Vec<Sha256Digest>,
}

/// A box in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxLine {
    /// Its name.
    #[serde(rename = "box")]
    pub box_id: String,
    /// What people call it.
    pub label: String,
    /// Its site.
    pub site: String,
    /// The console's verdict, when it reached one: a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Whether its inventory is in the report.
    #[serde(default)]
    pub inventory: bool,
}

/// Something that a person or a box did with a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub who: String,
    /// What, the entry's kind.
    pub what: String,
    /// About which box or release.
    pub about: String,
    /// The entry's index in the console's record.
    pub entry: u64,
}

/// A model in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelLine {
    /// Its root digest.
    pub digest: Sha256Digest,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The target that releases it.
    pub target: String,
    /// Who signed it, as the publisher's policy names the key.
    pub signer: String,
    /// SHA-256 of that key; empty when its signature does not verify.
    pub signer_key: String,
    /// Its licence.
    pub licence: String,
    /// Whether the publisher took it back.
    pub revoked: bool,
    /// What happened to it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub life: Vec<Deed>,
}

/// `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Version of this form, 1.
    pub v: u8,
    /// The fleet's identifier.
    pub fleet: String,
    /// What people call it.
    pub name: String,
    /// What it is about.
    pub scope: Scope,
    /// The period's begin, Unix seconds.
    pub from: i64,
    /// When it was made: the end of the period, Unix seconds.
    pub at: i64,
    /// Who asked for it.
    pub made_by: String,
    /// Evidence older than so many seconds shows nothing any more.
    pub max_age: i64,
    /// The piece of the record.
    pub record: RecordPlace,
    /// The boxes, by name.
    pub boxes: Vec<BoxLine>,
    /// The models, by name and version.
    pub models: Vec<ModelLine>,
}

impl Document {
    /// Reads it.
    ///
    /// # Errors
    /// `report.malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditRejection> {
        let malformed = |fault: String| AuditRejection::Malformed {
            file: "report.json".to_owned(),
            fault,
        };
        let document: Self = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if document.v != REPORT_VERSION {
            return Err(malformed(format!("version {}", document.v)));
        }
        if !document.boxes.is_sorted_by(|a, b| a.box_id < b.box_id) {
            return Err(malformed("boxes are not in order, or one is there twice".to_owned()));
        }
        Ok(document)
    }
}

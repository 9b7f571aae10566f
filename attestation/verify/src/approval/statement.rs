//! What an approver signs: the statement, and the list of boxes behind its root.
//!
//! Refuses unknown fields, other versions and sizes that no plan has. Invariant: the digest is over the bytes that travel,
//! not over a re-serialisation; the same plan is written as the same bytes.

use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_trust::merkle;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rejection::ApprovalRejection;
use crate::json;
use crate::text::shown;

/// Keeps a statement apart from every other JSON that a person's passkey might be asked to sign.
pub const STATEMENT_KIND: &str = "freehold.approval";
/// The major version of statements and lines.
const VERSION: u32 = 1;
/// Longest statement: some dozen releases fit; bounds what is parsed.
const MAX_STATEMENT: usize = 16 * 1024;
/// Longest line of a box.
const MAX_LINE: usize = 16 * 1024;
/// Most releases of one statement, and of the way back in one line.
const MAX_RELEASES: usize = 32;

/// A release, pinned by the digest of its descriptor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovedRelease {
    /// TUF target name of the descriptor.
    pub name: String,
    /// SHA-256 of the descriptor.
    pub sha256: Sha256Digest,
}

/// The boxes of a plan, as a Merkle tree over their lines in the plan's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxList {
    /// How many.
    pub size: u64,
    /// RFC 6962 root over the lines.
    pub root: Sha256Digest,
}

/// What is approved. Field order is the order on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Major version, 1.
    pub v: u32,
    /// [`STATEMENT_KIND`].
    pub kind: String,
    /// The fleet's id.
    pub fleet: String,
    /// The plan's name on the console.
    pub plan: String,
    /// Who proposed it, by the name that approvers are known by.
    pub proposer: String,
    /// What it brings.
    pub releases: Vec<ApprovedRelease>,
    /// To which boxes.
    pub boxes: BoxList,
    /// SHA-256 of the rest of the plan: waves, gates, limits.
    pub schedule: Sha256Digest,
    /// Unix seconds after which a box no longer takes it.
    pub not_after: i64,
}

/// One box of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxLine {
    /// Major version, 1.
    pub v: u32,
    /// The box's id.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Its site.
    pub site: String,
    /// What it may be sent back to when the plan fails there.
    pub back: Vec<ApprovedRelease>,
}

fn read<T: DeserializeOwned>(bytes: &[u8], limit: usize, what: &'static str) -> Result<T, ApprovalRejection> {
    let malformed = |detail: String| ApprovalRejection::Malformed {
        detail: format!("{what}: {}", shown(&detail)),
    };
    let value = json::parse(bytes, limit).map_err(|fault| malformed(fault.to_string()))?;
    let version = value.get("v").and_then(Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        return Err(ApprovalRejection::Version {
            found: version.map_or_else(|| "none".to_owned(), |version| version.to_string()),
        });
    }
    serde_json::from_value(value).map_err(|error| malformed(error.to_string()))
}

impl Statement {
    /// The bytes that are signed. Strings, numbers and lists only: this cannot fail.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What a passkey is asked to sign, and what a person compares.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        sha256(&self.to_bytes())
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// [`ApprovalRejection::Malformed`] or [`ApprovalRejection::Version`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ApprovalRejection> {
        let statement: Self = read(bytes, MAX_STATEMENT, "statement")?;
        let bad = statement.kind != STATEMENT_KIND || statement.releases.len() > MAX_RELEASES;
        if bad || statement.proposer.is_empty() || statement.plan.is_empty() {
            return Err(ApprovalRejection::Malformed {
                detail: "statement: kind, plan, proposer or number of releases".to_owned(),
            });
        }
        Ok(statement)
    }
}

impl BoxLine {
    /// The line of a box without a way back.
    #[must_use]
    pub fn new(box_id: &str, site: &str) -> Self {
        Self {
            v: VERSION,
            box_id: box_id.to_owned(),
            site: site.to_owned(),
            back: Vec::new(),
        }
    }

    /// The leaf's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`ApprovalRejection::Malformed`] or [`ApprovalRejection::Version`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ApprovalRejection> {
        let line: Self = read(bytes, MAX_LINE, "line")?;
        if line.back.len() > MAX_RELEASES {
            return Err(ApprovalRejection::Malformed {
                detail: "line: number of releases".to_owned(),
            });
        }
        Ok(line)
    }
}

fn leaves(lines: &[BoxLine]) -> Vec<Sha256Digest> {
    lines.iter().map(|line| merkle::leaf_hash(&line.to_bytes())).collect()
}

/// The list that stands in a statement over these lines.
#[must_use]
pub fn line_list(lines: &[BoxLine]) -> BoxList {
    BoxList {
        size: u64::try_from(lines.len()).unwrap_or(u64::MAX),
        root: merkle::root(&leaves(lines)),
    }
}

/// The path from line `index` to the root, for the box that the line is about.
#[must_use]
pub fn line_path(lines: &[BoxLine], index: usize) -> Option<Vec<Sha256Digest>> {
    merkle::path(&leaves(lines), index)
}

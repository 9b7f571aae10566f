//! Milestones of a running box in PCR 15: settings, policy, engine, and each model before an engine opens it.
//!
//! Refuses an entry whose content is not what its digest was made of, so that none can be relabelled. The quote is taken first and the
//! log afterwards: the verifier uses the beginning of the log that replays to the quoted value, and calls the rest "not covered". Invariant:
//! nothing after that beginning counts for anything.
//!
//! One line is one record, a JSON object after TCG Canonical Event Log Format 1.0, section 5 (CEL-JSON), as systemd writes its own.

use freehold_trust::digest::{Sha256Digest, Sha256Hasher, sha256};
use serde::{Deserialize, Serialize};

use crate::json;
use crate::rejection::Refusal;
use crate::text::shown;

/// The PCR of a box's own milestones, as systemd uses it (systemd-pcrextend(8)).
pub const PCR: u8 = 15;

/// Bounds a log: a record is at most some 400 bytes, and a box has thousands of starts at most between two boots.
pub const MAX_LOG: usize = 4 << 20;

/// Longest name in a record; bounds a line.
const MAX_NAME: usize = 200;

/// What was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MilestoneKind {
    /// Settings were applied; the digest is that of their signed payload.
    Settings,
    /// A policy bundle came into force.
    Policy,
    /// An engine is about to be started; the digest is its image's root hash.
    Engine,
    /// A model is about to be opened; the digest is that of its signature.
    Model,
}

/// One milestone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Milestone {
    /// What was reached.
    pub kind: MilestoneKind,
    /// Its name, for people.
    pub name: String,
    /// What it is.
    pub digest: Sha256Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    recnum: u64,
    pcr: u8,
    digests: Vec<RecordDigest>,
    content_type: String,
    content: Milestone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordDigest {
    #[serde(rename = "hashAlg")]
    algorithm: String,
    digest: Sha256Digest,
}

const CONTENT: &str = "freehold";

impl Milestone {
    /// What PCR 15 is extended with: SHA-256 of the content's JSON, fields in their order here, without spaces.
    #[must_use]
    pub fn measured(&self) -> Sha256Digest {
        sha256(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The record's line, with its end.
    #[must_use]
    pub fn line(&self, number: u64) -> Vec<u8> {
        let record = Record {
            recnum: number,
            pcr: PCR,
            digests: vec![RecordDigest {
                algorithm: "sha256".to_owned(),
                digest: self.measured(),
            }],
            content_type: CONTENT.to_owned(),
            content: self.clone(),
        };
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Why a log of milestones shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MilestoneRejection {
    /// Not a log of milestones.
    #[error("record {number} of the milestones is malformed: {detail}")]
    Malformed {
        /// The record, from 0.
        number: usize,
        /// How.
        detail: String,
    },
    /// A record's digest is not that of its content.
    #[error("record {number} of the milestones says something else than what was measured")]
    Content {
        /// The record, from 0.
        number: usize,
    },
    /// No beginning of the log gives the quoted value.
    #[error("no beginning of the milestones gives the quoted PCR {PCR}")]
    Prefix {
        /// The quoted value.
        expected: Sha256Digest,
        /// The value of the whole log.
        found: Sha256Digest,
    },
    /// A model that is said to run was not measured before.
    #[error("the running model {model} was not measured before the quote")]
    Model {
        /// The model's digest.
        model: Sha256Digest,
    },
}

impl MilestoneRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "log.milestone_malformed",
        "log.milestone_content",
        "log.milestone_prefix",
        "evidence.model_not_measured",
    ];
}

impl Refusal for MilestoneRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "log.milestone_malformed",
            Self::Content { .. } => "log.milestone_content",
            Self::Prefix { .. } => "log.milestone_prefix",
            Self::Model { .. } => "evidence.model_not_measured",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Prefix { expected, .. } => Some(expected.to_hex()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Prefix { found, .. } => Some(found.to_hex()),
            Self::Model { model } => Some(model.to_hex()),
            _ => None,
        }
    }
}

/// Reads a log: whole lines, numbered from 0 without a gap, each in PCR 15 and measured as it says.
///
/// # Errors
/// [`MilestoneRejection`].
pub fn parse_milestones(bytes: &[u8]) -> Result<Vec<Milestone>, MilestoneRejection> {
    let malformed = |number: usize, detail: &str| MilestoneRejection::Malformed {
        number,
        detail: shown(detail),
    };
    if bytes.len() > MAX_LOG {
        return Err(malformed(0, "the log is too large"));
    }
    let whole = match bytes.strip_suffix(b"\n") {
        Some(whole) => whole,
        None if bytes.is_empty() => return Ok(Vec::new()),
        None => return Err(malformed(0, "the last line has no end")),
    };
    let mut all = Vec::new();
    for (number, line) in whole.split(|byte| *byte == b'\n').enumerate() {
        let value = json::parse(line, MAX_LOG).map_err(|fault| malformed(number, &fault.to_string()))?;
        let record: Record = serde_json::from_value(value).map_err(|error| malformed(number, &error.to_string()))?;
        if u64::try_from(number) != Ok(record.recnum) {
            return Err(malformed(number, "its number is another"));
        }
        if record.pcr != PCR || record.content_type != CONTENT || record.content.name.len() > MAX_NAME {
            return Err(malformed(number, "not a milestone of a box"));
        }
        match record.digests.as_slice() {
            [one] if one.algorithm == "sha256" => {
                if one.digest != record.content.measured() {
                    return Err(MilestoneRejection::Content { number });
                }
            }
            _ => return Err(malformed(number, "not one SHA-256 digest")),
        }
        all.push(record.content);
    }
    Ok(all)
}

/// A log as a quote divides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered<'a> {
    /// What the quote shows.
    pub shown: &'a [Milestone],
    /// What came after the quote, or was never measured: not covered.
    pub not_covered: &'a [Milestone],
}

/// Finds the beginning of the log that takes PCR 15 from `start` to the `quoted` value.
///
/// # Errors
/// [`MilestoneRejection::Prefix`].
pub fn covered(
    log: &[Milestone],
    start: Sha256Digest,
    quoted: Sha256Digest,
) -> Result<Covered<'_>, MilestoneRejection> {
    let mut value = start;
    for (index, milestone) in log.iter().enumerate() {
        if value == quoted {
            let (shown, not_covered) = log.split_at(index);
            return Ok(Covered { shown, not_covered });
        }
        value = extended(value, milestone.measured());
    }
    if value == quoted {
        return Ok(Covered {
            shown: log,
            not_covered: &[],
        });
    }
    Err(MilestoneRejection::Prefix {
        expected: quoted,
        found: value,
    })
}

/// What a PCR becomes (TPM 2.0 Library, Part 1, "PCR operations").
#[must_use]
pub fn extended(value: Sha256Digest, measured: Sha256Digest) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(value.as_bytes());
    hasher.update(measured.as_bytes());
    hasher.finish()
}

impl Covered<'_> {
    /// Whether each model that is said to run was measured before the quote.
    ///
    /// # Errors
    /// [`MilestoneRejection::Model`], naming the first that was not.
    pub fn names_models(&self, running: &[Sha256Digest]) -> Result<(), MilestoneRejection> {
        let measured = |model: &Sha256Digest| {
            let is = |milestone: &Milestone| milestone.kind == MilestoneKind::Model && milestone.digest == *model;
            self.shown.iter().any(is)
        };
        match running.iter().find(|model| !measured(model)) {
            Some(model) => Err(MilestoneRejection::Model { model: *model }),
            None => Ok(()),
        }
    }
}

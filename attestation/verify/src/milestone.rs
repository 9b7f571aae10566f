//! Milestones of a running box in PCR 15: its volume, settings, policy, engine, and each model before an engine opens it.
//!
//! They stand in the log of what user space measures ([`CanonicalLog`]), where systemd-pcrextend writes them. Refuses a record whose
//! digest is not that of its own words, so that none can be relabelled. The quote is taken first and the log read afterwards: only
//! the beginning of the log that replays to the quoted value counts, and what comes later is "not covered". Invariant: nothing
//! after that beginning counts for anything.

use freehold_trust::digest::{Sha256Digest, sha256};
use serde::{Deserialize, Serialize};

use crate::event_log::canonical::CanonicalLog;
use crate::quote::PcrValues;
use crate::rejection::Refusal;
use crate::text::shown;

/// The PCR of a box's own milestones, as systemd uses it (systemd-pcrextend(8)).
pub const PCR: u8 = 15;

/// Longest name in a record: with kind and digest it stays far below what systemd-pcrextend cuts off.
pub const MAX_NAME: usize = 120;

/// How a milestone's words begin; whatever else is measured into PCR 15 begins otherwise.
const BEGINNING: &str = "freehold.";

/// What was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MilestoneKind {
    /// Settings are about to be applied; the digest is that of their document.
    Settings,
    /// A policy bundle came into force; the digest is that of its release.
    Policy,
    /// An engine is about to be started; the digest is its image's root hash.
    Engine,
    /// A model is about to be opened; the digest is that of its signature.
    Model,
}

impl MilestoneKind {
    const ALL: [Self; 4] = [Self::Settings, Self::Policy, Self::Engine, Self::Model];

    /// The word in records and on pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Policy => "policy",
            Self::Engine => "engine",
            Self::Model => "model",
        }
    }
}

/// One milestone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Milestone {
    /// What was reached.
    pub kind: MilestoneKind,
    /// Its name, for people: see [`Milestone::new`].
    pub name: String,
    /// What it is.
    pub digest: Sha256Digest,
}

impl Milestone {
    /// A milestone. In the name every character becomes `_` that a log's writer might escape, and what is too long is cut off.
    #[must_use]
    pub fn new(kind: MilestoneKind, name: &str, digest: Sha256Digest) -> Self {
        let plain = |c: char| if plain(c) { c } else { '_' };
        Self {
            kind,
            name: name.chars().map(plain).take(MAX_NAME).collect(),
            digest,
        }
    }

    /// The words that are measured: `freehold.model DIGEST NAME`. PCR 15 is extended with their SHA-256.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{BEGINNING}{} {} {}", self.kind.word(), self.digest, self.name)
    }

    /// What PCR 15 is extended with.
    #[must_use]
    pub fn measured(&self) -> Sha256Digest {
        sha256(self.words().as_bytes())
    }

    /// Reads a record's words; `None` when they are none of ours.
    fn read(words: &str) -> Option<Result<Self, &'static str>> {
        let rest = words.strip_prefix(BEGINNING)?;
        let mut parts = rest.splitn(3, ' ');
        let kind = parts
            .next()
            .and_then(|word| MilestoneKind::ALL.into_iter().find(|kind| kind.word() == word));
        let digest = parts.next().and_then(|digest| digest.parse().ok());
        Some(match (kind, digest, parts.next()) {
            (None, ..) => Err("no kind that is known"),
            (_, None, _) => Err("no digest"),
            (_, _, None) => Err("no name"),
            (_, _, Some(name)) if name.len() > MAX_NAME || !name.chars().all(plain) => Err("a name that none has"),
            (Some(kind), Some(digest), Some(name)) => Ok(Self {
                kind,
                name: name.to_owned(),
                digest,
            }),
        })
    }
}

/// Characters of names: none that a JSON or C string has to escape.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '/' | ':' | '+' | '@')
}

/// Why milestones show nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MilestoneRejection {
    /// Words that begin as a milestone and are none.
    #[error("record {number} of what was measured is no milestone: {detail}")]
    Malformed {
        /// The record, from 0.
        number: usize,
        /// How.
        detail: String,
    },
    /// A record's digest is not that of its words.
    #[error("record {number} of what was measured says something else than its digest")]
    Content {
        /// The record, from 0.
        number: usize,
    },
    /// A model that is said to run was not measured before.
    #[error("the running model {model} was not measured before the quote")]
    Model {
        /// The model's digest.
        model: Sha256Digest,
    },
    /// The volume is another than the one that is pinned.
    #[error("the box runs on another data volume than the one that is known of it")]
    Volume {
        /// What is pinned.
        expected: Sha256Digest,
        /// What was measured.
        found: Option<Sha256Digest>,
    },
}

impl MilestoneRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "log.milestone_malformed",
        "log.milestone_content",
        "evidence.model_not_measured",
        "evidence.other_volume",
    ];
}

impl Refusal for MilestoneRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "log.milestone_malformed",
            Self::Content { .. } => "log.milestone_content",
            Self::Model { .. } => "evidence.model_not_measured",
            Self::Volume { .. } => "evidence.other_volume",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Volume { expected, .. } => Some(expected.to_hex()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Volume { found, .. } => Some(found.map_or_else(|| "none was measured".to_owned(), |it| it.to_hex())),
            Self::Model { model } => Some(model.to_hex()),
            _ => None,
        }
    }
}

/// What a quote shows of a box's milestones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Milestones {
    /// What the first record of PCR 15 extended it with. In a measured boot of a signed image that is the data volume's key, before
    /// anything that could choose what follows.
    pub volume: Option<Sha256Digest>,
    /// What was reached before the quote.
    pub reached: Vec<Milestone>,
}

impl Milestones {
    /// Reads the records of `log` that the quote covers when the PCRs stood at `from` before the first.
    ///
    /// # Errors
    /// [`MilestoneRejection`].
    pub fn read(log: &CanonicalLog, from: &[Sha256Digest; 24], quoted: &PcrValues) -> Result<Self, MilestoneRejection> {
        let mut all = Self::default();
        let covered = match quoted.get(PCR) {
            Some(_) => log.covered(from, quoted).unwrap_or(0),
            None => 0,
        };
        let records = log.records.iter().enumerate().take(covered);
        for (number, record) in records.filter(|(_, record)| record.pcr == PCR) {
            let Some(digest) = record.sha256() else { continue };
            // The words of the first one are nobody's business: its digest is what is pinned.
            if all.volume.is_none() {
                all.volume = Some(digest);
                continue;
            }
            match Milestone::read(&record.description) {
                None => {}
                Some(Err(detail)) => {
                    return Err(MilestoneRejection::Malformed {
                        number,
                        detail: shown(detail),
                    });
                }
                Some(Ok(milestone)) if milestone.measured() != digest => {
                    return Err(MilestoneRejection::Content { number });
                }
                Some(Ok(milestone)) => all.reached.push(milestone),
            }
        }
        Ok(all)
    }

    /// Whether each model that is said to run was measured before the quote.
    ///
    /// # Errors
    /// [`MilestoneRejection::Model`], naming the first that was not.
    pub fn names_models(&self, running: &[Sha256Digest]) -> Result<(), MilestoneRejection> {
        let measured = |model: &Sha256Digest| {
            let is = |milestone: &Milestone| milestone.kind == MilestoneKind::Model && milestone.digest == *model;
            self.reached.iter().any(is)
        };
        match running.iter().find(|model| !measured(model)) {
            Some(model) => Err(MilestoneRejection::Model { model: *model }),
            None => Ok(()),
        }
    }

    /// Whether the volume is the pinned one, where one is.
    ///
    /// # Errors
    /// [`MilestoneRejection::Volume`].
    pub fn on_volume(&self, pinned: Option<Sha256Digest>) -> Result<(), MilestoneRejection> {
        match pinned {
            Some(expected) if self.volume != Some(expected) => Err(MilestoneRejection::Volume {
                expected,
                found: self.volume,
            }),
            _ => Ok(()),
        }
    }
}

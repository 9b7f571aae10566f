//! What is there: admitted releases, downloads, engines, room, and what the box may do right now.
//!
//! Refuses to hold anything that was not looked at. Invariant: leaving something out makes the plan do more, never less
//! safe: what is not known to be stored is fetched and verified again.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::Sha256Digest;
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::plan::WaitingOn;
use crate::system::ObservedSystem;

/// Why a model does not run about whose permission nobody looked.
const NOT_LOOKED_AT: &str = "plan.not_permitted";

/// What an engine is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Chat and completion.
    Chat,
    /// Embeddings.
    Embeddings,
}

/// Whether new things may be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "may", content = "until")]
pub enum Permission {
    /// Yes: current metadata, a verdict that allows it.
    Change,
    /// No: what runs goes on, nothing new comes; until what is named.
    Keep(WaitingOn),
}

/// An admitted release in the store. Several may have the same content; each was admitted by its own decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredModel {
    /// Root digest of its signature: names the content.
    pub root: Sha256Digest,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether a second engine serves embeddings.
    pub embeddings: bool,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A file of an admitted release that has the bytes of a wanted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// Root digest of the release that has it.
    pub root: Sha256Digest,
    /// The release that has it.
    pub release: Sha256Digest,
    /// Its path there.
    pub path: String,
    /// SHA-256 of its bytes, as signed for both releases.
    pub sha256: Sha256Digest,
}

/// Whether a model of this name may run now: what policy and verdict lease say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "may", content = "because")]
pub enum RunPermission {
    /// Yes.
    Run,
    /// No, and an engine that runs it stops.
    Stop(RefusalReport),
}

/// How an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// It answers.
    Running,
    /// It was started and does not answer yet.
    Starting,
    /// It answers the questions that its release brings, for the box's own check.
    Checking,
    /// It ended and is being given a pause before the next try.
    Resting,
}

/// An engine that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningEngine {
    /// The model's root digest.
    pub root: Sha256Digest,
    /// What for.
    pub purpose: Purpose,
    /// How it is.
    pub state: EngineState,
}

/// What was seen on the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Whether new things may be taken.
    pub permission: Permission,
    /// The store, by release.
    pub stored: BTreeMap<Sha256Digest, StoredModel>,
    /// Files of wanted releases that the store has already: by release, by path.
    pub at_hand: BTreeMap<Sha256Digest, BTreeMap<String, StoredFile>>,
    /// Downloads under way, by release, with the bytes that they still need.
    pub fetching: BTreeMap<Sha256Digest, u64>,
    /// Unfinished downloads: by release, by path, which chunks are there and verified.
    pub staged: BTreeMap<Sha256Digest, BTreeMap<String, BTreeSet<u32>>>,
    /// Engines.
    pub engines: Vec<RunningEngine>,
    /// Whether there is memory for one more engine beside those that run.
    pub spare_engine: bool,
    /// Whether models may run, by name. One that is not here may not: nobody looked.
    pub runs: BTreeMap<String, RunPermission>,
    /// Stored releases that the publisher took back, each with the refusal.
    pub revoked: BTreeMap<Sha256Digest, RefusalReport>,
    /// Releases whose health check held on this box.
    pub confirmed: BTreeSet<Sha256Digest>,
    /// By a model's name, the release of it that was confirmed last: the one that runs until another is.
    pub standing: BTreeMap<String, Sha256Digest>,
    /// Releases that failed verification, admission or their health check here, each with the refusal: they are not tried
    /// again.
    pub failed: BTreeMap<Sha256Digest, RefusalReport>,
    /// Targets whose refusal the record already holds, with the code.
    pub told: BTreeMap<String, String>,
    /// The operating system; `None` on a box that is a program on somebody's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<ObservedSystem>,
    /// Bytes that models may still take on the disk.
    pub free_bytes: u64,
    /// Hardware classes of this box, for example `cpu`.
    pub hardware: Vec<String>,
}

impl Observed {
    /// A box with nothing on it that may change.
    #[must_use]
    pub fn empty(free_bytes: u64) -> Self {
        Self {
            permission: Permission::Change,
            stored: BTreeMap::new(),
            at_hand: BTreeMap::new(),
            fetching: BTreeMap::new(),
            staged: BTreeMap::new(),
            engines: Vec::new(),
            spare_engine: false,
            runs: BTreeMap::new(),
            revoked: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            standing: BTreeMap::new(),
            failed: BTreeMap::new(),
            told: BTreeMap::new(),
            system: None,
            free_bytes,
            hardware: vec!["cpu".to_owned()],
        }
    }

    /// Why a model of this name may not run; `None` when it may.
    pub(crate) fn may_not_run(&self, name: &str) -> Option<&str> {
        match self.runs.get(name) {
            Some(RunPermission::Run) => None,
            Some(RunPermission::Stop(because)) => Some(&because.code),
            None => Some(NOT_LOOKED_AT),
        }
    }

    /// The chunks of a wanted file that are not there yet.
    pub(crate) fn missing_chunks(&self, release: &Sha256Digest, path: &str, chunks: u32) -> Option<Vec<u32>> {
        match self.staged.get(release).and_then(|files| files.get(path)) {
            // An empty file has no chunks and still has to be made.
            None => Some((0..chunks).collect()),
            Some(there) => {
                let missing: Vec<u32> = (0..chunks).filter(|chunk| !there.contains(chunk)).collect();
                (!missing.is_empty()).then_some(missing)
            }
        }
    }
}

//! A plan: immutable data without choices.
//!
//! Refuses an order of its own: steps are carried out from first to last, and one that fails ends the plan (the next one is
//! made from what is there then). Invariant: equal plans have equal digests.

use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::desired::Place;
use crate::observed::{Purpose, StoredFile};

/// The version of the plan's form.
pub const PLAN_VERSION: u32 = 1;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Say, and record, that a target of the assignment is refused.
    RefuseTarget {
        /// The target's name.
        target: String,
        /// Why.
        refusal: RefusalReport,
    },
    /// Fetch the missing chunks of one file.
    FetchFile {
        /// The release.
        release: Sha256Digest,
        /// Target name of the release's descriptor.
        target: String,
        /// Which part of the release.
        place: Place,
        /// Path below the release's folder.
        path: String,
        /// Length of the file in bytes.
        length: u64,
        /// Length of every chunk but the last.
        chunk_size: u64,
        /// The missing chunks, ascending.
        chunks: Vec<u32>,
    },
    /// Take a file from an admitted release that has the same bytes, instead of fetching it.
    ReuseFile {
        /// The release.
        release: Sha256Digest,
        /// Target name of the release's descriptor.
        target: String,
        /// Path below the release's folder.
        path: String,
        /// Length of the file in bytes.
        length: u64,
        /// Where it is.
        from: StoredFile,
    },
    /// End a download that is under way; what it has fetched stays until it is thrown away.
    CancelFetch {
        /// The release.
        release: Sha256Digest,
        /// The refusal code, `plan.not_assigned` or `plan.not_permitted`.
        because: String,
    },
    /// Verify signature, files, format headers and bill of materials.
    VerifyModel {
        /// The release.
        release: Sha256Digest,
        /// The model.
        root: Sha256Digest,
        /// Its name, for people.
        name: String,
    },
    /// Ask the policy.
    AdmitModel {
        /// The release.
        release: Sha256Digest,
        /// The model.
        root: Sha256Digest,
        /// Its name, for people.
        name: String,
    },
    /// Move it into the store, whole or not at all.
    StoreModel {
        /// The release.
        release: Sha256Digest,
        /// The model.
        root: Sha256Digest,
        /// Its name, for people.
        name: String,
    },
    /// End an engine.
    StopEngine {
        /// The model.
        root: Sha256Digest,
        /// What it was for.
        purpose: Purpose,
        /// The refusal code, or `plan.not_assigned`.
        because: String,
    },
    /// Start an engine.
    StartEngine {
        /// The release whose files it is given.
        release: Sha256Digest,
        /// The model.
        root: Sha256Digest,
        /// Its name.
        name: String,
        /// What for.
        purpose: Purpose,
    },
    /// Ask a running model its own questions; what it replaces stays until the answers are as expected.
    CheckHealth {
        /// The release.
        release: Sha256Digest,
        /// The model.
        root: Sha256Digest,
        /// Its name, for people.
        name: String,
    },
    /// Take a release out of the store; the content goes with the last release that has it.
    RemoveModel {
        /// The release.
        release: Sha256Digest,
        /// The model.
        root: Sha256Digest,
        /// Its name, for people.
        name: String,
        /// The refusal code, or `plan.not_assigned`.
        because: String,
    },
    /// Throw away an unfinished download.
    DiscardStaged {
        /// The release.
        release: Sha256Digest,
    },
    /// Verify the files of an operating system as a whole, and lay them ready for the slot.
    StageSystem {
        /// The release.
        release: Sha256Digest,
        /// The image's name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Write them into the slot that does not run.
    WriteSystem {
        /// The release.
        release: Sha256Digest,
        /// The image's name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Restart into it. What runs now stays where it is, and runs again when the new one does not work.
    RestartSystem {
        /// The release.
        release: Sha256Digest,
        /// The image's name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Raise the floor: images below it never open the sealed volume again. There is no way back.
    RaiseFloor {
        /// The level.
        level: u8,
    },
}

/// What something waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case", deny_unknown_fields)]
pub enum WaitingOn {
    /// A person at the console: approval of this box.
    Approval,
    /// A verdict that allows change.
    Verdict,
    /// Release metadata that has not expired.
    Metadata,
    /// The console.
    Console,
    /// Room on the disk.
    DiskSpace {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// An engine's pause before the next try.
    EngineRest,
    /// A download that is under way, or its examination.
    Download,
    /// An engine that loads its model.
    EngineStart,
    /// A model that answers its own questions.
    Check,
    /// The running system's own health check.
    Confirmation,
    /// The steps before it.
    OtherSteps,
    /// A fresh verdict of the console, which policy demands for the model.
    Lease,
}

/// Something that is wanted and cannot be done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// What, a target name or a model's name.
    pub what: String,
    /// For what.
    pub until: WaitingOn,
}

/// What would happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this form, 1.
    pub v: u32,
    /// Counter of the assignment that it pursues.
    pub assignment: Option<u64>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What has to wait.
    pub waiting: Vec<Waiting>,
}

impl Plan {
    /// SHA-256 over the plan's JSON, whose fields stand in one fixed order: what a person confirms.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        sha256(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

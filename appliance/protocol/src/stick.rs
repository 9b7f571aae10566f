//! What a console and a box write to each other on a stick: the messages of the wire, put into letters.
//!
//! Refuses to carry anything that the wire does not: a stick is slow post between the same two programs. Invariant: a letter is
//! for one box, known by its TLS key; it counts because the bundle that lists it is signed.

use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::binary::Base64;
use crate::enrol::{EnrolChallenge, EnrolStatus};
use crate::report::{Challenge, ReportAnswer, VerdictAnswer};
use crate::version::V1;

/// What stands in a pairing in the place of an address when the console is reached by sticks alone.
pub const BY_STICK: &str = "stick:";
/// The entry of a bundle with the first TUF root.
pub const ROOT: &str = "tuf-root.json";
/// Folder of TUF metadata in a bundle.
pub const METADATA: &str = "metadata/";
/// Folder of TUF targets in a bundle, by their plain names.
pub const TARGETS: &str = "targets/";
/// Folder of letters in a bundle.
pub const LETTERS: &str = "boxes/";

/// Messages of a return, by name: [`crate::enrol::EnrolBegin`].
pub const BEGIN: &str = "enrol-begin.json";
/// [`crate::enrol::EnrolActivate`].
pub const ACTIVATE: &str = "enrol-activate.json";
/// Deterministic CBOR evidence over the letter's challenge.
pub const EVIDENCE: &str = "evidence.cbor";
/// [`crate::report::BoxReport`], with the inventory.
pub const REPORT: &str = "report.json";
/// [`crate::report::RecordCheckpoint`].
pub const RECORD: &str = "record.json";
/// [`Pages`]: entries of the record since the last cosigned head.
pub const ENTRIES: &str = "entries.json";

/// Most bytes of new record entries in one return; what is more travels with the next. Bounds the memory of both ends.
pub const MAX_ENTRIES_BYTES: usize = 16 << 20;
/// Largest return that a console reads: entries in base64, evidence and report fit. It is held in memory, because it is sealed as a whole.
pub const MAX_RETURN: usize = 32 << 20;
/// Largest letter: an assignment of a thousand targets in base64 fits.
pub const MAX_LETTER: usize = 4 << 20;

/// The name of a box's letter in a bundle.
#[must_use]
pub fn letter_name(box_id: &str) -> String {
    format!("{LETTERS}{box_id}.json")
}

/// What a console says to one box by stick: each answer that it would give over the wire, as far as it can be given ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// Message version.
    pub v: V1,
    /// The box.
    pub box_id: String,
    /// SHA-256 of its TLS key's SPKI, hex.
    pub tls: String,
    /// Where its enrolment stands.
    pub enrol: EnrolStatus,
    /// The credential for its enrolment, while one is open.
    pub credential: Option<EnrolChallenge>,
    /// A challenge that its next return answers.
    pub challenge: Option<Challenge>,
    /// What the console made of its last evidence. No certificate and no time: the bundle brings the time.
    pub verdict: Option<VerdictAnswer>,
    /// The answer to its next report.
    pub answer: Option<ReportAnswer>,
    /// The signed assignment.
    pub assignment: Option<Base64>,
    /// The packages of approvals that the assignment names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Base64>,
    /// The head of its record that was cosigned last.
    pub cosigned: Option<Cosigned>,
}

/// A cosigned head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosigned {
    /// Entries of the record then.
    pub size: u64,
    /// The note with the cosignature; empty when only the size is known.
    pub note: String,
}

/// Entries of a record as a return carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Message version.
    pub v: V1,
    /// Index of the first.
    pub first: u64,
    /// The entries as they were written.
    pub entries: Vec<Base64>,
}

/// What `freehold bundle import` asks of the supervisor, over a socket for the machine's own administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StickWish {
    /// Look at a folder and say what would happen.
    Look {
        /// Message version.
        v: V1,
        /// The folder.
        folder: String,
    },
    /// Do what was shown.
    Apply {
        /// Message version.
        v: V1,
        /// The folder.
        folder: String,
        /// [`StickPlan::digest`] of what was shown.
        digest: String,
    },
    /// How far is it?
    Progress {
        /// Message version.
        v: V1,
    },
}

/// What an import would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StickPlan {
    /// Digest over bundle and plan, hex: what [`StickWish::Apply`] confirms.
    pub digest: String,
    /// The bundle's number.
    pub number: u64,
    /// When it was made, unix seconds.
    pub at: i64,
    /// Parts of it that are not in the folder.
    pub missing_parts: Vec<u32>,
    /// One line for each thing that would happen.
    pub steps: Vec<String>,
    /// One line for each thing that has to wait, and for what.
    pub waiting: Vec<String>,
}

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// None was asked for since the start.
    #[default]
    None,
    /// It is under way.
    UnderWay,
    /// Done; the return is written.
    Done,
    /// It ended and not everything was done; the return says what is missing.
    Partly,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StickAnswer {
    /// To [`StickWish::Look`].
    Plan {
        /// The plan.
        plan: StickPlan,
    },
    /// To [`StickWish::Apply`] and [`StickWish::Progress`].
    Progress {
        /// Where it stands.
        state: ImportState,
        /// What is being done.
        doing: String,
        /// Where the return lies, once it is written.
        returned: Option<String>,
    },
    /// No.
    Refused {
        /// Why.
        report: RefusalReport,
    },
}

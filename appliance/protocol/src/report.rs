//! The running conversation: challenge, evidence's verdict, report of state, record checkpoints.
//!
//! Refuses to let the console command a step: it answers with a verdict and says that an assignment waits; what to do is
//! planned on the box from signed documents.

use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::binary::Base64;
use crate::health::ReleaseHealth;
use crate::status::{ModelState, VerdictWord};
use crate::version::V1;

/// The box asks for a nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Message version.
    pub v: V1,
}

/// A fresh challenge: single use, for the calling key only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Message version.
    pub v: V1,
    /// 32 random bytes.
    pub nonce: Base64,
    /// PCR indices of the SHA-256 bank that the quote must cover, ascending.
    pub pcrs: Vec<u8>,
    /// Unix seconds after which an answer is refused.
    pub expires: i64,
}

/// What the console made of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictAnswer {
    /// Message version.
    pub v: V1,
    /// The verdict.
    pub verdict: VerdictWord,
    /// Sentences that say why, the deciding policy's first.
    pub because: Vec<String>,
    /// Faults found, each with its code.
    pub refusals: Vec<RefusalReport>,
    /// A new client certificate (DER) over the box's TLS key, when the verdict allows one.
    pub certificate: Option<Base64>,
    /// The console's time over the box's nonce, DSSE envelope `application/vnd.freehold.time.v1+json` of `{v, nonce, at}`, by the director key.
    pub time: Option<Base64>,
    /// Counter of the assignment that waits for this box, if any.
    pub assignment: Option<u64>,
}

/// The box says how it is. Facts only; claims that matter for trust travel as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxReport {
    /// Message version.
    pub v: V1,
    /// Counts up with every report of one boot; a repeated or older one changes nothing.
    pub sequence: u64,
    /// Unix seconds by the box's clock.
    pub at: i64,
    /// Program version.
    pub version: String,
    /// Counter of the assignment that was last achieved.
    pub achieved: Option<u64>,
    /// Counter of the assignment in work.
    pub pursuing: Option<u64>,
    /// One sentence on what is being done or waited for, e.g. "fetching models/guide/1.0.0 41 %".
    pub doing: String,
    /// What the box refused, newest last, at most 32.
    pub refusals: Vec<RefusalReport>,
    /// Models on the box.
    pub models: Vec<ModelState>,
    /// Where applications reach the gateway, and its certificate's SPKI fingerprint (hex).
    pub gateway: Option<GatewayDoor>,
    /// The inventory as JSON (`freehold-inventory`'s document), sent when it changed.
    pub inventory: Option<serde_json::Value>,
    /// How the box is with each release that it has or tried lately, at most [`crate::health::HEALTH_LIMIT`]; a box of the
    /// version before says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<ReleaseHealth>,
}

/// Where applications reach a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayDoor {
    /// `https://ADDRESS:PORT`.
    pub url: String,
    /// SHA-256 of the gateway certificate's SPKI, hex.
    pub spki: String,
}

/// Answer to a report: when to come back, and API tokens that applications of this box may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportAnswer {
    /// Message version.
    pub v: V1,
    /// Seconds until the next report is wished for.
    pub next: u32,
    /// True when the console wants evidence before the next report.
    pub attest: bool,
    /// Counter of the assignment that waits, if newer than [`BoxReport::achieved`].
    pub assignment: Option<u64>,
    /// API tokens of this box's clients, hashed.
    pub tokens: Vec<ClientToken>,
}

/// An application's token: stored hashed, scoped to one box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientToken {
    /// Short public identifier, shown in the record.
    pub id: String,
    /// Who it was given to.
    pub name: String,
    /// SHA-256 of the token, hex.
    pub sha256: String,
    /// Models it may use by name; empty means every model of the box.
    pub models: Vec<String>,
    /// Unix seconds after which it is refused.
    pub expires: Option<i64>,
}

/// The name of a box's record: the origin line of its checkpoints and the name in their signatures.
#[must_use]
pub fn record_origin(box_id: &str) -> String {
    format!("freehold.box/{box_id}")
}

/// The box shows the head of its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCheckpoint {
    /// Message version.
    pub v: V1,
    /// The signed note (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// Size of the last checkpoint that this console cosigned.
    pub old_size: u64,
    /// RFC 6962 consistency proof from `old_size` to the checkpoint's size.
    pub proof: Vec<Base64>,
}

/// The console's cosignature line (C2SP tlog-cosignature), or the fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCosignature {
    /// Message version.
    pub v: V1,
    /// The signature line to append to the note.
    pub cosignature: String,
}

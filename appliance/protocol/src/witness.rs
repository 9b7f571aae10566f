//! Boxes as witnesses: each cosigns heads of the console's record and of other boxes' records. Boxes never talk to each other, so
//! heads and cosignatures travel through the console.
//!
//! Refuses to be a list without end. Invariant: nothing here is believed by itself: a head carries its signature and its proof, a
//! cosignature line is checked by whoever reads it.

use serde::{Deserialize, Serialize};

use crate::binary::Base64;
use crate::version::V1;

/// Most records that one box witnesses: the console's and some of other boxes.
pub const WITNESSED: usize = 8;

/// What a witness remembers of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenRecord {
    /// The record's name.
    pub origin: String,
    /// Entries that it had.
    pub size: u64,
}

/// A cosignature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessLine {
    /// The record's name.
    pub origin: String,
    /// The size of the head that was cosigned.
    pub size: u64,
    /// The signature line (C2SP tlog-cosignature).
    pub line: String,
}

/// The box says what it has seen and cosigned, and asks for more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessAsk {
    /// Message version.
    pub v: V1,
    /// What it remembers, at most [`WITNESSED`].
    pub seen: Vec<SeenRecord>,
    /// Cosignatures since it asked last, at most [`WITNESSED`].
    pub lines: Vec<WitnessLine>,
}

/// A head that a witness may cosign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadOffer {
    /// The record's name.
    pub origin: String,
    /// Its key (`name+hash+base64`), pinned by the witness when it sees the record first.
    pub key: String,
    /// The signed head.
    pub checkpoint: String,
    /// The size that the proof begins at.
    pub old_size: u64,
    /// RFC 6962 consistency proof from there to the head.
    pub proof: Vec<Base64>,
}

/// Heads to cosign, and cosignatures of other boxes on this box's own heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessOffers {
    /// Message version.
    pub v: V1,
    /// Heads, at most [`WITNESSED`].
    pub offers: Vec<HeadOffer>,
    /// The newest head of this box that others cosigned, as a note with their lines.
    pub yours: Option<String>,
}

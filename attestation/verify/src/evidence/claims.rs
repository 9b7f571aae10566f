//! The facts of accepted evidence, for the policy and for people.
//!
//! Refuses to assume: each claim starts as "not shown" and changes only where evidence shows it. Invariant: `boot` is
//! simulated or measured only when every PCR that the manifest covers matches and the log replays to the quote.

use std::collections::BTreeSet;

use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::codec::Checkpoint;
use crate::boot::PcrOutcome;
use crate::event_log::FirmwareNote;
use crate::identity::TpmKind;
use crate::milestone::Milestone;
use crate::quote::ClockStep;
use crate::rejection::RefusalReport;
use crate::tpm::ClockInfo;

/// A fact that evidence may or may not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// It is shown to be so.
    Yes,
    /// It is shown not to be so.
    No,
    /// Nothing shows it.
    #[default]
    NotShown,
}

/// What the evidence shows about the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootShown {
    /// A boot log that this project's generator made, replayed into the TPM: it matches, and proves no firmware.
    Simulated,
    /// Firmware, boot loader and kernel as measured; it matches the manifest.
    Measured,
    /// Nothing shows what was booted; the reasons say why.
    #[default]
    NotShown,
}

/// One quoted PCR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcrClaim {
    /// Its index.
    pub index: u8,
    /// Its quoted value, SHA-256 bank.
    pub value: Sha256Digest,
    /// How it compares with the manifest.
    pub outcome: PcrOutcome,
}

/// What a verdict can rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Version of this structure.
    pub v: u8,
    /// The box.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Software, hardware, or nobody knows: from its enrolment.
    pub tpm: TpmKind,
    /// What is shown about the boot.
    pub boot: BootShown,
    /// Name of the OS release whose manifest matches.
    pub release: Option<String>,
    /// Version of that release.
    pub version: Option<String>,
    /// Whether Secure Boot was on.
    pub secure_boot: Shown,
    /// Whether development signing keys were used.
    pub development_keys: Shown,
    /// Each quoted PCR.
    pub pcrs: Vec<PcrClaim>,
    /// Why the boot is not shown; empty when it is.
    pub reasons: Vec<RefusalReport>,
    /// Digests of the running models.
    pub models: Vec<Sha256Digest>,
    /// Version of the supervisor.
    pub supervisor: String,
    /// Where the box's record stands.
    pub checkpoint: Option<Checkpoint>,
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls: Sha256Digest,
    /// Clock of the quote: to be remembered for the next one.
    pub clock: ClockInfo,
    /// What happened since the last quote.
    pub step: ClockStep,
    /// The TPM's firmware is another than in the last quote.
    pub firmware_changed: bool,
    /// What firmware says about itself that a person should know.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub firmware_notes: BTreeSet<FirmwareNote>,
    /// What user space says it measured and the quote does not cover: nobody's word, for people to see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<String>,
    /// What the data volume was measured as, where the box measures one: to be pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Sha256Digest>,
    /// What the box reached before the quote: settings, policy, engines, models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<Milestone>,
}

//! How a box booted, PCR by PCR and event by event.
//!
//! Refuses to call a PCR good that was not asked. Invariant: expected and found always stand beside each other.

use serde::{Deserialize, Serialize};

/// The measured boot of one box at its last proof.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Boot {
    /// Which manifest it was compared with, for example `os 1.4.2 on Dell R760`; empty when with none.
    pub manifest: String,
    /// SHA-256 of the manifest, hex.
    pub manifest_digest: String,
    /// When the box booted, unix seconds, when it says so.
    pub booted: Option<i64>,
    /// The TPM's reset count: how often it was powered up.
    pub reset_count: Option<u32>,
    /// The TPM's restart count.
    pub restart_count: Option<u32>,
    /// Format of the log: `TCG PC Client` or `CEL`.
    pub log_format: String,
    /// Whether the replayed log gives the quoted PCRs.
    pub log_agrees: Agreement,
    /// The PCRs of the SHA-256 bank, ascending.
    pub pcrs: Vec<Pcr>,
    /// The events, in order; the handler may leave out those that are as expected beyond 200 and say so in `events_left_out`.
    pub events: Vec<BootEvent>,
    /// How many events as expected were left out.
    pub events_left_out: u32,
}

impl Boot {
    pub(crate) fn event_count(&self) -> u64 {
        self.events.len() as u64 + u64::from(self.events_left_out)
    }

    pub(crate) fn differing(&self) -> usize {
        self.events.iter().filter(|event| event.agreement.is_fault()).count()
    }

    pub(crate) const fn log_word(&self) -> &'static str {
        match self.log_agrees {
            Agreement::Same => "gives",
            Agreement::Differs | Agreement::Missing | Agreement::Extra => "does not give",
            Agreement::NotAsked | Agreement::CouldNotTell => "could not be compared with",
        }
    }
}

/// One PCR of the SHA-256 bank.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pcr {
    /// Its index.
    pub index: u8,
    /// What the manifest allows, hex; empty when it asks nothing.
    pub expected: String,
    /// What was quoted, hex; empty when it was not quoted.
    pub found: String,
    /// How they compare.
    pub agreement: Agreement,
    /// The fault in one line when they differ, for example "event 23, variable `db`: 1 certificate added".
    pub fault: String,
}

impl Pcr {
    /// What firmware and boot loader measure there (TCG PC Client Platform Firmware Profile 1.06, section 3.3.4; UAPI Group,
    /// "Linux TPM PCR Registry", for 11 to 15).
    #[must_use]
    pub const fn covers(&self) -> &'static str {
        match self.index {
            0 => "firmware code",
            1 => "firmware settings",
            2 => "code of extension cards",
            3 => "settings of extension cards",
            4 => "boot loader and what it starts",
            5 => "boot loader settings, partition table",
            6 => "the vendor's own",
            7 => "Secure Boot: state, keys, who signed",
            8 | 9 => "boot loader's command line and files",
            10 => "files the kernel measured",
            11 => "kernel image and boot phase",
            12 => "command line and credentials from outside",
            13 => "system extensions",
            14 => "shim's keys",
            15 => "volume key, machine id",
            16 => "debugging",
            23 => "applications",
            _ => "reserved",
        }
    }
}

/// One event of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BootEvent {
    /// Its number in the log, from 0.
    pub number: u32,
    /// The PCR it extends.
    pub pcr: u8,
    /// Its type, for example `EV_EFI_VARIABLE_DRIVER_CONFIG`; from outside.
    pub kind: String,
    /// What it says, one line; from outside.
    pub says: String,
    /// Its SHA-256 digest, hex.
    pub digest: String,
    /// How it compares with the manifest.
    pub agreement: Agreement,
    /// What the manifest expects, when it differs.
    pub expected: Option<String>,
    /// What was found, when it differs.
    pub found: Option<String>,
}

/// How a measured value compares with the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The manifest or policy asks nothing of it.
    #[default]
    NotAsked,
    /// As expected.
    Same,
    /// Not as expected.
    Differs,
    /// Expected and not there.
    Missing,
    /// There and not expected.
    Extra,
    /// The console could not tell.
    CouldNotTell,
}

impl Agreement {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotAsked => "not asked",
            Self::Same => "as expected",
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Extra => "not expected",
            Self::CouldNotTell => "could not tell",
        }
    }

    /// The shape beside the word.
    #[must_use]
    pub const fn shape(self) -> &'static str {
        match self {
            Self::NotAsked => "·",
            Self::Same => "●",
            Self::Differs | Self::Missing | Self::Extra => "■",
            Self::CouldNotTell => "○",
        }
    }

    /// True for a fault.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Differs | Self::Missing | Self::Extra)
    }

    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::NotAsked => "unknown",
            Self::Same => "trusted",
            Self::Differs | Self::Missing | Self::Extra => "refused",
            Self::CouldNotTell => "unknown",
        }
    }
}

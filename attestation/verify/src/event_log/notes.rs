//! What firmware says about itself that a person should know: debugging, DMA, foreign code before the boot loader.
//!
//! Refuses to go by an event's type, which no digest covers: a note is found by the digest of its words, so that it cannot be
//! hidden under another type. Invariant: nothing here makes a boot better; a note only adds a doubt.
//! Source: TCG PC Client Platform Firmware Profile 1.06, 3.3.4.8 (PCR 7) and 10.4.4 (action strings).

use std::collections::BTreeSet;

use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::efi::{CERT_SHA256, SECURITY_DATABASE, Variable, parse_signature_lists};
use super::event::DataCheck;
use super::kind::EventKind;
use super::parse::EventLog;

/// Something that firmware says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirmwareNote {
    /// It runs in a mode for debugging.
    DebugMode,
    /// Devices may write to memory during boot.
    DmaProtectionOff,
    /// Code that came with a device was let run before the boot loader.
    OptionRom,
}

impl FirmwareNote {
    /// The word of policies.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DebugMode => "debug_mode",
            Self::DmaProtectionOff => "dma_protection_off",
            Self::OptionRom => "option_rom",
        }
    }
}

/// The words as firmware measures them, in PCR 7.
const WORDS: [(&[u8], FirmwareNote); 2] = [
    (b"UEFI Debug Mode", FirmwareNote::DebugMode),
    (b"DMA Protection Disabled", FirmwareNote::DmaProtectionOff),
];

impl EventLog<'_> {
    /// What firmware says about itself in PCR 7.
    #[must_use]
    pub fn firmware_notes(&self) -> BTreeSet<FirmwareNote> {
        let mut notes = BTreeSet::new();
        let mut separated = false;
        for event in self.events().iter().filter(|event| event.pcr == 7 && event.extends()) {
            for (words, note) in WORDS {
                // With and without the NUL that some firmware counts in.
                if event.is_digest_of(words) || event.is_digest_of(&[words, b"\0"].concat()) {
                    notes.insert(note);
                }
            }
            separated |= event.kind == EventKind::SEPARATOR;
            if event.kind == EventKind::EFI_VARIABLE_AUTHORITY && !separated {
                notes.insert(FirmwareNote::OptionRom);
            }
        }
        notes
    }

    /// The hashes that the measured list of forbidden programs (`dbx`) names. Only what a digest covers counts.
    #[must_use]
    pub fn forbidden(&self) -> BTreeSet<Sha256Digest> {
        let mut forbidden = BTreeSet::new();
        let covered = self
            .events()
            .iter()
            .filter(|event| event.pcr == 7 && event.extends() && event.check_data() == DataCheck::Matches);
        for event in covered {
            let Ok(variable) = Variable::parse(event.data) else {
                continue;
            };
            if !variable.is_named("dbx") || variable.vendor != &SECURITY_DATABASE {
                continue;
            }
            let listed = parse_signature_lists(variable.data).unwrap_or_default();
            forbidden.extend(
                listed
                    .iter()
                    .filter(|signature| signature.kind == &CERT_SHA256)
                    .filter_map(|signature| Sha256Digest::from_slice(signature.data)),
            );
        }
        forbidden
    }
}

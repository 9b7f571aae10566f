//! Prediction of PCR 11: what systemd-stub and systemd-pcrphase measure of a unified kernel image.
//!
//! Refuses sections that the stub does not measure. Invariant: equal to `systemd-measure calculate` of systemd 257 for
//! every set of sections and every phase path. Source: systemd-stub(7), systemd-pcrphase.service(8).

use freehold_trust::Sha256Digest;
use freehold_trust::digest::{Sha256Hasher, sha256};

use super::manifest::extend;

/// The sections that the stub of systemd 257 measures, in the order in which it does.
pub const SECTIONS: [&str; 13] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey", ".profile",
    ".dtbauto", ".hwids",
];
/// The boot phases of a box, in order.
pub const PHASES: [&str; 4] = ["enter-initrd", "leave-initrd", "sysinit", "ready"];

/// One section of a unified kernel image, by the digest of its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name, one of [`SECTIONS`].
    pub name: String,
    /// SHA-256 of its contents.
    pub digest: Sha256Digest,
}

impl Section {
    /// A section from its contents.
    #[must_use]
    pub fn of(name: &str, contents: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            digest: sha256(contents),
        }
    }
}

/// One measurement into PCR 11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// The digest that is extended.
    pub digest: Sha256Digest,
    /// What it is, for people.
    pub description: String,
    /// What systemd writes into the log beside it: the section's name, or the phase's word.
    pub word: String,
}

/// The measurements of `sections` (in the stub's order, whatever the order given), then of `phases` as given.
#[must_use]
pub fn measurements(sections: &[Section], phases: &[&str]) -> Vec<Measurement> {
    let mut out = Vec::new();
    for name in SECTIONS {
        for section in sections.iter().filter(|section| section.name == name) {
            let mut named = Sha256Hasher::new();
            named.update(name.as_bytes());
            named.update(&[0]);
            let word = name.to_owned();
            out.push(Measurement {
                digest: named.finish(),
                description: format!("section name {name}"),
                word: word.clone(),
            });
            out.push(Measurement {
                digest: section.digest,
                description: format!("section {name}"),
                word,
            });
        }
    }
    for phase in phases {
        let description = format!("boot phase {phase}");
        out.push(Measurement {
            digest: sha256(phase.as_bytes()),
            description,
            word: (*phase).to_owned(),
        });
    }
    out
}

/// The value of PCR 11 after these sections and phases.
#[must_use]
pub fn predict(sections: &[Section], phases: &[&str]) -> Sha256Digest {
    let start = Sha256Digest::default();
    measurements(sections, phases)
        .iter()
        .fold(start, |value, m| extend(&value, m.digest.as_bytes()))
}

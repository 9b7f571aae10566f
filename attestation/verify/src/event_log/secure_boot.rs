//! Whether Secure Boot was on, from PCR 7 alone, believing nothing that a digest does not cover.
//!
//! Refuses a PCR 7 in which some event before the separator is not covered, repeated, or of a kind that does not belong
//! there: then a forged copy could stand beside a relabelled original. Invariant: the answer is worth as much as the
//! replay of PCR 7, no more.

use freehold_trust::HashAlgorithm;

use super::efi::{GLOBAL_VARIABLE, Variable};
use super::event::{DataCheck, Event};
use super::kind::EventKind;
use super::parse::EventLog;
use super::rejection::LogRejection;
use crate::tpm::algorithm;

/// The state of Secure Boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecureBoot {
    /// On, with keys enrolled and an authority used.
    On,
    /// Off.
    Off,
}

impl EventLog<'_> {
    /// Reads the state of Secure Boot. Means something only after PCR 7 was compared with a quote.
    ///
    /// # Errors
    /// [`LogRejection::Separator`] and [`LogRejection::SecureBoot`].
    pub fn secure_boot(&self) -> Result<SecureBoot, LogRejection> {
        let refused = |why| LogRejection::SecureBoot { why };
        self.check_separator(7)?;
        let mut state = None;
        let mut keys = [false; 3];
        let mut authority = false;
        let mut separated = false;
        for event in self.events().iter().filter(|e| e.pcr == 7 && e.extends()) {
            if event.kind == EventKind::SEPARATOR {
                separated = true;
                continue;
            }
            if event.check_data() != DataCheck::Matches {
                return Err(refused("an event of PCR 7 is not covered by its digest"));
            }
            match (event.kind, separated) {
                (EventKind::EFI_VARIABLE_AUTHORITY, _) => authority = true,
                (EventKind::EFI_ACTION, _) => {}
                (EventKind::EFI_VARIABLE_DRIVER_CONFIG, _) => {
                    let variable = Variable::parse(event.data)?;
                    if variable.is_named("SecureBoot") && variable.vendor == &GLOBAL_VARIABLE {
                        if separated || state.is_some() {
                            return Err(refused("the variable SecureBoot is measured twice or too late"));
                        }
                        state = Some(match variable.data {
                            [0] => SecureBoot::Off,
                            [1] => SecureBoot::On,
                            _ => return Err(refused("the variable SecureBoot is neither 0 nor 1")),
                        });
                    }
                    for (seen, name) in keys.iter_mut().zip(["PK", "KEK", "db"]) {
                        *seen |= !separated && variable.is_named(name) && !variable.data.is_empty();
                    }
                }
                (_, false) => return Err(refused("an event of a kind that does not belong into PCR 7")),
                (_, true) => {}
            }
        }
        match state {
            None => Err(refused("the variable SecureBoot is not measured")),
            Some(SecureBoot::On) if keys != [true; 3] => Err(refused("it says on, and PK, KEK or db is empty")),
            Some(SecureBoot::On) if !authority => Err(refused("it says on, and no authority let anything start")),
            Some(state) => Ok(state),
        }
    }

    /// Checks that a PCR has exactly one separator, of zeros, under its own type.
    ///
    /// # Errors
    /// [`LogRejection::Separator`].
    pub fn check_separator(&self, pcr: u8) -> Result<(), LogRejection> {
        let refused = |found| Err(LogRejection::Separator { pcr, found });
        let mut seen = 0;
        for event in self.events().iter().filter(|e| e.pcr == pcr && e.extends()) {
            // The digests of the three contents that a separator may have; each computed from its own fresh hash.
            let [zeros, ones, error] = [[0_u8; 4], [0xff; 4], [1, 0, 0, 0]].map(|content| has_digest(event, &content));
            match (event.kind == EventKind::SEPARATOR, zeros, ones || error) {
                (true, true, _) if event.data == [0; 4] => seen += 1,
                (true, _, true) => return refused("one that reports a firmware error"),
                (true, _, _) => return refused("one with other contents"),
                (false, true, _) | (false, _, true) => return refused("one under another type"),
                (false, false, false) => {}
            }
        }
        match seen {
            1 => Ok(()),
            0 => refused("missing"),
            _ => refused("repeated"),
        }
    }
}

fn has_digest(event: &Event<'_>, content: &[u8; 4]) -> bool {
    [HashAlgorithm::Sha256, HashAlgorithm::Sha1]
        .iter()
        .find_map(|hash| {
            event
                .digest(algorithm::hash_id(*hash))
                .map(|digest| hash.hash(content) == digest)
        })
        .unwrap_or(false)
}

//! A replayed log and quoted PCRs against a manifest.
//!
//! Refuses to stop at the first fault: each PCR gets its own outcome. Invariant: an appraisal without reasons means that
//! every rule of the manifest holds for the quoted values and that the log leads to each of them.

use freehold_trust::Sha256Digest;

use super::difference::{BootRejection, PcrOutcome};
use super::manifest::{ExpectedEvent, Manifest, PcrRule};
use crate::event_log::canonical::CanonicalLog;
use crate::event_log::{DataCheck, Event, EventLog, SecureBoot};
use crate::evidence::claims::{PcrClaim, Shown};
use crate::quote::PcrValues;

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appraisal {
    /// Each quoted PCR.
    pub pcrs: Vec<PcrClaim>,
    /// Every difference; empty when the boot is what the manifest says.
    pub reasons: Vec<BootRejection>,
    /// Whether Secure Boot is shown to be on, or off.
    pub secure_boot: Shown,
}

/// Compares. The log must have a SHA-256 bank; without one, every PCR that was extended is a log mismatch. `runtime` is what user
/// space measured afterwards, as far as the quote covers it.
#[must_use]
pub fn appraise(log: &EventLog<'_>, runtime: &CanonicalLog, quoted: &PcrValues, manifest: &Manifest) -> Appraisal {
    let replayed = runtime.replay_covered(log.replay_sha256(), quoted);
    let mut pcrs = Vec::with_capacity(quoted.iter().count());
    let mut reasons = Vec::new();
    for (index, value) in quoted.iter() {
        let from_log = replayed.get(usize::from(index)).copied().unwrap_or_default();
        let rule = manifest.pcrs.get(&index);
        let differs = rule.and_then(|rule| compare(log, index, value, rule, &manifest.phase));
        // A PCR that differs names the event that differs; a log that does not lead to the quote has no event to name.
        let mismatch = (from_log != value).then_some(BootRejection::LogMismatch {
            pcr: index,
            expected: from_log,
            found: value,
        });
        let fault = match (differs, mismatch) {
            (
                Some(
                    event @ (BootRejection::Event { .. }
                    | BootRejection::EventMissing { .. }
                    | BootRejection::EventExtra { .. }),
                ),
                mismatch,
            ) => {
                reasons.extend(mismatch);
                Some(event)
            }
            (_, Some(mismatch)) => Some(mismatch),
            (other, None) => other,
        };
        let outcome = match (&fault, rule) {
            (Some(fault), _) => PcrOutcome::Differs(fault.difference()),
            (None, Some(_)) => PcrOutcome::Matches,
            (None, None) => PcrOutcome::NotCovered,
        };
        reasons.extend(fault);
        pcrs.push(PcrClaim { index, value, outcome });
    }
    let missing = manifest.pcrs.keys().filter(|index| quoted.get(**index).is_none());
    reasons.extend(missing.map(|index| BootRejection::NotQuoted { pcr: *index }));
    reasons.extend(false_data(log));
    reasons.extend(forbidden(log, manifest));
    let secure_boot = secure_boot(log, &pcrs, manifest, &mut reasons);
    Appraisal {
        pcrs,
        reasons,
        secure_boot,
    }
}

/// The first difference between a PCR's events (or value) and its rule.
fn compare(log: &EventLog<'_>, pcr: u8, quoted: Sha256Digest, rule: &PcrRule, phase: &str) -> Option<BootRejection> {
    match rule {
        // Equal events and a log that leads to the quote make an equal value; the caller compares log and quote.
        PcrRule::Events(expected) => compare_events(log, pcr, expected),
        PcrRule::Value(value) => (*value != quoted).then_some(BootRejection::Value {
            pcr,
            expected: *value,
            found: quoted,
        }),
        PcrRule::Phases(values) => {
            let expected = values.iter().find(|v| v.phase == phase)?.value;
            if expected == quoted {
                return None;
            }
            Some(match values.iter().find(|v| v.value == quoted) {
                Some(other) => BootRejection::Phase {
                    pcr,
                    expected_phase: phase.to_owned(),
                    found_phase: other.phase.clone(),
                    expected,
                    found: quoted,
                },
                None => BootRejection::Value {
                    pcr,
                    expected,
                    found: quoted,
                },
            })
        }
    }
}

fn compare_events(log: &EventLog<'_>, pcr: u8, expected: &[ExpectedEvent]) -> Option<BootRejection> {
    let mut expected = expected.iter();
    for event in log.events().iter().filter(|e| e.pcr == pcr && e.extends()) {
        let found = event
            .sha256()
            .map(|digest| Sha256Digest::from_bytes(*digest))
            .unwrap_or_default();
        let Some(wanted) = expected.next() else {
            let (kind, description) = (event.kind.to_string(), event.describe());
            return Some(BootRejection::EventExtra {
                pcr,
                event: event.index,
                kind,
                description,
                found,
            });
        };
        if wanted.digest != found {
            return Some(BootRejection::Event {
                pcr,
                event: event.index,
                kind: event.kind.to_string(),
                description: name_of(event, wanted),
                expected: wanted.digest,
                found,
            });
        }
    }
    let wanted = expected.next()?;
    Some(BootRejection::EventMissing {
        pcr,
        kind: wanted.kind.clone(),
        description: wanted.description.clone(),
        expected: wanted.digest,
    })
}

/// What the manifest calls the event, unless the log's own data is covered by its digest and says otherwise.
fn name_of(event: &Event<'_>, wanted: &ExpectedEvent) -> String {
    match event.check_data() {
        DataCheck::Matches => event.describe(),
        DataCheck::Differs | DataCheck::NotCovered => wanted.description.clone(),
    }
}

/// Events whose digest must be that of their data and is not: somebody edited what people read.
fn false_data<'a>(log: &'a EventLog<'_>) -> impl Iterator<Item = BootRejection> + 'a {
    log.events()
        .iter()
        .filter(|e| e.check_data() == DataCheck::Differs)
        .map(|e| BootRejection::EventData {
            pcr: e.pcr,
            event: e.index,
            kind: e.kind.to_string(),
            description: e.describe(),
        })
}

/// Programs that were started though the machine's own list forbids them, whatever type their events have; and a list that lacks
/// what the release demands.
fn forbidden(log: &EventLog<'_>, manifest: &Manifest) -> Vec<BootRejection> {
    let listed = log.forbidden();
    let mut reasons = Vec::new();
    for event in log.events().iter().filter(|e| matches!(e.pcr, 2 | 4) && e.extends()) {
        let Some(found) = event.sha256().map(|digest| Sha256Digest::from_bytes(*digest)) else {
            continue;
        };
        if listed.contains(&found) {
            reasons.push(BootRejection::Forbidden {
                pcr: event.pcr,
                event: event.index,
                kind: event.kind.to_string(),
                description: event.describe(),
                found,
            });
        }
    }
    let missing: Vec<&Sha256Digest> = manifest
        .forbidden
        .iter()
        .filter(|hash| !listed.contains(hash))
        .collect();
    if let Some(first) = missing.first() {
        reasons.push(BootRejection::ForbiddenList {
            missing: missing.len(),
            expected: **first,
        });
    }
    reasons
}

fn secure_boot(log: &EventLog<'_>, pcrs: &[PcrClaim], manifest: &Manifest, reasons: &mut Vec<BootRejection>) -> Shown {
    let seven = pcrs.iter().find(|claim| claim.index == 7).map(|claim| &claim.outcome);
    let (shown, why) = match seven {
        Some(PcrOutcome::Matches) if manifest.secure_boot => return Shown::Yes,
        Some(PcrOutcome::Matches | PcrOutcome::NotCovered) => match log.secure_boot() {
            Ok(SecureBoot::On) => return Shown::Yes,
            Ok(SecureBoot::Off) => (Shown::No, "the log shows it off".to_owned()),
            Err(rejection) => (Shown::NotShown, rejection.to_string()),
        },
        // The events are named as reasons already; a verified SecureBoot variable still tells on from off.
        Some(PcrOutcome::Differs(difference)) => {
            let off = difference.code != "boot.log_mismatch" && log.secure_boot() == Ok(SecureBoot::Off);
            (
                if off { Shown::No } else { Shown::NotShown },
                "PCR 7 differs".to_owned(),
            )
        }
        None => (Shown::NotShown, "PCR 7 was not quoted".to_owned()),
    };
    if manifest.secure_boot {
        reasons.push(BootRejection::SecureBoot { why });
    }
    shown
}

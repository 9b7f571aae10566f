//! Evidence in, claims out: the one function that a console, an auditor and a test call.
//!
//! Refuses to read a clock or to remember: time, challenge and last clock are arguments. Invariant: a
//! `Verified<Claims>` is about the box, the challenge and the TLS session that the caller named.

use std::collections::BTreeSet;

use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;

use super::challenge::Challenge;
use super::claims::{BootShown, Claims, PcrClaim, Shown};
use super::codec::{Bound, decode};
use super::rejection::EvidenceRejection;
use crate::boot::{self, Appraisal, BootRejection, Manifest, PcrOutcome};
use crate::event_log::EventLog;
use crate::event_log::canonical::CanonicalLog;
use crate::identity::{AttestationKey, TpmKind};
use crate::milestone::{self, Milestones};
use crate::quote::{Quote, QuoteExpectation, verify_quote};
use crate::rejection::Refusal as _;
use crate::tpm::{ClockInfo, PcrSet};
use crate::verified::Verified;

/// What the evidence must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The box that was asked.
    pub box_id: &'a str,
    /// The challenge that it was given.
    pub challenge: &'a Challenge,
    /// Its enrolled attestation key.
    pub ak: &'a AttestationKey,
    /// What its TPM is, from its enrolment.
    pub tpm: TpmKind,
    /// SHA-256 of the SubjectPublicKeyInfo of the TLS session's client key, which must be the enrolled one.
    pub tls: Sha256Digest,
    /// The PCRs that policy requires.
    pub selection: PcrSet,
    /// Manifests of the OS releases that may be booted.
    pub manifests: &'a [Manifest],
    /// Clock of the last accepted quote of this box.
    pub previous: Option<ClockInfo>,
    /// What its data volume was measured as in the last accepted quote: a swapped volume is another box.
    pub volume: Option<Sha256Digest>,
}

/// Verifies evidence at `now` (unix seconds).
///
/// # Errors
/// [`EvidenceRejection`] for faults of form, box, challenge, TLS key, binding and quote. What the boot log shows is in the
/// claims.
pub fn verify_evidence(
    bytes: &[u8],
    expectation: &Expectation<'_>,
    now: i64,
) -> Result<Verified<Claims>, EvidenceRejection> {
    let (bound, parts) = decode(bytes)?;
    if bound.box_id != expectation.box_id {
        return Err(EvidenceRejection::OtherBox {
            expected: expectation.box_id.to_owned(),
            found: bound.box_id,
        });
    }
    expectation.challenge.check(&bound.nonce, now)?;
    if bound.tls != expectation.tls {
        return Err(EvidenceRejection::Tls {
            expected: expectation.tls,
            found: bound.tls,
        });
    }
    let wanted = QuoteExpectation {
        ak: expectation.ak,
        qualifying_data: parts.qualifying_data.as_bytes(),
        selection: expectation.selection,
        previous: expectation.previous,
    };
    let quote = verify_quote(parts.attest, parts.signature, &parts.pcrs, &wanted)?.into_inner();
    let log_digest = sha256(parts.boot_log);
    if log_digest != bound.boot.log {
        return Err(EvidenceRejection::LogDigest {
            expected: bound.boot.log,
            found: log_digest,
        });
    }
    let logs = (parts.boot_log, parts.runtime_log);
    Ok(Verified::seal(claims(bound, &quote, logs, expectation)))
}

fn claims(bound: Bound, quote: &Quote, logs: (&[u8], &[u8]), expectation: &Expectation<'_>) -> Claims {
    let (boot_log, runtime_log) = logs;
    let mut claims = Claims {
        v: 1,
        box_id: bound.box_id,
        tpm: expectation.tpm,
        boot: BootShown::NotShown,
        release: None,
        version: None,
        secure_boot: Shown::NotShown,
        development_keys: Shown::NotShown,
        pcrs: Vec::new(),
        reasons: Vec::new(),
        models: bound.models,
        supervisor: bound.supervisor,
        checkpoint: bound.checkpoint,
        tls: bound.tls,
        clock: quote.clock,
        step: quote.step,
        firmware_changed: quote.firmware_changed,
        firmware_notes: BTreeSet::new(),
        not_covered: Vec::new(),
        volume: None,
        milestones: Vec::new(),
    };
    let uncovered = || {
        let claim = |(index, value)| PcrClaim {
            index,
            value,
            outcome: PcrOutcome::NotCovered,
        };
        quote.pcrs.iter().map(claim).collect()
    };
    let log = match EventLog::parse(boot_log) {
        Ok(log) => log,
        Err(rejection) => {
            claims.pcrs = uncovered();
            claims.reasons.push(rejection.report());
            return claims;
        }
    };
    let runtime = match CanonicalLog::parse(runtime_log) {
        Ok(runtime) => runtime,
        Err(rejection) => {
            claims.pcrs = uncovered();
            claims.reasons.push(rejection.report());
            return claims;
        }
    };
    claims.firmware_notes = log.firmware_notes();
    let named = |m: &&Manifest| m.release == bound.boot.release && m.version == bound.boot.version;
    let Some(manifest) = expectation.manifests.iter().find(named) else {
        let unknown = BootRejection::UnknownRelease {
            release: bound.boot.release,
            version: bound.boot.version,
        };
        claims.pcrs = uncovered();
        claims.reasons.push(unknown.report());
        return claims;
    };
    let Appraisal {
        pcrs,
        reasons,
        secure_boot,
    } = boot::appraise(&log, &runtime, &quote.pcrs, manifest);
    claims.not_covered = runtime.not_covered(&log.replay_sha256(), &quote.pcrs);
    claims.pcrs = pcrs;
    claims.secure_boot = secure_boot;
    claims.reasons = reasons.iter().map(crate::rejection::Refusal::report).collect();
    let started = &log.replay_sha256();
    match Milestones::read(&runtime, started, &quote.pcrs) {
        Ok(milestones) => {
            // A log that does not lead to the quote is the reason already; what follows from it is none of its own.
            if claims.reasons.is_empty() {
                let measures = !manifest.simulated && quote.pcrs.get(milestone::PCR).is_some();
                let faults = [
                    milestones.on_volume(expectation.volume).err(),
                    milestones.names_models(&claims.models).err().filter(|_| measures),
                ];
                let faults = faults.into_iter().flatten();
                claims.reasons.extend(faults.map(|fault| fault.report()));
            }
            claims.volume = milestones.volume;
            claims.milestones = milestones.reached;
        }
        Err(rejection) => claims.reasons.push(rejection.report()),
    }
    if claims.reasons.is_empty() {
        claims.boot = if manifest.simulated {
            BootShown::Simulated
        } else {
            BootShown::Measured
        };
        claims.release = Some(manifest.release.clone());
        claims.version = Some(manifest.version.clone());
        claims.development_keys = if manifest.development_keys {
            Shown::Yes
        } else {
            Shown::No
        };
    }
    claims
}

//! A verdict reached again from an evidence package, by nobody's word but the package's keys.
//!
//! Refuses to repeat the exporter's verdict: it verifies and decides by itself, with the shipped policies. Invariant: the same
//! package, time and rules give the same verdict anywhere.

use freehold_decide::{BundleData, EvidenceDecision, EvidenceFacts, OsStanding, PolicySet, RecordStanding};
use freehold_record::{EntryView, RecordRejected, TlogProof, VerifierKey};
use freehold_trust::sha256;
use freehold_verify::evidence::{Claims, EvidencePackage, Expectation, Inclusion, verify_evidence};
use freehold_verify::identity::AttestationKey;
use freehold_verify::tpm::PcrSet;
use freehold_verify::{Refusal as _, RefusalReport, Verified};

use crate::rejection::AuditRejection;

/// How old evidence may be when it is judged as of then, seconds: the challenge's own time is shorter.
const AGE_LIMIT: i64 = 600;

/// Whether a simulated TPM or boot may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simulated {
    /// It may, and the verdict says so.
    Accepted,
    /// It may not.
    Refused,
}

/// A verdict and what it rests on.
#[derive(Debug)]
pub struct Judged {
    /// What the evidence shows.
    pub claims: Verified<Claims>,
    /// What the policies make of it.
    pub decision: EvidenceDecision,
}

/// The policies that judge: those shipped with this version.
///
/// # Errors
/// When they cannot be used, which a test excludes.
pub fn policies() -> Result<PolicySet, AuditRejection> {
    PolicySet::shipped(BundleData::default()).map_err(AuditRejection::Policies)
}

/// Judges `package` as of `at`.
///
/// # Errors
/// The verifier's refusal: the evidence is not about this box, key, challenge or boot.
pub fn judge(
    package: &EvidencePackage,
    ak: &AttestationKey,
    at: i64,
    simulated: Simulated,
    policies: &PolicySet,
) -> Result<Judged, RefusalReport> {
    let expectation = Expectation {
        box_id: &package.box_id,
        challenge: &package.challenge,
        ak,
        tpm: package.tpm,
        tls: package.tls,
        selection: PcrSet::of(&package.pcrs),
        manifests: &package.manifests,
        previous: package.previous,
        volume: package.volume,
    };
    let claims = verify_evidence(&package.evidence, &expectation, at).map_err(|rejection| rejection.report())?;
    let facts = EvidenceFacts {
        // Where its record and its release stand today is not in a package; what was accepted then is.
        record: if claims.checkpoint.is_some() {
            RecordStanding::First
        } else {
            RecordStanding::NotShown
        },
        os_release: if claims.release.is_some() {
            OsStanding::Current
        } else {
            OsStanding::NotKnown
        },
        age_seconds: at.saturating_sub(package.challenge.issued),
        age_limit_seconds: AGE_LIMIT,
        ..EvidenceFacts::accepted(&claims, simulated == Simulated::Accepted)
    };
    let decision = policies.accept_evidence(&facts);
    Ok(Judged { claims, decision })
}

/// The entry by which an exporter's record says that it reached a verdict about this very evidence. `key` is the record's key
/// as the caller knows it; without one the package's own word is taken for it.
///
/// # Errors
/// The record's refusals; `report.inclusion` when the entry speaks of other evidence or another box.
pub fn check_inclusion(
    package: &EvidencePackage,
    inclusion: &Inclusion,
    key: Option<&VerifierKey>,
) -> Result<(u64, EntryView), AuditRejection> {
    let own = match key {
        Some(key) => key.clone(),
        None => VerifierKey::parse(&inclusion.key)?,
    };
    let proof = TlogProof::parse(inclusion.proof.as_bytes())?;
    proof.verify(inclusion.entry.as_bytes(), own.name(), &own)?;
    let view = EntryView::parse(inclusion.entry.as_bytes())?;
    let digest = sha256(&package.evidence).to_hex();
    let fits = view.what == "verdict.reached"
        && view.text("about") == Some(package.box_id.as_str())
        && view.text("evidence") == Some(digest.as_str());
    if fits {
        Ok((proof.index, view))
    } else {
        Err(AuditRejection::Inclusion {
            expected: digest,
            found: view.text("evidence").unwrap_or(&view.what).to_owned(),
        })
    }
}

impl From<RecordRejected> for AuditRejection {
    fn from(rejected: RecordRejected) -> Self {
        Self::Record(rejected)
    }
}

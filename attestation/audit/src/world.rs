//! What the files of a report show, verified anew.
//!
//! Refuses the console's word where evidence speaks: each package is judged again as of when the console judged it. Invariant:
//! a [`World`] is made from files alone, and by everybody in the same way.

use freehold_decide::{PolicySet, Verdict};
use freehold_record::VerifierKey;
use freehold_trust::Sha256Digest;
use freehold_verify::evidence::{Claims, EvidencePackage, Inclusion};
use freehold_verify::identity::AttestationKey;
use freehold_verify::{Refusal as _, RefusalReport};

use crate::document::{BoxLine, Document};
use crate::judge::{Simulated, check_inclusion, judge};
use crate::range::Range;
use crate::rejection::AuditRejection;
use crate::verify::Files;

/// What accepted evidence shows.
#[derive(Debug)]
pub struct Seen {
    /// When the console judged it, Unix seconds.
    pub at: i64,
    /// The verdict, reached again.
    pub verdict: Verdict,
    /// The code, when the verdict has one.
    pub code: Option<String>,
    /// What it rests on.
    pub claims: Claims,
    /// The attestation key's fingerprint, to be compared with the enrolment.
    pub ak: Sha256Digest,
    /// The index of the console's entry about it, when that was proven.
    pub told: Option<u64>,
    /// Whether the assignment names somebody who approved it and did not make it.
    pub approved: bool,
}

/// A box, as the report shows it.
#[derive(Debug)]
pub struct BoxSeen<'a> {
    /// The console's words.
    pub line: &'a BoxLine,
    /// What its evidence shows; nothing when there is none, a refusal when it is refused.
    pub seen: Option<Result<Seen, RefusalReport>>,
}

/// Everything that checks may ask.
#[derive(Debug)]
pub struct World<'a> {
    /// `report.json`.
    pub document: &'a Document,
    /// The piece of the record.
    pub range: Range,
    /// The boxes.
    pub boxes: Vec<BoxSeen<'a>>,
}

impl<'a> World<'a> {
    /// Reads the files.
    ///
    /// # Errors
    /// What is malformed, or proves something else than it should. Evidence that the verifier refuses is no error: it is what
    /// the report shows.
    pub fn read(
        files: &Files<'_>,
        document: &'a Document,
        key: &VerifierKey,
        policies: &PolicySet,
    ) -> Result<Self, AuditRejection> {
        let range = Range::verify(
            &document.record,
            files.need("record/checkpoint")?,
            files.need("record/entries.jsonl")?,
            key,
        )?;
        let boxes = document
            .boxes
            .iter()
            .map(|line| {
                Ok(BoxSeen {
                    line,
                    seen: seen(files, line, key, policies)?,
                })
            })
            .collect::<Result<_, AuditRejection>>()?;
        Ok(Self { document, range, boxes })
    }
}

fn seen(
    files: &Files<'_>,
    line: &BoxLine,
    key: &VerifierKey,
    policies: &PolicySet,
) -> Result<Option<Result<Seen, RefusalReport>>, AuditRejection> {
    let name = format!("evidence/{}.json", line.box_id);
    let Some(bytes) = files.get(&name) else {
        return Ok(None);
    };
    let malformed = |fault: String| AuditRejection::Malformed {
        file: name.clone(),
        fault,
    };
    let package = EvidencePackage::parse(bytes).map_err(|error| malformed(error.to_string()))?;
    if package.box_id != line.box_id {
        return Err(malformed(format!("it is about box `{}`", package.box_id)));
    }
    let told = match files.get(&format!("proofs/{}.tlog-proof", line.box_id)) {
        None => None,
        Some(proof) => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed("not utf-8".to_owned()));
            let inclusion = Inclusion {
                entry: text(files.need(&format!("proofs/{}.json", line.box_id))?)?,
                proof: text(proof)?,
                key: key.to_string(),
            };
            Some(check_inclusion(&package, &inclusion, Some(key))?.0)
        }
    };
    let ak = match AttestationKey::from_public(&package.ak_public) {
        Ok(ak) => ak,
        Err(rejection) => return Ok(Some(Err(rejection.report()))),
    };
    let judged = match judge(&package, &ak, package.at, Simulated::Accepted, policies) {
        Ok(judged) => judged,
        Err(report) => return Ok(Some(Err(report))),
    };
    let approved = package
        .assignment
        .as_ref()
        .is_some_and(|assignment| assignment.approved_by.iter().any(|name| *name != assignment.by));
    let claims = judged.claims.into_inner();
    let code = claims
        .reasons
        .first()
        .map(|reason| reason.code.clone())
        .or(judged.decision.code);
    Ok(Some(Ok(Seen {
        at: package.at,
        verdict: judged.decision.answer,
        code,
        claims,
        ak: ak.fingerprint(),
        told,
        approved,
    })))
}

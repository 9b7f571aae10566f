//! `evidence FILE`: the verdict over a package, reached again.
//!
//! Refuses to repeat the console's verdict: it verifies and decides by itself, with the shipped policies. Invariant: only
//! "trusted" and "trusted (simulated)" are yes; "attention" and "unknown" are could not tell.

use freehold_decide::{BundleData, EvidenceDecision, EvidenceFacts, OsStanding, PolicySet, RecordStanding, Verdict};
use freehold_verify::boot::PcrOutcome;
use freehold_verify::evidence::package::MAX_PACKAGE;
use freehold_verify::evidence::{Claims, EvidencePackage, Expectation, verify_evidence};
use freehold_verify::identity::{AttestationKey, TpmKind};
use freehold_verify::tpm::PcrSet;
use freehold_verify::{Refusal as _, RefusalReport};
use serde_json::json;

use crate::answer::{Answer, Ending, visible};
use crate::arguments::Evidence;
use crate::input::{read, shown};

/// What only this program refuses.
pub const CODES: &[&str] = &["inspect.other_key"];

/// How old evidence may be when it is judged as of then, seconds: the challenge's own time is shorter.
const AGE_LIMIT: i64 = 600;

/// Checks the package as of `at`, or as of when the console did.
pub fn inspect(arguments: &Evidence, at: Option<i64>) -> anyhow::Result<Answer> {
    let package = EvidencePackage::parse(&read(&arguments.file, MAX_PACKAGE)?)?;
    let ak = match AttestationKey::from_public(&package.ak_public) {
        Ok(ak) => ak,
        Err(rejection) => return Ok(Answer::refused(&rejection.report())),
    };
    if let Some(expected) = arguments
        .ak
        .as_ref()
        .filter(|given| !ak.fingerprint().to_hex().eq_ignore_ascii_case(given))
    {
        return Ok(Answer::refused(&RefusalReport {
            code: CODES[0].to_owned(),
            message: "the package is about another attestation key".to_owned(),
            expected: Some(expected.clone()),
            found: Some(ak.fingerprint().to_hex()),
        }));
    }
    let at = at.unwrap_or(package.at);
    let expectation = Expectation {
        box_id: &package.box_id,
        challenge: &package.challenge,
        ak: &ak,
        tpm: package.tpm,
        tls: package.tls,
        selection: PcrSet::of(&package.pcrs),
        manifests: &package.manifests,
        previous: package.previous,
    };
    let policies = PolicySet::shipped(BundleData::default())?;
    let claims = match verify_evidence(&package.evidence, &expectation, at) {
        Ok(claims) => claims,
        Err(rejection) => {
            return Ok(Answer::refused(&rejection.report())
                .line(format!("  box       {}", visible(&package.box_id)))
                .with("verdict", "refused"));
        }
    };
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
        ..EvidenceFacts::accepted(&claims, !arguments.refuse_simulated)
    };
    let decision = policies.accept_evidence(&facts);
    let answer = head(&package, &claims, &decision, at);
    let answer = answer.line(format!("  key       {} {}", ak.fingerprint(), whose(arguments)));
    Ok(body(answer, &claims, &decision)
        .with("ak", ak.fingerprint().to_hex())
        .with("console_verdict", package.verdict))
}

fn whose(arguments: &Evidence) -> &'static str {
    if arguments.ak.is_some() {
        "(the key that was given)"
    } else {
        "(the package's word; compare it with the enrolment)"
    }
}

fn head(package: &EvidencePackage, claims: &Claims, decision: &EvidenceDecision, at: i64) -> Answer {
    let verdict = decision.answer;
    let ending = match verdict {
        Verdict::Trusted | Verdict::TrustedSimulated => Ending::Yes,
        Verdict::Refused => Ending::No,
        Verdict::Attention | Verdict::Unknown => Ending::CouldNotTell,
    };
    let why = decision
        .denied_by
        .iter()
        .chain(&decision.because)
        .map(|reason| reason.why.as_str())
        .next()
        .unwrap_or_default();
    let mut answer = Answer::new(ending, format!("{} {}  {why}", verdict.symbol(), verdict.label()));
    // The event that differs says more than the policy that follows from it.
    if let Some(report) = claims.reasons.first() {
        answer = answer
            .line(format!("  because   {} ({})", visible(&report.message), report.code))
            .reason(report);
    } else if let (true, Some(code)) = (ending == Ending::No, &decision.code) {
        let report = RefusalReport {
            code: code.clone(),
            message: why.to_owned(),
            expected: None,
            found: None,
        };
        answer = answer.reason(&report);
    }
    let release = match (&claims.release, &claims.version) {
        (Some(release), Some(version)) => format!("{} {}", visible(release), visible(version)),
        _ => "not shown".to_owned(),
    };
    let tpm = match claims.tpm {
        TpmKind::Hardware => "hardware",
        TpmKind::Software => "software",
        TpmKind::Unproven => "nobody vouches for it",
    };
    answer
        .line(format!("  box       {}", visible(&package.box_id)))
        .line(format!("  as of     {}", shown(at)))
        .line(format!("  tpm       {tpm}"))
        .line(format!("  boot      {} (release {release})", word(&json!(claims.boot))))
        .line(format!(
            "  secure boot {}, development keys {}",
            word(&json!(claims.secure_boot)),
            word(&json!(claims.development_keys))
        ))
        .with("verdict", verdict.word())
        .with("box", package.box_id.as_str())
        .with("at", at)
}

fn body(mut answer: Answer, claims: &Claims, decision: &EvidenceDecision) -> Answer {
    if let Some(checkpoint) = &claims.checkpoint {
        answer = answer.line(format!(
            "  record    {} entries, root {}",
            checkpoint.size, checkpoint.root
        ));
    }
    for model in &claims.models {
        answer = answer.line(format!("  model     {model}"));
    }
    for pcr in &claims.pcrs {
        let line = match &pcr.outcome {
            PcrOutcome::Matches => format!("  ● PCR {:<2} {}", pcr.index, pcr.value),
            PcrOutcome::NotCovered => format!("    PCR {:<2} {}  not in the manifest", pcr.index, pcr.value),
            PcrOutcome::Differs(difference) => {
                let event = difference
                    .event
                    .map(|number| format!(" at event {number}"))
                    .unwrap_or_default();
                let kind = difference.kind.as_deref().unwrap_or_default();
                let what = difference.description.as_deref().map(visible).unwrap_or_default();
                format!("  ■ PCR {:<2} {}  differs{event} {kind} {what}", pcr.index, pcr.value)
            }
        };
        answer = answer.line(line);
    }
    for reason in decision.because.iter().chain(&decision.denied_by) {
        answer = answer.line(format!("  policy    {}: {}", reason.policy, reason.why));
    }
    answer.with("claims", json!(claims)).with("decision", json!(decision))
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().replace('_', " ")
}

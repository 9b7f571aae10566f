//! `evidence FILE`: the verdict over a package, reached again.
//!
//! Refuses to repeat the console's verdict: it verifies and decides by itself, with the shipped policies. Invariant: only
//! "trusted" and "trusted (simulated)" are yes; "attention" and "unknown" are could not tell.

use freehold_audit::{Simulated, check_inclusion, judge, policies};
use freehold_decide::{EvidenceDecision, Verdict};
use freehold_verify::boot::PcrOutcome;
use freehold_verify::event_log::EventLog;
use freehold_verify::evidence::package::MAX_PACKAGE;
use freehold_verify::evidence::{Claims, Evidence, EvidencePackage};
use freehold_verify::identity::{AttestationKey, TpmKind};
use freehold_verify::{Refusal as _, RefusalReport};
use serde_json::json;

use crate::answer::{Answer, Ending, Mark, Row, visible};
use crate::arguments;
use crate::input::{read, shown};
use crate::record::key_of;

/// What only this program refuses.
pub const CODES: &[&str] = &["inspect.other_key"];

/// Checks the package as of `at`, or as of when the console did.
pub fn inspect(arguments: &arguments::Evidence, at: Option<i64>) -> anyhow::Result<Answer> {
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
    let simulated = if arguments.refuse_simulated {
        Simulated::Refused
    } else {
        Simulated::Accepted
    };
    let judged = match judge(&package, &ak, at, simulated, &policies()?) {
        Ok(judged) => judged,
        Err(report) => {
            return Ok(Answer::refused(&report)
                .fact("box", visible(&package.box_id))
                .with("verdict", "refused"));
        }
    };
    let included = match inclusion(&package, arguments)? {
        Ok(included) => included,
        Err(report) => return Ok(Answer::refused(&report).fact("box", visible(&package.box_id))),
    };
    let answer = head(&package, &judged.claims, &judged.decision, at)
        .fact("key", format!("{} {}", ak.fingerprint(), whose(arguments)));
    let answer = said(answer, &package, &judged.claims);
    let answer = match included {
        Some((index, line)) => answer.fact("record", line).with("inclusion", json!({"index": index})),
        None => answer.fact(
            "record",
            "the package has no proof that the console's record tells of it",
        ),
    };
    Ok(body(answer, &package, &judged.claims, &judged.decision)
        .with("ak", ak.fingerprint().to_hex())
        .with("console_verdict", package.verdict))
}

type Included = Option<(u64, String)>;

/// The console's own entry about this verdict, proven against the key that was given.
fn inclusion(
    package: &EvidencePackage,
    arguments: &arguments::Evidence,
) -> anyhow::Result<Result<Included, RefusalReport>> {
    let Some(inclusion) = &package.inclusion else {
        return Ok(Ok(None));
    };
    let key = arguments.record_key.as_deref().map(key_of).transpose()?;
    Ok(match check_inclusion(package, inclusion, key.as_ref()) {
        Ok((index, entry)) => {
            let source = if key.is_some() {
                "with the key that was given"
            } else {
                "with the package's own key: give --record-key to know whose record it is"
            };
            let verdict = entry.text("verdict").unwrap_or_default().to_owned();
            Ok(Some((
                index,
                format!(
                    "entry {index} of the console's record says so: {} ({source})",
                    visible(&verdict)
                ),
            )))
        }
        Err(rejection) => Err(rejection.report()),
    })
}

fn whose(arguments: &arguments::Evidence) -> &'static str {
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
            .fact("because", format!("{} ({})", visible(&report.message), report.code))
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
        .fact("box", visible(&package.box_id))
        .fact("as of", shown(at))
        .fact("tpm", tpm)
        .fact("boot", format!("{} (release {release})", word(&json!(claims.boot))))
        .fact("secure boot", word(&json!(claims.secure_boot)))
        .fact("dev keys", word(&json!(claims.development_keys)))
        .with("verdict", verdict.word())
        .with("box", package.box_id.as_str())
        .with("at", at)
}

/// What the exporter says beside the evidence: names, signers, who assigned. Marked as its word.
fn said(mut answer: Answer, package: &EvidencePackage, claims: &Claims) -> Answer {
    if let Some(checkpoint) = &claims.checkpoint {
        answer = answer.fact(
            "box record",
            format!("{} entries, root {}", checkpoint.size, checkpoint.root),
        );
    }
    if claims.models.is_empty() {
        answer = answer.fact("models", "none runs");
    }
    let models: Vec<Row> = claims
        .models
        .iter()
        .map(|digest| {
            let named = package.models.iter().find(|named| named.digest == *digest);
            let (mark, name, signer) = match named {
                Some(named) => (
                    Mark::Plain,
                    format!("{} {}", visible(&named.name), visible(&named.version)),
                    visible(&named.signer),
                ),
                None => (Mark::Unknown, "not named".to_owned(), "not named".to_owned()),
            };
            (mark, vec![digest.to_hex(), name, signer])
        })
        .collect();
    answer = answer.table(
        "Running models: digests by the evidence; names and signers by the console's word",
        &["digest", "name", "signer"],
        models,
    );
    if let Some(assignment) = &package.assignment {
        let approved = if assignment.approved_by.is_empty() {
            "no approval was asked for".to_owned()
        } else {
            format!("approved by {}", visible(&assignment.approved_by.join(", ")))
        };
        answer = answer
            .fact(
                "assigned",
                format!(
                    "number {} by {}: {}",
                    assignment.counter,
                    visible(&assignment.by),
                    visible(&assignment.targets.join(", "))
                ),
            )
            .fact("approvals", approved);
    }
    answer
}

fn body(mut answer: Answer, package: &EvidencePackage, claims: &Claims, decision: &EvidenceDecision) -> Answer {
    let pcrs: Vec<Row> = claims
        .pcrs
        .iter()
        .map(|pcr| {
            let (mark, said) = match &pcr.outcome {
                PcrOutcome::Matches => (Mark::Good, "as in the manifest".to_owned()),
                PcrOutcome::NotCovered => (Mark::Plain, "not in the manifest".to_owned()),
                PcrOutcome::Differs(difference) => {
                    let event = difference
                        .event
                        .map(|number| format!(" at event {number}"))
                        .unwrap_or_default();
                    let kind = difference.kind.as_deref().unwrap_or_default();
                    let what = difference.description.as_deref().map(visible).unwrap_or_default();
                    (Mark::Bad, format!("differs{event} {kind} {what}"))
                }
            };
            (mark, vec![format!("PCR {:<2}", pcr.index), pcr.value.to_hex(), said])
        })
        .collect();
    answer = answer.table("PCR by PCR", &["register", "value", "compared with the manifest"], pcrs);
    let decided: Vec<Row> = decision
        .because
        .iter()
        .map(|reason| (Mark::Good, reason))
        .chain(decision.denied_by.iter().map(|reason| (Mark::Bad, reason)))
        .map(|(mark, reason)| (mark, vec![reason.policy.clone(), reason.why.clone()]))
        .collect();
    answer = answer.table("Decided by", &["policy", "because"], decided);
    let events: Vec<Row> = Evidence::decode(&package.evidence)
        .ok()
        .and_then(|evidence| EventLog::parse(&evidence.boot_log).ok().map(|log| log.report().events))
        .unwrap_or_default()
        .into_iter()
        .filter(|event| event.verified == Some(false))
        .map(|event| {
            let place = format!("event {} in PCR {}", event.index, event.pcr);
            (
                Mark::Bad,
                vec![place, event.kind.to_string(), visible(&event.description)],
            )
        })
        .collect();
    answer = answer.table(
        "Events whose data is not what their digest covers",
        &["place", "type", "data"],
        events,
    );
    if let Some(volume) = &claims.volume {
        answer = answer.line(format!("  volume    {volume}"));
    }
    for milestone in &claims.milestones {
        let (kind, name) = (milestone.kind.word(), visible(&milestone.name));
        answer = answer.line(format!("  measured  {kind} {name} {}", milestone.digest));
    }
    for what in &claims.not_covered {
        answer = answer.line(format!("  the quote does not cover: {}", visible(what)));
    }
    answer
        .with("models", json!(package.models))
        .with("assignment", json!(package.assignment))
        .with("claims", json!(claims))
        .with("decision", json!(decision))
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().replace('_', " ")
}

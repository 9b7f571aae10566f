//! From evidence to verdict: verify, decide, and keep what was seen.
//!
//! Refuses to end in "trusted" for any reason but that everything was verified and a policy permitted it: a fault of the
//! verifier, of a manifest or of the policy engine is "unknown". Invariant: one verdict per answered challenge.

use std::panic::AssertUnwindSafe;

use freehold_decide::EvidenceFacts;
use freehold_fleet::member::CosignedHead;
use freehold_fleet::{Challenge, Keys, Member, Membership, TpmKind, Verdict};
use freehold_protocol::status::VerdictWord;
use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;
use freehold_verify::boot::Manifest;
use freehold_verify::evidence::{
    self, Claims, Evidence, EvidencePackage, EvidenceRejection, Expectation, verify_evidence,
};
use freehold_verify::identity::{self, AttestationKey};
use freehold_verify::tpm::{ClockInfo, PcrSet};
use freehold_verify::{Refusal as _, RefusalReport, Verified};
use serde_json::{Value, json};

use crate::console::Console;
use crate::people::authority::{os_standing, record_standing};
use crate::refused::Refused;

/// PCRs of the SHA-256 bank that a quote must cover: firmware and its settings (0–7), what boot loaders measure (9), and what
/// the kernel image, its command line, extensions and the volume measure (11–15).
pub const QUOTED_PCRS: [u8; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 15];

/// What a verification needs, taken from the fleet before it starts.
pub struct Question {
    box_id: String,
    keys: Keys,
    tpm: TpmKind,
    previous: Option<ClockInfo>,
    volume: Option<Sha256Digest>,
    challenge: evidence::Challenge,
    tls: Sha256Digest,
    cosigned: Option<CosignedHead>,
    by_stick: bool,
}

impl Question {
    /// About an approved box.
    #[must_use]
    pub fn about(member: &Member, challenge: &Challenge, tls: Sha256Digest) -> Option<Self> {
        let keys = member.active.clone()?;
        let clock = |verdict: &Verdict| serde_json::from_value(verdict.claims.get("clock")?.clone()).ok();
        let previous = member
            .verdict
            .as_ref()
            .and_then(clock)
            .or_else(|| member.last_good.as_ref().and_then(clock));
        // The volume of the last verdict that allowed a change, since a person approved these keys: refused evidence changes nothing
        // about it, and a box with another volume has to be approved anew.
        let since = match member.membership {
            Membership::Approved { at, .. } => at,
            Membership::Waiting | Membership::Refused { .. } => i64::MAX,
        };
        let good = member.last_good.as_ref().filter(|good| good.at >= since);
        let volume = good.and_then(|good| serde_json::from_value(good.claims.get("volume")?.clone()).ok());
        Some(Self {
            volume,
            box_id: member.box_id.clone(),
            keys,
            tpm: member.ek_trust.kind(),
            previous,
            challenge: evidence::Challenge {
                nonce: challenge.nonce,
                issued: challenge.issued,
                expires: challenge.expires,
            },
            tls,
            cosigned: member.cosigned.clone(),
            by_stick: false,
        })
    }
}

impl Question {
    /// A challenge that lives longer than one over the wire travelled by stick.
    #[must_use]
    pub fn by_stick(mut self, rules: &freehold_fleet::Rules) -> Self {
        self.by_stick = self.challenge.expires.saturating_sub(self.challenge.issued) > rules.challenge_ttl;
        self
    }
}

const fn kind(tpm: TpmKind) -> identity::TpmKind {
    match tpm {
        TpmKind::Hardware => identity::TpmKind::Hardware,
        TpmKind::Software => identity::TpmKind::Software,
        TpmKind::Unproven => identity::TpmKind::Unproven,
    }
}

/// The nonce that evidence says it answers; nothing else of it is believed yet.
///
/// # Errors
/// When it is not evidence.
pub fn nonce_of(bytes: &[u8]) -> Result<[u8; 32], EvidenceRejection> {
    Ok(Evidence::decode(bytes)?.bound.nonce)
}

/// A verdict that says that nothing could be told.
#[must_use]
pub fn could_not_tell(bytes: &[u8], code: &str, message: &str, at: i64) -> Verdict {
    let report = RefusalReport {
        code: code.to_owned(),
        message: message.to_owned(),
        expected: None,
        found: None,
    };
    Verdict {
        word: VerdictWord::Unknown,
        because: vec![message.to_owned()],
        refusals: vec![report],
        at,
        evidence: sha256(bytes).to_hex(),
        claims: Value::Null,
        policies: Vec::new(),
    }
}

/// Runs a verification on a thread of its own. A verifier that panics has not verified: `None`, and the box becomes unknown
/// (CVE-2022-3500).
async fn guarded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let caught = tokio::task::spawn_blocking(move || std::panic::catch_unwind(AssertUnwindSafe(work))).await;
    caught.ok()?.ok()
}

impl Console {
    /// Verifies evidence and decides about it, on a thread of its own. Never fails: what could not be told is a verdict, too.
    pub(crate) async fn appraise(&self, question: Question, bytes: Vec<u8>) -> (Verdict, Vec<u8>) {
        let now = self.now();
        let Ok(_room) = self.0.verifying.acquire().await else {
            return (
                could_not_tell(&bytes, "console.verification_failed", "the console is stopping", now),
                bytes,
            );
        };
        let console = self.clone();
        let shared = bytes.clone();
        match guarded(move || console.judge(&question, &shared, now)).await {
            Some(judged) => judged,
            None => {
                let message = "the verification itself failed, so nothing is known";
                (
                    could_not_tell(&bytes, "console.verification_failed", message, now),
                    bytes,
                )
            }
        }
    }

    fn judge(&self, question: &Question, bytes: &[u8], now: i64) -> (Verdict, Vec<u8>) {
        let shelf = self.shelf();
        let manifests = &shelf.manifests;
        let verdict = match AttestationKey::from_public(&question.keys.ak_public) {
            Err(rejection) => could_not_tell(bytes, rejection.code(), "the enrolled key cannot be read any more", now),
            Ok(ak) => {
                let expectation = Expectation {
                    box_id: &question.box_id,
                    challenge: &question.challenge,
                    ak: &ak,
                    tpm: kind(question.tpm),
                    tls: question.tls,
                    selection: PcrSet::of(&QUOTED_PCRS),
                    manifests,
                    previous: question.previous,
                    volume: question.volume,
                };
                match verify_evidence(bytes, &expectation, now) {
                    Err(rejection) => self.decide_refused(bytes, &rejection, now),
                    Ok(claims) => self.decide_evidence(question, &claims, bytes, now),
                }
            }
        };
        // The one that the box named is enough to reach the same verdict; of the others there may be many.
        let named = Evidence::decode(bytes).ok().map(|evidence| evidence.bound.boot);
        let fits = |manifest: &Manifest| {
            named
                .as_ref()
                .is_some_and(|boot| boot.release == manifest.release && boot.version == manifest.version)
        };
        let package = EvidencePackage {
            v: 1,
            box_id: question.box_id.clone(),
            evidence: bytes.to_vec(),
            challenge: question.challenge.clone(),
            ak_public: question.keys.ak_public.clone(),
            tpm: kind(question.tpm),
            tls: question.tls,
            pcrs: QUOTED_PCRS.to_vec(),
            manifests: manifests.iter().filter(|manifest| fits(manifest)).cloned().collect(),
            previous: question.previous,
            volume: question.volume,
            at: now,
            verdict: serde_json::to_value(&verdict).unwrap_or_default(),
            models: Vec::new(),
            assignment: None,
            inclusion: None,
        };
        let package = serde_json::to_vec(&package).unwrap_or_default();
        (verdict, package)
    }

    fn decide_refused(&self, bytes: &[u8], rejection: &EvidenceRejection, now: i64) -> Verdict {
        let shelf = self.shelf();
        let worth = self
            .0
            .authority
            .evidence(shelf.policy.as_deref(), &EvidenceFacts::refused(rejection.code()));
        let mut because = vec![rejection.to_string()];
        because.extend(worth.because);
        // Whatever a policy says, evidence that the verifier refused never allows a change.
        let word = if worth.word.allows_change() {
            VerdictWord::Refused
        } else {
            worth.word
        };
        Verdict {
            word,
            because,
            refusals: vec![rejection.report()],
            at: now,
            evidence: sha256(bytes).to_hex(),
            claims: Value::Null,
            policies: worth.policies,
        }
    }

    fn decide_evidence(&self, question: &Question, claims: &Verified<Claims>, bytes: &[u8], now: i64) -> Verdict {
        let shelf = self.shelf();
        let mut shown = serde_json::to_value(claims.get()).unwrap_or_default();
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("boot_kind".to_owned(), json!(claims.get().boot));
            shown.insert("events".to_owned(), events_of(bytes));
            if question.by_stick {
                shown.insert(freehold_fleet::verdict::BY_STICK.to_owned(), json!(true));
            }
        }
        let facts = EvidenceFacts {
            record: record_standing(claims, question.cosigned.as_ref()),
            os_release: os_standing(claims, &shelf),
            age_seconds: now.saturating_sub(question.challenge.issued),
            age_limit_seconds: if question.by_stick {
                self.0.file.rules.stick_max_age
            } else {
                self.0.file.rules.verdict_max_age
            },
            ..EvidenceFacts::accepted(claims, self.0.file.rules.accept_simulated)
        };
        let worth = self.0.authority.evidence(shelf.policy.as_deref(), &facts);
        let mut refusals = claims.get().reasons.clone();
        refusals.extend(worth.refusals);
        Verdict {
            word: worth.word,
            because: worth.because,
            refusals,
            at: now,
            evidence: sha256(bytes).to_hex(),
            claims: shown,
            policies: worth.policies,
        }
    }

    /// The claims of a box's last verdict with PCRs and events, which the fleet in memory does without.
    pub(crate) async fn whole_claims(&self, box_id: &str) -> Result<Option<Value>, Refused> {
        let known = self
            .fleet()
            .member(box_id)
            .and_then(|member| Some(member.verdict.as_ref()?.at));
        let last = self
            .0
            .store
            .verdicts_of(box_id, 1)
            .await
            .map_err(|error| Refused::inside(&error))?;
        // What was proven with earlier keys is not this box's boot.
        Ok(last
            .into_iter()
            .map(|row| row.verdict)
            .find(|verdict| Some(verdict.at) == known)
            .map(|verdict| verdict.claims))
    }

    /// The last evidence package of a box, or the one of this digest.
    pub(crate) async fn evidence_package(&self, box_id: &str, sha256: Option<&str>) -> Result<Vec<u8>, Refused> {
        let found = self
            .0
            .store
            .evidence_of(box_id, sha256)
            .await
            .map_err(|error| Refused::inside(&error))?;
        found.ok_or_else(|| Refused::not_found("evidence"))
    }
}

/// Most events kept beside a verdict for its page; the package has all of them.
const EVENTS_SHOWN: usize = 400;

/// The events of the boot log for people, or nothing when it does not parse (the reasons say so then).
fn events_of(bytes: &[u8]) -> Value {
    let Ok(evidence) = Evidence::decode(bytes) else {
        return Value::Null;
    };
    let Ok(log) = freehold_verify::event_log::EventLog::parse(&evidence.boot_log) else {
        return Value::Null;
    };
    let shown = log.events().iter().take(EVENTS_SHOWN).map(|event| {
        json!({
            "number": event.index,
            "pcr": event.pcr,
            "type": event.kind.to_string(),
            "says": event.describe(),
            "digest": event.sha256().map(hex::encode),
            "extends": event.extends(),
        })
    });
    json!({ "shown": shown.collect::<Vec<_>>(), "total": log.events().len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a21_a_verifier_that_panics_leaves_the_box_unknown() {
        assert_eq!(guarded(|| 1).await, Some(1));
        let none: Option<()> = guarded(|| panic!("a parser met a byte that it did not like")).await;
        assert!(none.is_none());
        let verdict = could_not_tell(b"evidence", "console.verification_failed", "nothing is known", 5);
        assert_eq!(verdict.word, VerdictWord::Unknown);
        assert!(!verdict.word.allows_change());
        assert_eq!(verdict.refusals[0].code, "console.verification_failed");
    }
}

//! A box as the API shows it.
//!
//! Refuses to show a stored verdict as current: what stands here is the verdict that counts now. Invariant: pages and API are
//! filled from the same fleet.

use freehold_fleet::verdict::Freshness;
use freehold_fleet::{EkTrust, Fleet, LeaseNow, Member, Membership};
use freehold_protocol::fingerprint::words_of;
use freehold_protocol::report::GatewayDoor;
use freehold_protocol::status::ModelState;
use freehold_verify::RefusalReport;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A fingerprint in two spellings.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FingerprintSeen {
    /// 64 hex digits.
    pub hex: String,
    /// The first eight bytes as words.
    pub words: String,
}

impl FingerprintSeen {
    /// From hex.
    #[must_use]
    pub fn of(hex: &str) -> Self {
        let bytes = hex::decode(hex).unwrap_or_default();
        Self {
            hex: hex.to_owned(),
            words: words_of(&bytes, 8),
        }
    }
}

/// One line of the list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BoxSummary {
    /// Its identifier.
    pub id: String,
    /// Its label; from outside.
    pub label: String,
    /// Its site.
    pub site: String,
    /// `waiting`, `approved` or `refused`.
    pub membership: &'static str,
    /// `trusted`, `trusted_simulated`, `attention`, `refused` or `unknown`: what counts now.
    #[schema(value_type = String)]
    pub verdict: freehold_protocol::status::VerdictWord,
    /// The word for people.
    pub word: &'static str,
    /// The shape that goes with it.
    pub shape: &'static str,
    /// `hardware`, `software` or `unproven`: derived from the EK's root.
    pub tpm: &'static str,
    /// `simulated` or `measured`, as the last evidence showed; empty before.
    pub boot: String,
    /// Whether the stored verdict counts: `current`, `expired`, `before_start`, `never`.
    #[schema(value_type = String)]
    pub fresh: Freshness,
    /// When the last verdict was reached, Unix seconds.
    pub verdict_at: Option<i64>,
    /// When it was last heard, Unix seconds.
    pub seen_at: Option<i64>,
    /// The first fault of the last verdict.
    #[schema(value_type = Object)]
    pub first_refusal: Option<RefusalReport>,
    /// What people compare.
    pub fingerprint: Option<FingerprintSeen>,
    /// Whether keys wait for a person.
    pub pending: bool,
    /// SHA-256 of the EK's SubjectPublicKeyInfo, hex.
    pub ek: String,
    /// `chain` or `hash`.
    pub ek_by: &'static str,
    /// Its models as it reported them.
    #[schema(value_type = Vec<Object>)]
    pub models: Vec<ModelState>,
    /// Where applications reach it.
    #[schema(value_type = Object)]
    pub gateway: Option<GatewayDoor>,
    /// What it says it is doing.
    pub doing: String,
    /// Counter of the assignment that it achieved.
    pub achieved: Option<u64>,
    /// Counter of its assignment.
    pub assignment: Option<u64>,
}

/// One box, as it counts at `now`.
#[must_use]
pub fn summary(fleet: &Fleet, member: &Member, now: i64) -> BoxSummary {
    let view = fleet.verdict_of(member, now);
    let report = member.report.as_ref();
    let heard = [member.report_at, member.verdict.as_ref().map(|verdict| verdict.at)];
    BoxSummary {
        id: member.box_id.clone(),
        label: member.label.clone(),
        site: member.site.clone(),
        membership: match member.membership {
            Membership::Waiting => "waiting",
            Membership::Approved { .. } => "approved",
            Membership::Refused { .. } => "refused",
        },
        verdict: view.word,
        word: view.word.word(),
        shape: view.word.shape(),
        tpm: member.ek_trust.kind().word(),
        boot: member
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.claims.get("boot_kind"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        fresh: view.freshness,
        verdict_at: member.verdict.as_ref().map(|verdict| verdict.at),
        seen_at: heard.into_iter().flatten().max(),
        first_refusal: member
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.refusals.first().cloned()),
        fingerprint: member.shown_keys().map(|keys| FingerprintSeen::of(&keys.fingerprint)),
        pending: member.waits_for_person(),
        ek: member.ek.clone(),
        ek_by: match member.ek_trust {
            EkTrust::Chain { .. } => "chain",
            EkTrust::Hash => "hash",
        },
        models: report.map(|report| report.models.clone()).unwrap_or_default(),
        gateway: report.and_then(|report| report.gateway.clone()),
        doing: report.map(|report| report.doing.clone()).unwrap_or_default(),
        achieved: report.and_then(|report| report.achieved),
        assignment: member.assignment.as_ref().map(|head| head.counter),
    }
}

/// Everything about one box; `claims` are those of its last verdict, whole.
#[must_use]
pub fn detail(fleet: &Fleet, member: &Member, claims: Option<Value>, now: i64) -> Value {
    let verdict = member.verdict.as_ref();
    let mut all = serde_json::to_value(summary(fleet, member, now)).unwrap_or_default();
    let more = json!({
        "because": verdict.map(|verdict| verdict.because.clone()).unwrap_or_default(),
        "refusals": verdict.map(|verdict| verdict.refusals.clone()).unwrap_or_default(),
        "policies": verdict.map(|verdict| verdict.policies.clone()).unwrap_or_default(),
        "claims": claims.or_else(|| verdict.map(|verdict| verdict.claims.clone())),
        "evidence": verdict.map(|verdict| verdict.evidence.clone()),
        "last_good_at": member.last_good.as_ref().map(|verdict| verdict.at),
        "report": member.report,
        "inventory": member.inventory,
        "assignment_head": member.assignment,
        "record_head": member.cosigned,
        "enrolment": {
            "membership": member.membership,
            "ek_trust": member.ek_trust,
            "enrolled_at": member.enrolled_at,
            "active_key": member.active.as_ref().map(|keys| keys.tls_spki.clone()),
            "pending_key": member.pending.as_ref().map(|keys| keys.tls_spki.clone()),
        },
        "tokens": tokens(member),
        "lease": lease(fleet, member, now),
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

/// The verdict lease of a box: `state` is `held`, `withdrawn` or `not_renewed`.
#[must_use]
pub fn lease(fleet: &Fleet, member: &Member, now: i64) -> Value {
    let order = fleet.lease_order(&member.box_id);
    let (state, lease) = match fleet.lease_of(member, now) {
        LeaseNow::Held(lease) => ("held", Some(lease)),
        LeaseNow::Withdrawn(lease) => ("withdrawn", Some(lease)),
        LeaseNow::NotRenewed => ("not_renewed", None),
    };
    json!({
        "state": state,
        "until": lease.as_ref().filter(|_| state == "held").map(|lease| lease.not_after),
        "models": lease.as_ref().map(|lease| &lease.models),
        "counter": order.map_or(0, |order| order.changes),
        "changed_by": order.map(|order| &order.by),
        "changed_at": order.map(|order| order.at),
    })
}

/// The tokens of a box's applications, without the tokens.
#[must_use]
pub fn tokens(member: &Member) -> Vec<Value> {
    let shown = |token: &freehold_fleet::member::TokenRow| {
        json!({
            "id": token.id, "name": token.name, "models": token.models, "expires": token.expires,
            "made_at": token.made_at, "made_by": token.made_by,
        })
    };
    member.tokens.iter().map(shown).collect()
}

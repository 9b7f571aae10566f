//! One box: the verdict and why, PCR by PCR, event by event, models, hardware, record.
//!
//! Refuses to show more than the stored claims say. Invariant: every value comes from the fleet as it is now.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Html;
use axum::response::{IntoResponse as _, Response};
use freehold_fleet::{EkTrust, Fleet, Freshness, LeaseNow, Member, Membership, TpmKind, Withdrawn};
use freehold_protocol::fingerprint::Fingerprint as Words;
use freehold_protocol::report::BoxReport;
use freehold_protocol::status::ModelPhase;
use freehold_trust::PublicKey;
use freehold_verify::RefusalReport;
use freehold_verify::identity::AttestationKey;
use freehold_verify::release::ReleaseKind;
use freehold_views::one_box::{
    Actions, AssignOption, Assignment, BootKind, BoxModel, Claim, Door, Hardware, Holds, Identity, RecordHead, Tab,
    Token, Tpm,
};
use freehold_views::shell::{Fault, Fingerprint, Standing};
use freehold_views::text::counted;
use freehold_views::{BoxPage, address, one_box};
use serde_json::Value;

use super::fragment;
use super::record::entries_about;
use super::shell::{fault, fingerprint};
use crate::console::Console;
use crate::people::action::Action;
use crate::people::place::Place;
use crate::people::session::Visitor;
use crate::refused::Refused;

mod boot;

/// Entries of the record that the page shows.
const ENTRIES: usize = 20;

/// `GET /boxes/{id}`.
///
/// # Errors
/// 404.
pub async fn summary(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    page(&console, &visitor, &id, Tab::Summary, &headers).await
}

/// `GET /boxes/{id}/{tab}`.
///
/// # Errors
/// 404.
pub async fn tab(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path((id, tab)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let tab = Tab::from_slug(&tab).ok_or_else(|| Refused::not_found("part of a box"))?;
    page(&console, &visitor, &id, tab, &headers).await
}

async fn page(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    tab: Tab,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let whole = match tab {
        Tab::Boot => console.whole_claims(id).await?,
        _ => None,
    };
    let mut page = model(console, visitor, id, tab, whole)?;
    if matches!(tab, Tab::Summary | Tab::Record) && console.permits(visitor, Action::ReadRecord) {
        page.entries = entries_about(console, id, ENTRIES).await?;
    }
    let html = match fragment(headers) {
        Some(fragment) => page.render_fragment(fragment),
        None => page.render(),
    };
    Ok(Html(html).into_response())
}

fn model(console: &Console, visitor: &Visitor, id: &str, tab: Tab, whole: Option<Value>) -> Result<BoxPage, Refused> {
    let shell = console.shell(Some(visitor), &address::one_box(id, tab));
    let now = shell.now;
    let fleet = console.fleet();
    let member = fleet.member(id).ok_or_else(|| Refused::not_found("box"))?;
    let view = fleet.verdict_of(member, now);
    let verdict = member.verdict.as_ref();
    let claims = verdict.map_or(&Value::Null, |verdict| &verdict.claims);
    let report = member.report.as_ref();
    let mut because = verdict.map(|verdict| verdict.because.clone()).unwrap_or_default();
    if verdict.is_some_and(|verdict| verdict.word != view.word) {
        because.insert(
            0,
            "The last proof is too old to count, or older than this start of the console.".to_owned(),
        );
    }
    Ok(BoxPage {
        tab,
        id: member.box_id.clone(),
        label: member.label.clone(),
        site: member.site.clone(),
        membership: match (&member.membership, &member.pending) {
            (Membership::Refused { .. }, _) => one_box::Membership::Refused,
            (Membership::Waiting, _) => one_box::Membership::WaitingForApproval,
            (Membership::Approved { .. }, _) => one_box::Membership::Approved,
        },
        verdict: view.word,
        since: verdict.map(|verdict| verdict.at),
        because,
        policies: verdict.map(|verdict| verdict.policies.clone()).unwrap_or_default(),
        faults: verdict
            .map(|verdict| {
                let standing = match view.freshness {
                    Freshness::Current => Standing::Current,
                    _ => Standing::Past,
                };
                let marked = |report| Fault {
                    standing,
                    ..fault(report, Some(verdict.at))
                };
                verdict.refusals.iter().map(marked).collect()
            })
            .unwrap_or_default(),
        refused_there: report.map(refused_there).unwrap_or_default(),
        doing: report.map(|report| report.doing.clone()).unwrap_or_default(),
        last_proof: member.last_good.as_ref().map(|verdict| verdict.at),
        last_heard: member.report_at,
        version: report.map(|report| report.version.clone()).unwrap_or_default(),
        boot_kind: match claims.get("boot_kind").and_then(Value::as_str) {
            Some("simulated") => BootKind::Simulated,
            Some("measured") => BootKind::Measured,
            _ => BootKind::Unknown,
        },
        identity: identity(member),
        claims: shown_claims(member, claims),
        boot: whole.as_ref().and_then(boot::boot),
        models: models(member),
        assignment: assignment(console, member),
        lease: lease(console, visitor, &fleet, member, now),
        gateway: report.and_then(|report| report.gateway.as_ref()).map(|door| Door {
            url: door.url.clone(),
            spki: door.spki.clone(),
        }),
        tokens: tokens(member),
        hardware: member
            .inventory
            .as_ref()
            .map(|document| Hardware::from_inventory(document, member.report_at)),
        entries: Vec::new(),
        record_head: member.cosigned.as_ref().map(|head| RecordHead {
            size: head.size,
            root: head.root.clone(),
            cosigned: head.at,
        }),
        actions: actions(console, visitor, member),
        shell,
    })
}

/// What the box refused since its last start, newest first. A refusal stands while the box says of a model that it is refused for
/// that reason, or is doing nothing but saying so; everything else is past.
fn refused_there(report: &BoxReport) -> Vec<Fault> {
    let stands = |code: &str| {
        let of_a_model = report.models.iter().any(|model| {
            model.phase == ModelPhase::Refused && model.reason.as_deref().is_some_and(|reason| reason.starts_with(code))
        });
        of_a_model || report.doing.starts_with(code)
    };
    let marked = |refusal: &RefusalReport| Fault {
        standing: if stands(&refusal.code) {
            Standing::Current
        } else {
            Standing::Past
        },
        ..fault(refusal, None)
    };
    report.refusals.iter().rev().map(marked).collect()
}

/// What a TPM is, in the pages' words.
#[must_use]
pub const fn tpm(kind: TpmKind) -> Tpm {
    match kind {
        TpmKind::Hardware => Tpm::Hardware,
        TpmKind::Software => Tpm::Software,
        TpmKind::Unproven => Tpm::Unknown,
    }
}

/// Where an EK leads to, in words.
#[must_use]
pub fn ek_root(trust: &EkTrust) -> String {
    match trust {
        EkTrust::Chain { root, .. } => root.clone(),
        EkTrust::Hash => "no certificate: its digest is approved by a person".to_owned(),
    }
}

fn identity(member: &Member) -> Identity {
    let (approved_by, approved) = match &member.membership {
        Membership::Approved { by, at } => (by.clone(), Some(*at)),
        Membership::Waiting | Membership::Refused { .. } => (String::new(), None),
    };
    let mut fingerprints: Vec<Fingerprint> = Vec::new();
    if let Some(keys) = member.shown_keys() {
        let all = Words::over(&member.ek_public, &keys.ak_public, &keys.tls_public);
        fingerprints.push(Fingerprint {
            of: "EK, AK and TLS key together".to_owned(),
            hex: all.hex(),
            words: all.words(),
        });
        fingerprints.push(fingerprint("EK (SHA-256 of its SubjectPublicKeyInfo)", &member.ek));
        if let Ok(ak) = AttestationKey::from_public(&keys.ak_public) {
            fingerprints.push(fingerprint("AK", &ak.fingerprint().to_hex()));
        }
        if let Ok(key) = PublicKey::from_spki_der(&keys.tls_spki_der) {
            fingerprints.push(fingerprint("TLS key", &key.fingerprint().to_hex()));
        }
        if let Ok(key) = PublicKey::from_spki_der(&keys.record_spki_der) {
            fingerprints.push(fingerprint("Record key", &key.fingerprint().to_hex()));
        }
    }
    Identity {
        tpm: tpm(member.ek_trust.kind()),
        tpm_says: String::new(),
        ek_root: ek_root(&member.ek_trust),
        fingerprints,
        enrolled: Some(member.enrolled_at),
        approved_by,
        approved,
        certificate_until: None,
    }
}

fn shown_claims(member: &Member, claims: &Value) -> Vec<Claim> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let claim = |name: &str, value: &str, holds: Holds, source: &str| Claim {
        name: name.to_owned(),
        value: value.to_owned(),
        holds,
        source: source.to_owned(),
    };
    let kind = member.ek_trust.kind();
    let mut shown = vec![claim(
        "TPM",
        kind.word(),
        if kind == TpmKind::Unproven {
            Holds::CouldNotTell
        } else {
            Holds::Yes
        },
        "root of the EK certificate",
    )];
    if claims.is_null() {
        return shown;
    }
    let boot = text("boot_kind");
    let boot_holds = if boot == "not_shown" { Holds::No } else { Holds::Yes };
    shown.push(claim(
        "Boot",
        &boot.replace('_', " "),
        boot_holds,
        "boot log against the release's manifest",
    ));
    let release = format!("{} {}", text("release"), text("version"));
    if !release.trim().is_empty() {
        shown.push(claim("OS release", release.trim(), Holds::Yes, "manifest that matches"));
    }
    for (name, key, good) in [
        ("Secure Boot", "secure_boot", "yes"),
        ("Development keys", "development_keys", "no"),
    ] {
        let holds = match text(key) {
            "not_shown" | "" => Holds::CouldNotTell,
            value if value == good => Holds::Yes,
            _ => Holds::No,
        };
        shown.push(claim(
            name,
            &text(key).replace('_', " "),
            holds,
            "PCR 7 and the manifest",
        ));
    }
    shown.push(claim(
        "Supervisor",
        text("supervisor"),
        Holds::NotAsked,
        "bound into the quote",
    ));
    let models = claims.get("models").and_then(Value::as_array).map_or(0, Vec::len);
    shown.push(claim(
        "Running models",
        &models.to_string(),
        Holds::NotAsked,
        "digests bound into the quote",
    ));
    if let Some(size) = claims.pointer("/checkpoint/size").and_then(Value::as_u64) {
        shown.push(claim(
            "Record",
            &counted(size, "entry", "entries"),
            Holds::NotAsked,
            "checkpoint bound into the quote",
        ));
    }
    shown.extend(measured(claims));
    shown
}

/// Most rows of each kind of what the box measured; the evidence has all of them.
const MEASURED_SHOWN: usize = 24;

/// What the box measured after its boot, and what of that its quote does not cover.
fn measured(claims: &Value) -> Vec<Claim> {
    let word = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().take(160).collect::<String>()
    };
    let short = |digest: &str| digest.chars().take(16).collect::<String>();
    let mut rows = Vec::new();
    if let Some(volume) = claims.get("volume").and_then(Value::as_str) {
        rows.push(Claim {
            name: "Data volume".to_owned(),
            value: short(volume),
            holds: Holds::Yes,
            source: "first record of PCR 15; pinned with the first accepted proof".to_owned(),
        });
    }
    let list = |name: &str| {
        let all = claims.get(name).and_then(Value::as_array);
        all.into_iter().flatten().take(MEASURED_SHOWN)
    };
    for milestone in list("milestones") {
        rows.push(Claim {
            name: format!("Measured {}", word(milestone, "kind")),
            value: format!("{} {}", word(milestone, "name"), short(&word(milestone, "digest"))),
            holds: Holds::Yes,
            source: "PCR 15, before the quote".to_owned(),
        });
    }
    for record in list("not_covered") {
        rows.push(Claim {
            name: "Not covered".to_owned(),
            value: record.as_str().unwrap_or_default().chars().take(160).collect(),
            holds: Holds::CouldNotTell,
            source: "the log's word alone: after the quote, or of a PCR that was not quoted".to_owned(),
        });
    }
    rows
}

fn models(member: &Member) -> Vec<BoxModel> {
    let reported = member.report.iter().flat_map(|report| &report.models);
    reported
        .map(|model| BoxModel {
            name: model.name.clone(),
            version: model.version.clone(),
            digest: model.digest.clone(),
            signer: model.signer.clone(),
            phase: Some(model.phase),
            reason: model.reason.clone().unwrap_or_default(),
            memory_bound: model.memory_bound.clone(),
            bytes: None,
        })
        .collect()
}

fn assignment(console: &Console, member: &Member) -> Option<Assignment> {
    let head = member.assignment.as_ref()?;
    let settings = freehold_verify::document::settings_digest(&console.settings_envelope());
    Some(Assignment {
        counter: head.counter,
        signed: Some(head.at),
        not_after: head.not_after,
        targets: head.targets.clone(),
        achieved: member.report.as_ref().and_then(|report| report.achieved),
        pursuing: member.report.as_ref().and_then(|report| report.pursuing),
        settings_digest: settings.map(|digest| digest.to_hex()).unwrap_or_default(),
    })
}

/// The verdict lease, where policy demands one of some model or a person has changed it.
fn lease(console: &Console, visitor: &Visitor, fleet: &Fleet, member: &Member, now: i64) -> Option<one_box::Lease> {
    let order = fleet.lease_order(&member.box_id);
    let shelf = console.shelf();
    let policy = shelf.policy.as_deref();
    let demanded: Vec<String> = policy
        .map(|policy| policy.data().leased_models.iter().cloned().collect())
        .unwrap_or_default();
    if demanded.is_empty() && order.is_none() {
        return None;
    }
    let (state, until) = match fleet.lease_of(member, now) {
        LeaseNow::Held(lease) => (one_box::LeaseState::Held, Some(lease.not_after)),
        LeaseNow::Withdrawn(_) => (one_box::LeaseState::Withdrawn, None),
        LeaseNow::NotRenewed => (one_box::LeaseState::NotRenewed, None),
    };
    let without = match order.map(|order| &order.withdrawn) {
        Some(Withdrawn::Models(models)) => models.iter().cloned().collect(),
        _ => Vec::new(),
    };
    Some(one_box::Lease {
        demanded,
        state,
        until,
        without,
        changed_by: order.map(|order| order.by.clone()).unwrap_or_default(),
        changed: order.map(|order| order.at),
        withdrawn: order.is_some_and(|order| order.withdrawn != Withdrawn::Nothing),
        may_change: member.is_approved() && console.permits_at(visitor, Action::Assign, Place::Site(&member.site)),
    })
}

fn tokens(member: &Member) -> Vec<Token> {
    let shown = |token: &freehold_fleet::member::TokenRow| Token {
        id: token.id.clone(),
        name: token.name.clone(),
        models: token.models.clone(),
        created: Some(token.made_at),
        expires: token.expires,
    };
    member.tokens.iter().map(shown).collect()
}

fn actions(console: &Console, visitor: &Visitor, member: &Member) -> Actions {
    let may = |action| console.permits_at(visitor, action, Place::Site(&member.site));
    let decide = may(Action::DecideEnrolment) && member.waits_for_person();
    let approved = member.is_approved();
    let shelf = console.shelf();
    let current = |target: &str| {
        member
            .assignment
            .as_ref()
            .is_some_and(|head| head.targets.iter().any(|name| name == target))
    };
    let assign = if approved && may(Action::Assign) {
        let free = shelf
            .descriptors
            .iter()
            .filter(|(_, descriptor)| descriptor.kind == ReleaseKind::Model && shelf.barred(descriptor).is_none());
        free.map(|(target, descriptor)| AssignOption {
            target: target.clone(),
            title: format!("{} {}", descriptor.name, descriptor.version),
            current: current(target),
        })
        .collect()
    } else {
        Vec::new()
    };
    let nothing = !may(Action::DecideEnrolment) && !may(Action::Assign) && !may(Action::Attest);
    Actions {
        approve: decide,
        refuse: decide,
        attest: approved && may(Action::Attest),
        assign,
        token: approved && may(Action::ManageTokens),
        retire: may(Action::RemoveBox),
        why_not: if nothing {
            format!("your role `{}` may look", visitor.account.role)
        } else {
            String::new()
        },
    }
}

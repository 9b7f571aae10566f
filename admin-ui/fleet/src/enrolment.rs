//! Enrolment: from a stranger's first message to a member that a person approved.
//!
//! Refuses to write a row before the proof of possession holds, and to let a name change its EK or an EK its name.
//! Invariant: a failed or repeated proof ends the session and leaves nothing behind.

use freehold_verify::Refusal;

use crate::effect::{Effect, Entry};
use crate::event::{Answer, Outcome};
use crate::member::{EkTrust, Keys, Member, Membership, TpmKind};
use crate::rejection::FleetRejection;
use crate::rules::Rules;
use crate::state::Fleet;

/// Longest label in bytes: bounds what a stranger can put on a page.
pub const LABEL_LIMIT: usize = 64;

/// An open enrolment: what was shown. What must come back is kept by the verifier (`freehold_verify::identity::Enrolling`),
/// in memory only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Random name of the session.
    pub session: String,
    /// The fleet that the box was paired with.
    pub fleet: String,
    /// The site that the box was paired with.
    pub site: String,
    /// The box's identifier.
    pub box_id: String,
    /// The label.
    pub label: String,
    /// SHA-256 of the EK's SubjectPublicKeyInfo, hex.
    pub ek: String,
    /// The EK's TPMT_PUBLIC.
    pub ek_public: Vec<u8>,
    /// Why the EK is believed.
    pub ek_trust: EkTrust,
    /// The keys.
    pub keys: Keys,
    /// Unix seconds at which it was opened.
    pub opened: i64,
    /// Whether its messages travel by stick: then it stays open longer.
    pub by_stick: bool,
}

impl Session {
    /// Whether it has run out at `now`.
    fn is_over(&self, rules: &Rules, now: i64) -> bool {
        let life = if self.by_stick {
            rules.stick_max_age
        } else {
            rules.session_ttl
        };
        now.saturating_sub(self.opened) > life
    }
}

/// Whether an identifier has the form `word-word-hex4`. It stands in paths, pages and the record, so nothing else is let in.
#[must_use]
pub fn is_box_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(first), Some(second), Some(third), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let word = |part: &str| (2..=12).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let hex = |part: &str| {
        (4..=16).contains(&part.len())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    word(first) && word(second) && hex(third)
}

fn is_label(text: &str) -> bool {
    text.len() <= LABEL_LIMIT && !text.chars().any(char::is_control)
}

/// The rules that hold before and, again, after the proof: between the two, another session may have won.
fn admissible(fleet: &Fleet, session: &Session) -> Result<(), FleetRejection> {
    if session.fleet != fleet.id {
        return Err(FleetRejection::OtherFleet {
            expected: fleet.id.clone(),
            found: clipped(&session.fleet),
        });
    }
    if !fleet.serves(&session.site) {
        return Err(FleetRejection::OtherSite {
            expected: fleet.site.clone(),
            found: clipped(&session.site),
        });
    }
    if !is_box_id(&session.box_id) {
        return Err(FleetRejection::BadBoxId {
            length: session.box_id.len(),
        });
    }
    if !is_label(&session.label) {
        return Err(FleetRejection::BadLabel {
            length: session.label.len(),
        });
    }
    if session.ek_trust.kind() == TpmKind::Software && !fleet.rules.accept_simulated {
        return Err(FleetRejection::SimulatedRefused);
    }
    if let Some(member) = fleet.boxes.get(&session.box_id) {
        if member.ek != session.ek {
            return Err(FleetRejection::IdTaken {
                box_id: session.box_id.clone(),
            });
        }
        if matches!(member.membership, Membership::Refused { .. }) {
            return Err(FleetRejection::RefusedByPerson {
                box_id: session.box_id.clone(),
            });
        }
    }
    if let Some(owner) = fleet.eks.get(&session.ek).filter(|owner| **owner != session.box_id) {
        return Err(FleetRejection::EkTaken { box_id: owner.clone() });
    }
    if let Some(owner) = fleet
        .keys
        .get(&session.keys.tls_spki)
        .filter(|owner| **owner != session.box_id)
    {
        return Err(FleetRejection::KeyTaken { box_id: owner.clone() });
    }
    let waiting = fleet.boxes.values().filter(|member| member.waits_for_person()).count();
    if waiting >= fleet.rules.max_waiting && !fleet.boxes.contains_key(&session.box_id) {
        return Err(FleetRejection::Busy { open: waiting });
    }
    Ok(())
}

/// At most 64 characters of a stranger's text, control characters shown as `?`.
fn clipped(text: &str) -> String {
    text.chars()
        .take(64)
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

fn stranger(session: &Session, kind: &str, now: i64, site: &str) -> Entry {
    Entry::new(kind, now, site, &format!("box:{}", clipped(&session.box_id)))
        .about(&clipped(&session.box_id))
        .fact("ek", session.ek.clone())
        .fact("tls_key", session.keys.tls_spki.clone())
}

pub(crate) fn begin(fleet: &Fleet, session: &Session, now: i64) -> Outcome {
    // Sessions that ran out, and an older one of the same key, make room.
    let mut effects: Vec<Effect> = fleet
        .sessions
        .values()
        .filter(|open| open.is_over(&fleet.rules, now) || open.keys.tls_spki == session.keys.tls_spki)
        .map(|open| Effect::SessionClosed {
            session: open.session.clone(),
        })
        .collect();
    let left = fleet.sessions.len().saturating_sub(effects.len());
    let room = if left >= fleet.rules.max_sessions {
        Err(FleetRejection::Busy { open: left })
    } else {
        Ok(())
    };
    let fault = admissible(fleet, session).and(room);
    if let Err(rejection) = fault {
        let entry = stranger(session, "enrol.begun", now, &fleet.site).refused(rejection.code());
        effects.push(Effect::Record(entry));
        return Outcome {
            effects,
            answer: Err(rejection),
        };
    }
    effects.push(Effect::SessionOpened(Box::new(session.clone())));
    Outcome::accepted(Answer::Done, effects)
}

pub(crate) fn prove(
    fleet: &Fleet,
    session: &str,
    tls_spki: &str,
    fault: Option<&(&'static str, String)>,
    now: i64,
) -> Outcome {
    let Some(open) = fleet.sessions.get(session) else {
        return Outcome::refused(FleetRejection::SessionUnknown)
            .record(Entry::new("enrol.proof", now, &fleet.site, "stranger").refused("enrol.session_unknown"));
    };
    if open.keys.tls_spki != tls_spki {
        // Not closed: else a stranger who guessed the name could end somebody's enrolment.
        return Outcome::refused(FleetRejection::SessionOfOtherKey)
            .record(stranger(open, "enrol.proof", now, &fleet.site).refused("enrol.session_other_key"));
    }
    let close = Effect::SessionClosed {
        session: session.to_owned(),
    };
    let refuse = |rejection: FleetRejection| {
        let entry = stranger(open, "enrol.proof", now, &fleet.site).refused(rejection.code());
        Outcome {
            effects: vec![close.clone(), Effect::Record(entry)],
            answer: Err(rejection),
        }
    };
    if open.is_over(&fleet.rules, now) || now < open.opened {
        return refuse(FleetRejection::SessionExpired);
    }
    if let Some((code, reason)) = fault {
        return refuse(FleetRejection::ProofFailed {
            reason: reason.clone(),
            code,
        });
    }
    if let Err(rejection) = admissible(fleet, open) {
        return refuse(rejection);
    }
    let member = match fleet.boxes.get(&open.box_id) {
        None => Member {
            box_id: open.box_id.clone(),
            site: open.site.clone(),
            label: open.label.clone(),
            ek: open.ek.clone(),
            ek_public: open.ek_public.clone(),
            ek_trust: open.ek_trust.clone(),
            membership: Membership::Waiting,
            active: None,
            pending: Some(open.keys.clone()),
            enrolled_at: now,
            verdict: None,
            last_good: None,
            assignment: None,
            cosigned: None,
            tokens: Vec::new(),
            attest_wanted: false,
            report: None,
            report_at: None,
            inventory: None,
            challenge: None,
            spent: Vec::new(),
        },
        // The same EK: nothing to decide when the keys are those in use, else a person decides while the old keys go on.
        Some(known) => {
            let mut member = known.clone();
            member.label.clone_from(&open.label);
            if member.active.as_ref() == Some(&open.keys) {
                member.pending = None;
            } else {
                member.pending = Some(open.keys.clone());
            }
            member
        }
    };
    let entry = stranger(open, "enrol.proven", now, &fleet.site)
        .fact("fingerprint", open.keys.fingerprint.clone())
        .fact("tpm", open.ek_trust.kind().word());
    let effects = vec![close, Effect::BoxSaved(Box::new(member.clone())), Effect::Record(entry)];
    Outcome::accepted(Answer::Member(Box::new(member)), effects)
}

pub(crate) fn approve(fleet: &Fleet, box_id: &str, fingerprint: &str, ek: Option<&str>, by: &str, now: i64) -> Outcome {
    let entry = Entry::new("enrol.approved", now, &fleet.site, by).about(&clipped(box_id));
    let refuse = |rejection: FleetRejection| {
        let entry = entry.clone().refused(rejection.code());
        Outcome::refused(rejection).record(entry)
    };
    let waiting = fleet.boxes.get(box_id).filter(|member| member.waits_for_person());
    let Some((member, keys)) = waiting.and_then(|member| member.pending.clone().map(|keys| (member, keys))) else {
        return refuse(FleetRejection::NothingWaits {
            box_id: clipped(box_id),
        });
    };
    if keys.fingerprint != fingerprint {
        return refuse(FleetRejection::FingerprintDiffers {
            expected: keys.fingerprint,
            found: clipped(fingerprint),
        });
    }
    if member.ek_trust == EkTrust::Hash && ek != Some(member.ek.as_str()) {
        return refuse(FleetRejection::EkNotApproved { ek: member.ek.clone() });
    }
    let mut approved = member.clone();
    // New keys start without a verdict: what the old ones proved says nothing about them.
    if approved.active.as_ref() != Some(&keys) {
        approved.verdict = None;
    }
    // A record under another key is another record: it begins anew, and the entry says where the old one stood.
    let same_record = approved
        .active
        .as_ref()
        .is_some_and(|active| active.record_spki_der == keys.record_spki_der);
    let left = approved.cosigned.take_if(|_| !same_record);
    approved.active = Some(keys.clone());
    approved.pending = None;
    approved.membership = Membership::Approved {
        by: by.to_owned(),
        at: now,
    };
    let entry = entry
        .fact("fingerprint", keys.fingerprint)
        .fact("ek", member.ek.clone());
    let entry = match left {
        Some(head) => entry
            .fact("record_left_at", head.size)
            .fact("record_left_root", head.root),
        None => entry,
    };
    Outcome::accepted(
        Answer::Member(Box::new(approved.clone())),
        vec![Effect::BoxSaved(Box::new(approved)), Effect::Record(entry)],
    )
}

pub(crate) fn refuse(fleet: &Fleet, box_id: &str, by: &str, now: i64) -> Outcome {
    let entry = Entry::new("enrol.refused", now, &fleet.site, by).about(&clipped(box_id));
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.waits_for_person()) else {
        return Outcome::refused(FleetRejection::NothingWaits {
            box_id: clipped(box_id),
        })
        .record(entry.refused("enrol.nothing_waits"));
    };
    let mut refused = member.clone();
    refused.pending = None;
    // Refusing new keys of a member does not put the member out; refusing a first enrolment does.
    if refused.active.is_none() {
        refused.membership = Membership::Refused {
            by: by.to_owned(),
            at: now,
        };
    }
    Outcome::accepted(
        Answer::Member(Box::new(refused.clone())),
        vec![Effect::BoxSaved(Box::new(refused)), Effect::Record(entry)],
    )
}

pub(crate) fn remove(fleet: &Fleet, box_id: &str, by: &str, now: i64) -> Outcome {
    let entry = Entry::new("enrol.removed", now, &fleet.site, by).about(&clipped(box_id));
    if !fleet.boxes.contains_key(box_id) {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: clipped(box_id),
        })
        .record(entry.refused("enrol.unknown_box"));
    }
    Outcome::accepted(
        Answer::Done,
        vec![
            Effect::BoxRemoved {
                box_id: box_id.to_owned(),
            },
            Effect::Record(entry),
        ],
    )
}

//! The fleet's state, its one way to decide and its one way to change.
//!
//! Refuses to mix the two: [`Fleet::decide`] reads, [`Fleet::apply`] writes. Invariant: the indexes over EK, keys and nonces
//! agree with the boxes after every effect (a property test holds that).

use std::collections::{BTreeMap, HashMap};

use crate::challenge::{self, SPENT_REMEMBERED, Spent, SpentNonce};
use crate::effect::{Effect, Entry};
use crate::enrolment::{self, Session};
use crate::event::{Answer, Event, Outcome};
use crate::lease::LeaseOrder;
use crate::member::Member;
use crate::rejection::FleetRejection;
use crate::rules::Rules;
use crate::verdict::{self, Verdict, VerdictView};
use crate::{assignment, lease, report};

/// A fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its identifier.
    pub id: String,
    /// The site that this console serves.
    pub site: String,
    /// Its numbers.
    pub rules: Rules,
    /// When this console process started, Unix seconds: verdicts from before do not count.
    pub started: i64,
    pub(crate) boxes: BTreeMap<String, Member>,
    pub(crate) eks: HashMap<String, String>,
    pub(crate) keys: HashMap<String, String>,
    pub(crate) nonces: HashMap<[u8; 32], String>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) counters: HashMap<String, u64>,
    /// What people did about verdict leases; it outlives a box, which remembers the count.
    pub(crate) leases: HashMap<String, LeaseOrder>,
}

impl Fleet {
    /// A fleet without boxes.
    #[must_use]
    pub fn new(id: &str, site: &str, rules: Rules, started: i64) -> Self {
        Self {
            id: id.to_owned(),
            site: site.to_owned(),
            rules,
            started,
            boxes: BTreeMap::new(),
            eks: HashMap::new(),
            keys: HashMap::new(),
            nonces: HashMap::new(),
            sessions: HashMap::new(),
            counters: HashMap::new(),
            leases: HashMap::new(),
        }
    }

    /// The boxes, by identifier.
    #[must_use]
    pub const fn boxes(&self) -> &BTreeMap<String, Member> {
        &self.boxes
    }

    /// The part of the fleet that stands at some sites, for people who may see no more. It is for looking: sessions and
    /// nonces are left out.
    #[must_use]
    pub fn at_sites(&self, sees: impl Fn(&str) -> bool) -> Self {
        let mut part = Self::new(&self.id, &self.site, self.rules.clone(), self.started);
        for (id, member) in self.boxes.iter().filter(|(_, member)| sees(&member.site)) {
            part.boxes.insert(id.clone(), member.clone());
            if let Some(counter) = self.counters.get(id) {
                part.counters.insert(id.clone(), *counter);
            }
            if let Some(order) = self.leases.get(id) {
                part.leases.insert(id.clone(), order.clone());
            }
        }
        part
    }

    /// Whether this console serves a site.
    #[must_use]
    pub fn serves(&self, site: &str) -> bool {
        self.site == site || self.rules.sites.iter().any(|other| other == site)
    }

    /// Every site, the console's own first.
    pub fn sites(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.site.as_str()).chain(self.rules.sites.iter().map(String::as_str))
    }

    /// One box.
    #[must_use]
    pub fn member(&self, box_id: &str) -> Option<&Member> {
        self.boxes.get(box_id)
    }

    /// The box that a TLS key belongs to, waiting or approved (SHA-256 of the SPKI, hex).
    #[must_use]
    pub fn by_key(&self, tls_spki: &str) -> Option<&Member> {
        self.keys.get(tls_spki).and_then(|box_id| self.boxes.get(box_id))
    }

    /// The approved box whose key in use this is.
    #[must_use]
    pub fn approved_by_key(&self, tls_spki: &str) -> Option<&Member> {
        self.by_key(tls_spki)
            .filter(|member| member.is_approved())
            .filter(|member| member.active.as_ref().is_some_and(|keys| keys.tls_spki == tls_spki))
    }

    /// An open enrolment session.
    #[must_use]
    pub fn session(&self, session: &str) -> Option<&Session> {
        self.sessions.get(session)
    }

    /// The verdict on a box as it counts at `now`.
    #[must_use]
    pub fn verdict_of<'a>(&self, member: &'a Member, now: i64) -> VerdictView<'a> {
        verdict::view(member.verdict.as_ref(), &self.rules, self.started, now)
    }

    /// The counter that the next assignment of a box must carry; it survives the removal of the box, because the box
    /// remembers what it saw.
    #[must_use]
    pub fn next_counter(&self, box_id: &str) -> u64 {
        self.counters.get(box_id).copied().unwrap_or(0).saturating_add(1)
    }

    /// Puts the last counter of a box back, as it was read at start; never lowers it.
    pub fn restore_counter(&mut self, box_id: &str, counter: u64) {
        let last = self.counters.entry(box_id.to_owned()).or_default();
        *last = counter.max(*last);
    }

    /// What people did about a box's verdict lease, if anything.
    #[must_use]
    pub fn lease_order(&self, box_id: &str) -> Option<&LeaseOrder> {
        self.leases.get(box_id)
    }

    /// Whether the console wants new evidence of a box.
    #[must_use]
    pub fn wants_evidence(&self, member: &Member, now: i64) -> bool {
        let age = member.verdict.as_ref().map(|last| now.saturating_sub(last.at));
        let before_start = member.verdict.as_ref().is_some_and(|last| last.at < self.started);
        member.attest_wanted || before_start || age.is_none_or(|age| age >= self.rules.evidence_every())
    }

    /// Decides what comes of an event. Changes nothing.
    #[must_use]
    pub fn decide(&self, event: &Event, now: i64) -> Outcome {
        match event {
            Event::EnrolBegun(session) => enrolment::begin(self, session, now),
            Event::ProofChecked {
                session,
                tls_spki,
                fault,
            } => enrolment::prove(self, session, tls_spki, fault.as_ref(), now),
            Event::Approved {
                box_id,
                fingerprint,
                ek,
                by,
            } => enrolment::approve(self, box_id, fingerprint, ek.as_deref(), by, now),
            Event::Refused { box_id, by } => enrolment::refuse(self, box_id, by, now),
            Event::Removed { box_id, by } => enrolment::remove(self, box_id, by, now),
            Event::ChallengeAsked { box_id, nonce } => challenge::issue(self, box_id, *nonce, now),
            Event::ChallengeBack { box_id, challenge } => challenge::restore(self, box_id, challenge),
            Event::ChallengeAnswered { box_id, nonce } => challenge::answer(self, box_id, nonce, now),
            Event::Appraised {
                box_id,
                verdict,
                evidence,
            } => self.appraised(box_id, verdict, evidence, now),
            Event::Assigned { box_id, head, envelope } => assignment::assign(self, box_id, head, envelope, now),
            Event::AssignmentAsked { box_id } => assignment::ask(self, box_id, now),
            Event::Reported { box_id, report } => report::take(self, box_id, report, now),
            Event::CheckpointShown { box_id, head } => assignment::cosign(self, box_id, head, now),
            Event::TokenMade { box_id, token } => assignment::make_token(self, box_id, token, now),
            Event::TokenWithdrawn { box_id, id, by } => assignment::withdraw_token(self, box_id, id, by, now),
            Event::LeaseChanged { box_id, change, by } => lease::change(self, box_id, change, by, now),
            Event::AttestWanted { box_id, by } => self.attest_wanted(box_id, by, now),
        }
    }

    /// `(fleet, event, now) → (fleet, effects)`: decides and applies.
    #[must_use]
    pub fn step(mut self, event: &Event, now: i64) -> (Self, Outcome) {
        let outcome = self.decide(event, now);
        for effect in &outcome.effects {
            self.apply(effect);
        }
        (self, outcome)
    }

    fn appraised(&self, box_id: &str, verdict: &Verdict, evidence: &[u8], now: i64) -> Outcome {
        if !self.boxes.get(box_id).is_some_and(Member::is_approved) {
            return Outcome::refused(FleetRejection::UnknownBox {
                box_id: box_id.to_owned(),
            });
        }
        let mut entry = Entry::new("verdict.reached", now, &self.site, "console")
            .about(box_id)
            .fact("verdict", verdict.word.word())
            .fact("evidence", verdict.evidence.clone())
            .fact("policies", verdict.policies.clone());
        if let Some(first) = verdict.refusals.first() {
            entry = entry.refused(&first.code);
        }
        let reached = Effect::VerdictReached {
            box_id: box_id.to_owned(),
            verdict: Box::new(verdict.clone()),
            evidence: evidence.to_vec(),
        };
        Outcome::accepted(Answer::Done, vec![reached, Effect::Record(entry)])
    }

    fn attest_wanted(&self, box_id: &str, by: &str, now: i64) -> Outcome {
        let entry = Entry::new("evidence.wanted", now, &self.site, by).about(box_id);
        if !self.boxes.get(box_id).is_some_and(Member::is_approved) {
            return Outcome::refused(FleetRejection::UnknownBox {
                box_id: box_id.to_owned(),
            })
            .record(entry.refused("enrol.unknown_box"));
        }
        Outcome::accepted(
            Answer::Done,
            vec![
                Effect::AttestWanted {
                    box_id: box_id.to_owned(),
                },
                Effect::Record(entry),
            ],
        )
    }

    /// Puts a stored box back, as it was read at start.
    pub fn restore(&mut self, member: Member) {
        self.apply(&Effect::BoxSaved(Box::new(member)));
    }

    /// Applies one effect. Total: an effect about a box that is gone changes nothing.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::SessionOpened(session) => {
                self.sessions.insert(session.session.clone(), (**session).clone());
            }
            Effect::SessionClosed { session } => {
                self.sessions.remove(session);
            }
            Effect::BoxSaved(member) => self.save(member),
            Effect::BoxRemoved { box_id } => self.unlink(box_id),
            Effect::ChallengeIssued { box_id, challenge } => {
                let Some(member) = self.boxes.get_mut(box_id) else {
                    return;
                };
                if let Some(old) = member.challenge.replace(challenge.clone()) {
                    self.nonces.remove(&old.nonce);
                    remember(member, old.nonce, Spent::Superseded);
                }
                self.nonces.insert(challenge.nonce, box_id.clone());
            }
            Effect::ChallengeSpent { box_id, nonce } => {
                let Some(member) = self.boxes.get_mut(box_id) else {
                    return;
                };
                if member.challenge.as_ref().is_some_and(|open| open.nonce == *nonce) {
                    member.challenge = None;
                    remember(member, *nonce, Spent::Answered);
                    self.nonces.remove(nonce);
                }
            }
            Effect::VerdictReached { box_id, verdict, .. } => {
                let Some(member) = self.boxes.get_mut(box_id) else {
                    return;
                };
                if verdict.word.allows_change() {
                    member.last_good = Some(verdict.lean());
                }
                // PCRs and events are looked up in the store when a person asks for them.
                member.verdict = Some(verdict.lean());
                member.attest_wanted = false;
            }
            Effect::VerdictLost { box_id } => self.with(box_id, |member| member.verdict = None),
            Effect::Assigned { box_id, head, .. } => {
                self.restore_counter(box_id, head.counter);
                self.with(box_id, |member| member.assignment = Some(head.clone()));
            }
            Effect::ReportTaken { box_id, report, at } => self.with(box_id, |member| {
                if report.inventory.is_some() {
                    member.inventory.clone_from(&report.inventory);
                }
                member.report = Some((**report).clone());
                member.report_at = Some(*at);
            }),
            Effect::Cosigned { box_id, head } => self.with(box_id, |member| member.cosigned = Some(head.clone())),
            Effect::TokenMade { box_id, token } => self.with(box_id, |member| member.tokens.push(token.clone())),
            Effect::TokenWithdrawn { box_id, id } => {
                self.with(box_id, |member| member.tokens.retain(|token| token.id != *id));
            }
            Effect::LeaseSaved { box_id, order } => {
                self.leases.insert(box_id.clone(), order.clone());
            }
            Effect::AttestWanted { box_id } => self.with(box_id, |member| member.attest_wanted = true),
            Effect::Record(_) => {}
        }
    }

    fn with(&mut self, box_id: &str, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.boxes.get_mut(box_id) {
            change(member);
        }
    }

    fn save(&mut self, member: &Member) {
        let open = self.boxes.get(&member.box_id).and_then(|old| old.challenge.clone());
        self.unlink(&member.box_id);
        self.eks.insert(member.ek.clone(), member.box_id.clone());
        for keys in member.active.iter().chain(&member.pending) {
            self.keys.insert(keys.tls_spki.clone(), member.box_id.clone());
        }
        let mut member = member.clone();
        // A challenge was asked by the keys in use; it goes on only if the box is still one of the fleet.
        member.challenge = open.filter(|_| member.is_approved());
        if let Some(open) = &member.challenge {
            self.nonces.insert(open.nonce, member.box_id.clone());
        }
        self.boxes.insert(member.box_id.clone(), member);
    }

    fn unlink(&mut self, box_id: &str) {
        let Some(old) = self.boxes.remove(box_id) else { return };
        self.eks.remove(&old.ek);
        for keys in old.active.iter().chain(&old.pending) {
            self.keys.remove(&keys.tls_spki);
        }
        if let Some(open) = &old.challenge {
            self.nonces.remove(&open.nonce);
        }
    }
}

fn remember(member: &mut Member, nonce: [u8; 32], why: Spent) {
    member.spent.push(SpentNonce { nonce, why });
    if member.spent.len() > SPENT_REMEMBERED {
        member.spent.remove(0);
    }
}

//! Letters: what each box of a bundle would hear at the boxes' door.
//!
//! Refuses to hand an assignment to a box whose verdict allows no change, as the door does. Invariant: a note about a box is kept
//! before anything is promised from it.

use freehold_fleet::{Answer, Event};
use freehold_protocol::enrol::{EnrolChallenge, EnrolState};
use freehold_protocol::report::{Challenge, VerdictAnswer};
use freehold_protocol::stick::{Cosigned, Letter};
use freehold_protocol::{Base64, V1};
use freehold_store::{Change, StickChange};
use freehold_trust::dsse::Envelope;
use freehold_verify::document::{Assignment, MAX_DOCUMENT};
use serde::{Deserialize, Serialize};

use crate::boxes::{enrol, report};
use crate::console::Console;
use crate::refused::Refused;

/// What is remembered about a box for its next letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// SHA-256 of the TLS key that it is about, hex.
    pub(crate) tls: String,
    /// An open credential.
    pub(crate) credential: Option<EnrolChallenge>,
    /// The head that was cosigned last.
    pub(crate) cosigned: Option<Cosigned>,
    /// Evidence that came with the proof, before a person approved.
    pub(crate) held: Option<Base64>,
}

impl Console {
    pub(crate) async fn note_of(&self, box_id: &str) -> Result<Note, Refused> {
        let notes = self
            .0
            .store
            .stick_notes()
            .await
            .map_err(|error| Refused::inside(&error))?;
        let found = notes.into_iter().find(|(of, _)| of == box_id);
        Ok(found
            .and_then(|(_, document)| serde_json::from_str(&document).ok())
            .unwrap_or_default())
    }

    pub(crate) async fn keep_note(&self, box_id: &str, note: &Note) -> Result<(), Refused> {
        let document = serde_json::to_string(note).unwrap_or_default();
        let box_id = box_id.to_owned();
        self.stick_change(&StickChange::Noted { box_id, document }).await
    }

    /// A change that no entry of its own belongs to.
    pub(crate) async fn stick_change(&self, change: &StickChange) -> Result<(), Refused> {
        let sealed = async { Ok::<(), std::convert::Infallible>(()) };
        let done = self.0.store.commit(&[Change::Stick(change)], sealed).await;
        done.map_err(|error| Refused::inside(&error))
    }

    /// The letter for a box, with this challenge.
    pub(crate) async fn letter(&self, box_id: &str, challenge: Option<Challenge>) -> Result<Letter, Refused> {
        let note = self.note_of(box_id).await?;
        let now = self.now();
        let (tls, approved, achieved, verdict) = {
            let fleet = self.fleet();
            let member = fleet.member(box_id);
            let keys = member.and_then(|member| member.pending.as_ref().or(member.active.as_ref()));
            let tls = keys.map_or_else(|| note.tls.clone(), |keys| keys.tls_spki.clone());
            let approved = member.filter(|member| member.is_approved());
            let verdict = approved.map(|member| {
                let view = fleet.verdict_of(member, now);
                VerdictAnswer {
                    v: V1,
                    verdict: view.word,
                    because: view.stored.map(|stored| stored.because.clone()).unwrap_or_default(),
                    refusals: view.stored.map(|stored| stored.refusals.clone()).unwrap_or_default(),
                    certificate: None,
                    time: None,
                    assignment: member.assignment.as_ref().map(|head| head.counter),
                }
            });
            let achieved = approved.and_then(|member| member.report.as_ref()?.achieved);
            (tls, approved.is_some(), achieved, verdict)
        };
        if tls.is_empty() {
            return Err(Refused::not_found("box"));
        }
        let enrol = enrol::standing(self, &tls);
        let open = note
            .credential
            .filter(|credential| self.enrolling(&credential.session).is_some());
        let credential = open.filter(|_| enrol.state == EnrolState::Unknown);
        let answer = approved.then(|| report::answer(self, box_id, achieved)).transpose()?;
        let assignment = self.assignment_for(box_id, approved).await?;
        let approvals = self.approvals_of(box_id, assignment.as_ref()).await?;
        Ok(Letter {
            v: V1,
            box_id: box_id.to_owned(),
            tls,
            credential,
            challenge,
            verdict,
            answer,
            assignment,
            approvals,
            cosigned: note.cosigned,
            enrol,
        })
    }

    async fn assignment_for(&self, box_id: &str, approved: bool) -> Result<Option<Base64>, Refused> {
        if !approved {
            return Ok(None);
        }
        let box_id = box_id.to_owned();
        let asked = self.happen(Event::AssignmentAsked { box_id: box_id.clone() }).await;
        // A box without a good verdict gets none, over the wire as by stick.
        let Ok(Answer::Assignment(Some(counter))) = asked else {
            return Ok(None);
        };
        let stored = self.0.store.assignment_of(&box_id, counter).await;
        Ok(stored.map_err(|error| Refused::inside(&error))?.map(Base64))
    }

    /// The packages that an assignment names. The box judges them, and refuses an assignment that lacks one.
    pub(crate) async fn approvals_of(&self, box_id: &str, assignment: Option<&Base64>) -> Result<Vec<Base64>, Refused> {
        let envelope = assignment.and_then(|bytes| Envelope::parse(&bytes.0, MAX_DOCUMENT).ok());
        let named = envelope.and_then(|envelope| serde_json::from_slice::<Assignment>(&envelope.payload).ok());
        let mut packages = Vec::new();
        for named in named.map(|assignment| assignment.approvals).unwrap_or_default() {
            let package = self.0.store.approval_package(box_id, &named.to_hex()).await;
            packages.extend(package.map_err(|error| Refused::inside(&error))?.map(Base64));
        }
        Ok(packages)
    }
}

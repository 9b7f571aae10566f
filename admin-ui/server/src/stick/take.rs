//! Taking a return in: opened, its signature checked, each message given to the function that the boxes' door gives it to.
//!
//! Refuses a return to a bundle that was not made here, and one that is not newer than the last of its box. Invariant: a return is
//! kept before its messages are looked at, so that a console that is killed in between is told again and does not do it twice.

use std::collections::BTreeMap;
use std::fs;

use axum::Extension;
use axum::extract::State;
use freehold_channel::{IssuedBy, PeerIdentity};
use freehold_fleet::{Challenge, Event};
use freehold_protocol::Base64;
use freehold_protocol::report::{BoxReport, RecordCheckpoint};
use freehold_protocol::stick::{ACTIVATE, BEGIN, Cosigned, ENTRIES, EVIDENCE, Pages, RECORD, REPORT};
use freehold_record::{Checkpoint, Frontier, SignedNote, leaf_hash};
use freehold_store::{ReturnRow, StickChange};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::stick::{Return, StickRejection, verify_return};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::letter::Note;
use super::show::Outcome;
use crate::appraise;
use crate::body::Told;
use crate::boxes::caller::{Key, Member};
use crate::boxes::enrol::{self, Way};
use crate::boxes::{evidence, report};
use crate::console::Console;
use crate::refused::Refused;

/// Most bytes of record entries kept of one box: bounds what a box that was taken over can fill the console's disk with.
const MAX_MIRROR: u64 = 4 << 30;

impl Console {
    /// Takes a return in.
    ///
    /// # Errors
    /// 422 with the code of what is wrong with it as a whole. What is wrong with one message stands in the answer.
    pub async fn take_return(&self, bytes: Vec<u8>, by: &str) -> Result<Value, Refused> {
        let name = sha256(&bytes);
        let opened = self.open_return(bytes).await;
        let (statement, tls, spki_der, messages) = match opened {
            Ok(opened) => opened,
            Err(refused) => {
                let entry = self.entry("bundle.returned", by).refused(&refused.report.code);
                self.record(entry).await?;
                return Err(refused);
            }
        };
        let known = self
            .fleet()
            .approved_by_key(&tls.to_hex())
            .map(|member| member.box_id.clone());
        let box_id = known.clone().unwrap_or_else(|| statement.box_id.clone());
        let row = ReturnRow {
            sha256: name.to_hex(),
            box_id: box_id.clone(),
            tls_spki: tls.to_hex(),
            number: i64::try_from(statement.number).unwrap_or(i64::MAX),
            sequence: i64::try_from(statement.sequence).unwrap_or(i64::MAX),
            at: self.now(),
            document: String::new(),
        };
        if let Some(done) = self.admit_return(&row, &statement, by).await? {
            return Ok(done);
        }
        let peer = PeerIdentity {
            spki: tls,
            spki_der,
            issued_by: IssuedBy::Itself,
            not_before: 0,
            not_after: i64::MAX,
        };
        let mut outcome = Outcome::default();
        self.hear(&peer, known.as_deref(), &messages, &mut outcome).await?;
        let document = serde_json::to_string(&outcome).unwrap_or_default();
        self.stick_change(&StickChange::Outcome {
            sha256: row.sha256.clone(),
            document,
        })
        .await?;
        let entry = self
            .entry("bundle.returned", by)
            .about(&box_id)
            .fact("number", statement.number)
            .fact("sequence", statement.sequence)
            .fact("taken", outcome.taken.clone());
        let entry = match outcome.refused.values().next() {
            Some(code) => entry.refused(code),
            None => entry,
        };
        self.record(entry).await?;
        Ok(said(&row, &outcome, false))
    }

    async fn open_return(
        &self,
        bytes: Vec<u8>,
    ) -> Result<(Return, Sha256Digest, Vec<u8>, BTreeMap<String, Vec<u8>>), Refused> {
        let key = self.returns_key()?;
        let fleet = self.0.file.fleet.clone();
        let opened = tokio::task::spawn_blocking(move || verify_return(&bytes, &key, &fleet)).await;
        let opened = opened.map_err(|error| Refused::inside(&error))?;
        let (statement, signer, messages) = opened.map_err(Refused::reported)?;
        let number = i64::try_from(statement.number).unwrap_or(i64::MAX);
        let made = self
            .0
            .store
            .bundle(number)
            .await
            .map_err(|error| Refused::inside(&error))?;
        if made.is_none_or(|row| row.digest != statement.set.to_hex()) {
            return Err(Refused::of(&StickRejection::UnknownBundle {
                found: statement.number,
            }));
        }
        let (tls, spki) = (signer.fingerprint(), signer.spki_der().to_vec());
        Ok((statement.into_inner(), tls, spki, messages))
    }

    /// Keeps the return, or answers what came of it when it was taken before.
    async fn admit_return(&self, row: &ReturnRow, statement: &Return, by: &str) -> Result<Option<Value>, Refused> {
        let last = self.0.store.last_return(&row.tls_spki).await;
        let last = last.map_err(|error| Refused::inside(&error))?;
        match last {
            Some(last) if last.sha256 == row.sha256 => {
                // Kept, and perhaps not heard to its end: then it is heard again.
                let outcome = serde_json::from_str::<Outcome>(&last.document);
                Ok(outcome.ok().map(|outcome| said(&last, &outcome, true)))
            }
            Some(last) if last.sequence >= row.sequence => {
                let fault = StickRejection::ReturnReplayed {
                    last: u64::try_from(last.sequence).unwrap_or(0),
                    found: statement.sequence,
                };
                let refused = Refused::of(&fault);
                let entry = self.entry("bundle.returned", by).about(&row.box_id);
                self.record(entry.refused(&refused.report.code)).await?;
                Err(refused)
            }
            _ => {
                self.stick_change(&StickChange::Returned(row.clone())).await?;
                Ok(None)
            }
        }
    }

    /// Each message in the order of the conversation.
    async fn hear(
        &self,
        peer: &PeerIdentity,
        member: Option<&str>,
        messages: &BTreeMap<String, Vec<u8>>,
        outcome: &mut Outcome,
    ) -> Result<(), Refused> {
        if let Some(bytes) = messages.get(BEGIN) {
            let heard = self.hear_begin(peer, bytes).await;
            note(outcome, BEGIN, heard)?;
        }
        if let Some(bytes) = messages.get(ACTIVATE) {
            let heard = self.hear_activate(peer, bytes, messages.get(EVIDENCE)).await;
            note(outcome, ACTIVATE, heard)?;
        }
        let Some(box_id) = member else { return Ok(()) };
        if let Some(bytes) = messages.get(EVIDENCE) {
            let heard = self.hear_evidence(box_id, peer.spki, bytes.clone()).await;
            if let Ok(word) = &heard {
                outcome.verdict = Some(word.clone());
            }
            note(outcome, EVIDENCE, heard.map(|_| ()))?;
        }
        if let Some(bytes) = messages.get(REPORT) {
            let heard = self.hear_report(box_id, bytes).await;
            outcome.achieved = *heard.as_ref().unwrap_or(&false);
            note(outcome, REPORT, heard.map(|_| ()))?;
        }
        if let Some(bytes) = messages.get(RECORD) {
            let pages = messages.get(ENTRIES).map(Vec::as_slice);
            let heard = self.hear_record(box_id, bytes, pages).await;
            outcome.entries = *heard.as_ref().unwrap_or(&0);
            note(outcome, RECORD, heard.map(|_| ()))?;
        }
        Ok(())
    }

    async fn hear_begin(&self, peer: &PeerIdentity, bytes: &[u8]) -> Result<(), Refused> {
        let message: freehold_protocol::enrol::EnrolBegin = read(bytes)?;
        let box_id = message.box_id.clone();
        let credential = enrol::begin_with(self, peer.clone(), message, Way::Stick).await?;
        let mut kept = self.note_of(&box_id).await?;
        kept.tls = peer.spki.to_hex();
        kept.credential = Some(credential);
        kept.held = None;
        self.keep_note(&box_id, &kept).await
    }

    async fn hear_activate(&self, peer: &PeerIdentity, bytes: &[u8], held: Option<&Vec<u8>>) -> Result<(), Refused> {
        let message = read(bytes)?;
        let done = enrol::activate(State(self.clone()), Extension(Key(peer.clone())), Told(message)).await;
        let _answered = done?;
        let box_id = self
            .fleet()
            .by_key(&peer.spki.to_hex())
            .map(|member| member.box_id.clone());
        let Some(box_id) = box_id else { return Ok(()) };
        let mut kept: Note = self.note_of(&box_id).await?;
        kept.credential = None;
        // Evidence of a box that nobody approved yet proves nothing to anybody; it is looked at when somebody has.
        kept.held = held.map(|bytes| Base64(bytes.clone()));
        self.keep_note(&box_id, &kept).await
    }

    /// Looks at evidence that waited for an approval.
    pub(crate) async fn show_held(&self, box_id: &str) -> Result<(), Refused> {
        let mut kept = self.note_of(box_id).await?;
        let tls = {
            let fleet = self.fleet();
            let approved = fleet.member(box_id).filter(|member| member.is_approved());
            approved.and_then(|member| member.active.as_ref()?.tls_spki.parse::<Sha256Digest>().ok())
        };
        let (Some(tls), Some(held)) = (tls, kept.held.take()) else {
            return Ok(());
        };
        match self.hear_evidence(box_id, tls, held.0).await {
            Ok(_) => {}
            Err(refused) if refused.status.is_server_error() => return Err(refused),
            Err(refused) => tracing::warn!(code = %refused.report.code, "evidence that waited is refused"),
        }
        self.keep_note(box_id, &kept).await
    }

    async fn hear_evidence(&self, box_id: &str, tls: Sha256Digest, bytes: Vec<u8>) -> Result<String, Refused> {
        let nonce = appraise::nonce_of(&bytes).map_err(|rejection| Refused::of(&rejection))?;
        let kept = self.0.store.stick_challenge(box_id, &nonce).await;
        if let Some(row) = kept.map_err(|error| Refused::inside(&error))? {
            let challenge = Challenge {
                nonce,
                issued: row.issued,
                expires: row.expires,
            };
            self.happen(Event::ChallengeBack {
                box_id: box_id.to_owned(),
                challenge,
            })
            .await?;
        }
        let answer = evidence::take_bytes(self, box_id, tls, bytes).await?;
        self.stick_change(&StickChange::Answered {
            box_id: box_id.to_owned(),
            nonce: nonce.to_vec(),
        })
        .await?;
        Ok(answer.verdict.word().to_owned())
    }

    /// Answers whether the assignment is achieved.
    async fn hear_report(&self, box_id: &str, bytes: &[u8]) -> Result<bool, Refused> {
        let message: BoxReport = read(bytes)?;
        let achieved = message.achieved;
        let member = Extension(Member(box_id.to_owned()));
        let _answered = report::take(State(self.clone()), member, Told(message)).await?;
        let fleet = self.fleet();
        let head = fleet.member(box_id).and_then(|member| member.assignment.as_ref());
        Ok(head.is_some_and(|head| Some(head.counter) == achieved))
    }

    /// Answers how many entries of the record are here now.
    async fn hear_record(&self, box_id: &str, bytes: &[u8], pages: Option<&[u8]>) -> Result<u64, Refused> {
        let message: RecordCheckpoint = read(bytes)?;
        let member = Extension(Member(box_id.to_owned()));
        let note = message.checkpoint.clone();
        let answer = report::checkpoint(State(self.clone()), member, Told(message)).await?;
        let refuse = |fault: freehold_record::RecordRejected| {
            Refused::reported(freehold_verify::RefusalReport {
                code: fault.code().to_owned(),
                message: fault.to_string(),
                expected: None,
                found: None,
            })
        };
        // The head's signature and its consistency were just checked.
        let head = SignedNote::parse(note.as_bytes())
            .and_then(|note| Checkpoint::parse(note.text()))
            .map_err(refuse)?;
        let mut kept = self.note_of(box_id).await?;
        kept.cosigned = Some(Cosigned {
            size: head.size,
            note: format!("{note}{}\n", answer.0.cosignature.trim_end()),
        });
        self.keep_note(box_id, &kept).await?;
        let Some(pages) = pages else { return Ok(0) };
        let pages: Pages = read(pages)?;
        let console = self.clone();
        let box_id = box_id.to_owned();
        let mirrored = tokio::task::spawn_blocking(move || console.mirror(&box_id, &pages, &head)).await;
        mirrored.map_err(|error| Refused::inside(&error))?
    }

    /// Keeps entries of a box's record when, with those that are here, they make the head's tree. Entries that do not follow those
    /// that are here, or are not all of them yet, are left for the next return.
    fn mirror(&self, box_id: &str, pages: &Pages, head: &Checkpoint) -> Result<u64, Refused> {
        let inside = |error: std::io::Error| Refused::inside(&error);
        let folder = self.0.dir.path(&format!("records/{box_id}"));
        fs::create_dir_all(&folder).map_err(inside)?;
        let mut known: Vec<u64> = fs::read_dir(&folder)
            .map_err(inside)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        known.sort_unstable();
        let (mut frontier, mut bytes) = (Frontier::new(), 0_u64);
        for first in known {
            let path = folder.join(format!("{first}.json"));
            let text = fs::read(&path).map_err(inside)?;
            bytes = bytes.saturating_add(text.len() as u64);
            let page: Pages = read(&text)?;
            if first != frontier.size() {
                break;
            }
            for entry in &page.entries {
                frontier.push(leaf_hash(&entry.0));
            }
        }
        let here = frontier.size();
        if pages.first != here || pages.entries.is_empty() || bytes > MAX_MIRROR {
            return Ok(here);
        }
        for entry in &pages.entries {
            frontier.push(leaf_hash(&entry.0));
        }
        if frontier.size() < head.size {
            return Ok(here);
        }
        if frontier.size() != head.size || frontier.root() != head.root {
            let message = "the entries are not those of the record's head";
            return Err(Refused::new(
                axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                "record.changed",
                message,
            ));
        }
        let text = serde_json::to_vec(pages).map_err(|error| Refused::inside(&error))?;
        let below = format!("records/{box_id}/{}.json", pages.first);
        self.0
            .dir
            .replace(&below, &text)
            .map_err(|fault| Refused::inside(&fault))?;
        Ok(frontier.size())
    }
}

/// Notes what came of a message; only what is the console's own trouble ends the whole.
fn note(outcome: &mut Outcome, what: &str, heard: Result<(), Refused>) -> Result<(), Refused> {
    match heard {
        Ok(()) => outcome.taken.push(what.to_owned()),
        Err(refused) if refused.status.is_server_error() => return Err(refused),
        Err(refused) => {
            outcome.refused.insert(what.to_owned(), refused.report.code);
        }
    }
    Ok(())
}

fn said(row: &ReturnRow, outcome: &Outcome, before: bool) -> Value {
    json!({
        "box": row.box_id, "number": row.number, "sequence": row.sequence, "taken": outcome.taken,
        "refused": outcome.refused, "verdict": outcome.verdict, "achieved": outcome.achieved, "entries": outcome.entries,
        "taken_before": before,
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| Refused::unreadable(format!("not the message: {error}")))
}

//! The courier: a bundle in the place of the connection. It hands out the answers that the console wrote ahead, and keeps the
//! messages for the way back.
//!
//! Refuses to make an answer up: what the console could not know yet is answered with the next stick. Invariant: a letter is used
//! only by the box whose TLS key it names.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use freehold_protocol::V1;
use freehold_protocol::binary::Base64;
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolChallenge, EnrolState, EnrolStatus};
use freehold_protocol::report::{BoxReport, ReportAnswer};
use freehold_protocol::routes;
use freehold_protocol::stick::{Letter, MAX_LETTER, METADATA, ROOT, TARGETS, letter_name};
use freehold_trust::{Sha256Digest, sha256};

use super::ImportRejection;
use super::folder::Parts;
use crate::fault::Fault;

/// Bounds the first TUF root on a stick.
const MAX_ROOT: usize = 1 << 20;

/// What waits for the way back.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outbox {
    pub(crate) begin: Option<EnrolBegin>,
    pub(crate) activate: Option<EnrolActivate>,
}

/// A bundle as a connection.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) parts: Parts,
    pub(crate) letter: Option<Letter>,
    root: Vec<u8>,
    outbox: Mutex<Outbox>,
}

impl Courier {
    /// A courier for the box of this id and TLS key.
    pub(crate) fn new(parts: Parts, box_id: &str, tls: Sha256Digest) -> Result<Self, Fault> {
        let letter = match parts.read(&letter_name(box_id), MAX_LETTER)? {
            None => None,
            Some(bytes) => {
                let letter: Letter = serde_json::from_slice(&bytes)
                    .map_err(|error| Fault::of("console.answer", format!("the letter in the bundle: {error}")))?;
                // A letter for an earlier key of this box says nothing to the one of now.
                Some(letter).filter(|letter| letter.box_id == box_id && letter.tls == tls.to_hex())
            }
        };
        let root = parts.read(ROOT, MAX_ROOT)?.unwrap_or_default();
        Ok(Self {
            parts,
            letter,
            root,
            outbox: Mutex::default(),
        })
    }

    /// What waits for the way back.
    pub(crate) fn outbox(&self) -> Outbox {
        self.with(|outbox| outbox.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        change(&mut self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn status(&self, state: EnrolState) -> EnrolStatus {
        EnrolStatus {
            v: V1,
            state,
            fingerprint: None,
            director: Some(Base64(self.parts.director.clone())),
            tuf_root: (!self.root.is_empty()).then(|| Base64(self.root.clone())),
        }
    }

    /// Where the enrolment stood when the bundle was made.
    pub(crate) fn enrol_status(&self) -> EnrolStatus {
        match &self.letter {
            Some(letter) => letter.enrol.clone(),
            None => self.status(EnrolState::Unknown),
        }
    }

    /// Keeps the message; the credential comes with the next stick, or lies in this one.
    pub(crate) fn enrol_begin(&self, message: &EnrolBegin) -> Result<EnrolChallenge, Fault> {
        self.with(|outbox| outbox.begin = Some(message.clone()));
        let credential = self.letter.as_ref().and_then(|letter| letter.credential.clone());
        credential.ok_or_else(|| ImportRejection::AnswerLater.into())
    }

    /// Keeps the proof. The console has not seen it yet, so it waits for a person at best.
    pub(crate) fn enrol_activate(&self, message: &EnrolActivate) -> EnrolStatus {
        self.with(|outbox| {
            outbox.activate = Some(message.clone());
            // A credential was open for what was said before: saying it again would begin another enrolment.
            outbox.begin = None;
        });
        self.status(EnrolState::WaitingForApproval)
    }

    /// The answer to a report, as it was written ahead.
    pub(crate) fn report(&self, _: &BoxReport) -> Result<ReportAnswer, Fault> {
        let answer = self.letter.as_ref().and_then(|letter| letter.answer.clone());
        answer.ok_or_else(|| ImportRejection::AnswerLater.into())
    }

    /// What the console's door has at `path`.
    pub(crate) fn get(&self, path: &str, limit: usize) -> Result<Option<Bytes>, Fault> {
        if path == routes::ASSIGNMENT {
            let letter = self.letter.as_ref();
            return Ok(letter
                .and_then(|letter| letter.assignment.clone())
                .map(|bytes| bytes.0.into()));
        }
        if let Some(named) = path.strip_prefix(routes::APPROVALS) {
            let packages = self.letter.iter().flat_map(|letter| &letter.approvals);
            let mut named = packages.filter(|package| sha256(&package.0).to_hex() == named);
            return Ok(named.next().map(|package| package.0.clone().into()));
        }
        let name = if let Some(file) = path.strip_prefix(routes::REPOSITORY_METADATA) {
            format!("{METADATA}{file}")
        } else if let Some(target) = path.strip_prefix(routes::REPOSITORY_TARGETS) {
            format!("{TARGETS}{target}")
        } else {
            return Err(ImportRejection::AnswerLater.into());
        };
        Ok(self.parts.read(&name, limit)?.map(Bytes::from))
    }

    /// The bytes `start..end` of a target.
    pub(crate) fn range(&self, target: &str, start: u64, end: u64) -> Result<Bytes, Fault> {
        self.parts
            .range(&format!("{TARGETS}{target}"), start, end)
            .map(Bytes::from)
    }
}

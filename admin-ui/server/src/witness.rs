//! Boxes as witnesses of each other's records and of this console's: heads out, cosignatures in.
//!
//! Refuses a line that does not verify under the box's own record key. Invariant: what is kept here can be lost without harm: the
//! newest cosigned head of this console's record stands in a file, and boxes keep their own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use freehold_fleet::Member;
use freehold_protocol::report::{RecordCheckpoint, record_origin};
use freehold_protocol::witness::{HeadOffer, WITNESSED, WitnessAsk, WitnessLine, WitnessOffers};
use freehold_protocol::{Base64, V1};
use freehold_record::{Checkpoint, SignedNote, VerifierKey, cosignatures};
use freehold_trust::PublicKey;

use crate::console::Console;
use crate::refused::Refused;

/// Steps of a box's record that are kept for witnesses: with a head every 30 s, two hours.
const STEPS: usize = 256;
/// Other boxes that one box witnesses.
const NEIGHBOURS: usize = 3;
/// Heads with cosignatures that are kept of one record.
const COSIGNED: usize = 8;
/// File of the newest head of this console's record that boxes cosigned, in the state folder.
pub const COSIGNED_FILE: &str = "cosigned.note";

/// A head of a box's record as it was shown here.
#[derive(Debug, Clone)]
struct Step {
    old_size: u64,
    size: u64,
    note: String,
    proof: Vec<Base64>,
}

#[derive(Debug, Default)]
struct Heads {
    /// By box.
    steps: BTreeMap<String, VecDeque<Step>>,
    /// By origin: heads that were offered or cosigned, by size.
    cosigned: BTreeMap<String, BTreeMap<u64, SignedNote>>,
}

/// What the console holds for witnesses.
#[derive(Debug, Default)]
pub struct Desk(Mutex<Heads>);

impl Desk {
    fn heads(&self) -> MutexGuard<'_, Heads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The witness key of a member.
fn witness_key(member: &Member) -> Option<VerifierKey> {
    let spki = &member.active.as_ref()?.record_spki_der;
    VerifierKey::witness(&record_origin(&member.box_id), &PublicKey::from_spki_der(spki).ok()?).ok()
}

fn log_key(member: &Member) -> Option<VerifierKey> {
    let spki = &member.active.as_ref()?.record_spki_der;
    VerifierKey::new(&record_origin(&member.box_id), &PublicKey::from_spki_der(spki).ok()?).ok()
}

impl Console {
    /// Keeps a head that this console has just cosigned.
    pub(crate) fn keep_step(&self, box_id: &str, message: &RecordCheckpoint, size: u64) {
        let mut heads = self.0.desk.heads();
        let steps = heads.steps.entry(box_id.to_owned()).or_default();
        steps.push_back(Step {
            old_size: message.old_size,
            size,
            note: message.checkpoint.clone(),
            proof: message.proof.clone(),
        });
        while steps.len() > STEPS {
            steps.pop_front();
        }
    }

    /// Takes a witness's cosignatures and gives it heads.
    ///
    /// # Errors
    /// 400 for lists that are too long; 422 for a line that does not verify; 500 when the record cannot be read.
    pub(crate) async fn witness(&self, box_id: &str, ask: &WitnessAsk) -> Result<WitnessOffers, Refused> {
        if ask.seen.len() > WITNESSED || ask.lines.len() > WITNESSED {
            return Err(Refused::unreadable("a witness witnesses fewer records than that"));
        }
        for line in &ask.lines {
            self.take_line(box_id, line)?;
        }
        let seen = |origin: &str| {
            ask.seen
                .iter()
                .find(|seen| seen.origin == origin)
                .map_or(0, |seen| seen.size)
        };
        let mut offers = Vec::new();
        offers.extend(self.own_offer(seen(self.0.book.recorder().verifier().name())).await?);
        for member in self.neighbours(box_id) {
            offers.extend(self.offer_of(&member, seen(&record_origin(&member.box_id))));
        }
        let mut heads = self.0.desk.heads();
        for offer in &offers {
            if let Ok(note) = SignedNote::parse(offer.checkpoint.as_bytes())
                && let Ok(checkpoint) = Checkpoint::parse(note.text())
            {
                let known = heads.cosigned.entry(offer.origin.clone()).or_default();
                known.entry(checkpoint.size).or_insert(note);
                while known.len() > COSIGNED {
                    known.pop_first();
                }
            }
        }
        let yours = heads.cosigned.get(&record_origin(box_id)).and_then(|notes| {
            let cosigned = |note: &&SignedNote| note.signatures().len() > 1;
            notes.values().rev().find(cosigned).map(ToString::to_string)
        });
        Ok(WitnessOffers { v: V1, offers, yours })
    }

    /// This console's own head, when it has grown.
    async fn own_offer(&self, seen: u64) -> Result<Option<HeadOffer>, Refused> {
        let recorder = self.0.book.recorder().clone();
        if seen >= recorder.head().size {
            return Ok(None);
        }
        let key = recorder.verifier().clone();
        let (note, proof) = tokio::task::spawn_blocking(move || recorder.checkpoint_since(seen))
            .await
            .map_err(|error| Refused::inside(&error))?
            .map_err(|error| Refused::inside(&error))?;
        Ok(Some(HeadOffer {
            origin: key.name().to_owned(),
            key: key.to_string(),
            checkpoint: String::from_utf8_lossy(&note).into_owned(),
            old_size: seen,
            proof: proof.iter().map(|hash| Base64(hash.as_bytes().to_vec())).collect(),
        }))
    }

    /// A step of another box's record that leads on from what the witness saw, or its newest head for one who saw nothing.
    fn offer_of(&self, member: &Member, seen: u64) -> Option<HeadOffer> {
        let key = log_key(member)?;
        let heads = self.0.desk.heads();
        let steps = heads.steps.get(&member.box_id)?;
        let step = match seen {
            0 => steps.back()?,
            seen => steps.iter().find(|step| step.old_size == seen && step.size > seen)?,
        };
        Some(HeadOffer {
            origin: key.name().to_owned(),
            key: key.to_string(),
            checkpoint: step.note.clone(),
            old_size: seen,
            // From nothing to anything needs no proof.
            proof: if seen == 0 { Vec::new() } else { step.proof.clone() },
        })
    }

    /// The next approved boxes in the order of their names, so that each is somebody's neighbour.
    fn neighbours(&self, box_id: &str) -> Vec<Member> {
        let fleet = self.fleet();
        let approved = || fleet.boxes().values().filter(|member| member.is_approved());
        let after = approved().filter(|member| member.box_id.as_str() > box_id);
        let before = approved().filter(|member| member.box_id.as_str() < box_id);
        after.chain(before).take(NEIGHBOURS).cloned().collect()
    }

    fn take_line(&self, box_id: &str, line: &WitnessLine) -> Result<(), Refused> {
        let key = self
            .fleet()
            .member(box_id)
            .and_then(witness_key)
            .ok_or_else(|| Refused::not_found("record key"))?;
        let own = self.0.book.recorder().verifier().name() == line.origin;
        let mut heads = self.0.desk.heads();
        // A head that is not kept any more: the next one will be.
        let Some(note) = heads
            .cosigned
            .get_mut(&line.origin)
            .and_then(|notes| notes.get_mut(&line.size))
        else {
            return Ok(());
        };
        let with_line = format!("{note}{}\n", line.line.trim_end_matches('\n'));
        let refused = |rejected: freehold_record::RecordRejected| {
            Refused::new(
                axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                rejected.code(),
                rejected.to_string(),
            )
        };
        let cosigned = SignedNote::parse(with_line.as_bytes()).map_err(refused)?;
        cosignatures(&cosigned, &[key], 1).map_err(refused)?;
        *note = cosigned;
        if own {
            let text = note.to_string();
            drop(heads);
            self.0
                .dir
                .replace(COSIGNED_FILE, text.as_bytes())
                .map_err(|error| Refused::inside(&error))?;
        }
        Ok(())
    }

    /// The names of the boxes that cosigned this console's newest cosigned head, and its size.
    pub(crate) fn cosigned_by(&self) -> (u64, Vec<String>) {
        let heads = self.0.desk.heads();
        let own = heads.cosigned.get(self.0.book.recorder().verifier().name());
        let newest = own.and_then(|notes| notes.iter().rev().find(|(_, note)| note.signatures().len() > 1));
        newest.map_or_else(Default::default, |(size, note)| {
            let names = note.signatures().iter().skip(1).map(|line| line.name.clone());
            (*size, names.collect())
        })
    }
}

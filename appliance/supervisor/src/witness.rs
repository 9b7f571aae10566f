//! The box as a witness: it cosigns the console's record and some other boxes' records, and keeps what it saw.
//!
//! Refuses a record that went back, forked, or is signed by another key than the one it saw first; two heads that cannot both be
//! true are kept as proof. Invariant: what it cosigned once is the beginning of everything that it cosigns later.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use freehold_protocol::V1;
use freehold_protocol::witness::{HeadOffer, SeenRecord, WITNESSED, WitnessAsk, WitnessLine};
use freehold_record::witness::Seen;
use freehold_record::{NoteSigner, RecordRejected, SignedNote, VerifierKey, cosign};
use freehold_trust::Sha256Digest;
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::supervisor::Supervisor;

/// File of what was seen.
const FILE: &str = "witness.json";
/// File of this box's newest head that others cosigned.
const YOURS: &str = "witnessed.note";
/// Folder of heads that cannot both be true.
const MISBEHAVIOUR: &str = "misbehaviour";
/// Refusals that are told and kept as proof between two starts: a console that was taken over fills no disk with origins of its own.
const TOLD: usize = 64;
/// Between two looks: heads grow with every round, and a witness need not see each of them.
const EVERY: Duration = Duration::from_secs(60);

/// What is remembered of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// Its key, pinned when it was seen first.
    key: String,
    /// Entries that it had.
    size: u64,
    /// The root over them.
    root: Sha256Digest,
    /// The head itself, for whoever asks what was seen.
    note: String,
}

/// All of it, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Memories {
    /// Version of this form, 1.
    v: u32,
    /// By the records' origins.
    seen: BTreeMap<String, Memory>,
}

/// What a witness holds.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    seen: Option<BTreeMap<String, Memory>>,
    lines: Vec<WitnessLine>,
    last: Option<Instant>,
    /// Refusals that were recorded, so that a record that stays wrong fills no other.
    told: Vec<String>,
}

impl Supervisor {
    /// Asks for heads, cosigns those that follow, and hands the cosignatures in the next time.
    pub(crate) async fn witness(&mut self) -> Result<(), Fault> {
        let every = self.settings.interval.map_or(EVERY, |seconds| {
            Duration::try_from_secs_f64(seconds).unwrap_or(EVERY).min(EVERY)
        });
        if self.witness.last.is_some_and(|last| last.elapsed() < every) {
            return Ok(());
        }
        if self.witness.seen.is_none() {
            let kept: Option<Memories> = self.state.json(FILE)?;
            self.witness.seen = Some(kept.map(|kept| kept.seen).unwrap_or_default());
        }
        let memory = self.witness.seen.clone().unwrap_or_default();
        let ask = WitnessAsk {
            v: V1,
            seen: memory
                .iter()
                .take(WITNESSED)
                .map(|(origin, memory)| SeenRecord {
                    origin: origin.clone(),
                    size: memory.size,
                })
                .collect(),
            lines: self.witness.lines.clone(),
        };
        let answer = match self.console()?.witness(&ask).await {
            // A console of the version before knows no witnesses.
            Err(fault) if fault.code() == "console.not_found" => {
                self.witness.last = Some(Instant::now());
                return Ok(());
            }
            other => other?,
        };
        self.witness.lines.clear();
        self.witness.last = Some(Instant::now());
        let Some(signer) = self.chronicle.witness(&self.state) else {
            return Ok(());
        };
        for offer in answer.offers.iter().take(WITNESSED) {
            self.look_at(offer, &signer).await?;
        }
        if let Some(seen) = self.witness.seen.clone()
            && let Err(fault) = self.state.put_json(FILE, &Memories { v: 1, seen })
        {
            // What is not remembered was not witnessed: after a restart another head would be signed beside it.
            self.witness.lines.clear();
            self.witness.seen = None;
            return Err(fault);
        }
        if let Some(yours) = answer.yours {
            self.state.put(YOURS, yours.as_bytes())?;
        }
        Ok(())
    }

    async fn look_at(&mut self, offer: &HeadOffer, signer: &NoteSigner) -> Result<(), Fault> {
        let memory = self
            .witness
            .seen
            .as_ref()
            .and_then(|seen| seen.get(&offer.origin))
            .cloned();
        if memory.is_none() && !has_room(self.witness.seen.as_ref()) {
            return Ok(());
        }
        match advanced(offer, memory.as_ref()) {
            Ok((now, mut note)) => {
                let at = u64::try_from(self.clock.now()).unwrap_or(0);
                cosign(&mut note, signer, at);
                let text = note.to_string();
                let line = text.lines().next_back().unwrap_or_default().to_owned();
                self.witness.lines.push(WitnessLine {
                    origin: offer.origin.clone(),
                    size: now.size,
                    line,
                });
                self.witness
                    .seen
                    .get_or_insert_default()
                    .insert(offer.origin.clone(), now);
                Ok(())
            }
            Err(rejected) => self.misbehaved(offer, memory.as_ref(), &rejected).await,
        }
    }

    /// A record that does not follow from what was seen: said once, with both heads kept as proof.
    async fn misbehaved(
        &mut self,
        offer: &HeadOffer,
        memory: Option<&Memory>,
        rejected: &RecordRejected,
    ) -> Result<(), Fault> {
        let told = format!("{} {}", offer.origin, rejected.code());
        if self.witness.told.contains(&told) || self.witness.told.len() >= TOLD {
            return Ok(());
        }
        let report = RefusalReport {
            code: rejected.code().to_owned(),
            message: format!("the record `{}` that was to be witnessed: {rejected}", offer.origin),
            expected: memory.map(|memory| format!("a record that begins with the {} entries seen before", memory.size)),
            found: None,
        };
        tracing::error!(code = %report.code, origin = %offer.origin, "a record does not follow from what was seen");
        let name: String = told
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let folder = self.state.path(MISBEHAVIOUR);
        std::fs::create_dir_all(&folder).map_err(|error| Fault::State {
            path: folder.clone(),
            detail: error.to_string(),
        })?;
        let proof = serde_json::json!({
            "v": 1, "origin": offer.origin, "code": report.code,
            "seen": memory.map(|memory| &memory.note), "shown": offer.checkpoint, "key": offer.key,
        });
        self.state.put_json(&format!("{MISBEHAVIOUR}/{name}.json"), &proof)?;
        self.chronicle
            .entry("record.witnessed")
            .with("origin", offer.origin.as_str())
            .refused(&report)
            .write()
            .await?;
        self.remember(report);
        self.witness.told.push(told);
        Ok(())
    }
}

/// Whether one more record can be remembered: a fleet whose boxes come and go does not make a witness remember without end. What it
/// would not remember it does not sign: the next head of that record could contradict this one.
fn has_room(seen: Option<&BTreeMap<String, Memory>>) -> bool {
    seen.is_none_or(|seen| seen.len() < WITNESSED)
}

/// The next memory of a record, when the head follows from the last one.
fn advanced(offer: &HeadOffer, memory: Option<&Memory>) -> Result<(Memory, SignedNote), RecordRejected> {
    let key = VerifierKey::parse(memory.map_or(offer.key.as_str(), |memory| memory.key.as_str()))?;
    let mut seen = memory.map_or_else(Seen::default, |memory| Seen {
        size: memory.size,
        root: memory.root,
    });
    let proof: Vec<Sha256Digest> = offer
        .proof
        .iter()
        .map(|hash| Sha256Digest::from_slice(&hash.0))
        .collect::<Option<_>>()
        .ok_or(RecordRejected::Proof { kind: "consistency" })?;
    let checkpoint = seen.advance(offer.checkpoint.as_bytes(), &offer.origin, &key, &proof)?;
    let note = SignedNote::parse(offer.checkpoint.as_bytes())?;
    let next = Memory {
        key: key.to_string(),
        size: checkpoint.size,
        root: checkpoint.root,
        note: offer.checkpoint.clone(),
    };
    Ok((next, note))
}

#[cfg(test)]
mod tests {
    use freehold_record::{Checkpoint, Frontier, leaf_hash};
    use freehold_trust::{KeyKind, SigningKey};

    use super::*;

    fn head(signer: &NoteSigner, leaves: &[&str]) -> (String, Sha256Digest) {
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(leaf_hash(leaf.as_bytes())));
        let size = u64::try_from(leaves.len()).unwrap();
        let checkpoint = Checkpoint::new(signer.verifier().name(), size, frontier.root());
        (checkpoint.sign(signer).unwrap().to_string(), frontier.root())
    }

    fn offer(signer: &NoteSigner, leaves: &[&str]) -> HeadOffer {
        HeadOffer {
            origin: signer.verifier().name().to_owned(),
            key: signer.verifier().to_string(),
            checkpoint: head(signer, leaves).0,
            old_size: 0,
            proof: Vec::new(),
        }
    }

    fn signer() -> NoteSigner {
        NoteSigner::new("example.org/log", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap()
    }

    #[test]
    fn what_would_not_be_remembered_is_not_signed() {
        let (memory, _) = advanced(&offer(&signer(), &["a"]), None).unwrap();
        let mut seen: BTreeMap<String, Memory> = (1..WITNESSED)
            .map(|n| (format!("record {n}"), memory.clone()))
            .collect();
        assert!(has_room(None) && has_room(Some(&seen)));
        seen.insert("one more".to_owned(), memory);
        assert!(!has_room(Some(&seen)));
    }

    // promise S-242
    #[test]
    fn i04_i06_a_fork_an_older_head_and_another_key_are_refused() {
        let log = signer();
        let (seen, _) = advanced(&offer(&log, &["a", "b"]), None).unwrap();
        let code = |leaves: &[&str]| {
            let refused = advanced(&offer(&log, leaves), Some(&seen)).unwrap_err();
            refused.code().to_owned()
        };
        assert_eq!(code(&["a", "x"]), "record.forked");
        assert_eq!(code(&["a"]), "record.truncated");
        assert_eq!(code(&["a", "b", "c"]), "record.proof", "no proof was given");
        let stranger = advanced(&offer(&signer(), &["a", "b", "c"]), Some(&seen)).unwrap_err();
        assert_eq!(stranger.code(), "record.unsigned");
        let same = advanced(&offer(&log, &["a", "b"]), Some(&seen)).unwrap();
        assert_eq!(same.0, seen);
    }
}

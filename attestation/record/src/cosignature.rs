//! Cosignatures after C2SP tlog-cosignature: a witness says that it saw a checkpoint at a time.
//!
//! Refuses to count a witness twice or a cosignature that is not over this text. Invariant: making one needs a time that the
//! caller passes in.

use crate::note::{COSIGNATURE_V1, NoteSigner, SignedNote, VerifierKey};
use crate::rejection::RecordRejected;

fn message(text: &str, at: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {at}\n{text}").into_bytes()
}

/// Adds `witness`'s cosignature at `at` (unix seconds) to `note`. Whoever calls has checked consistency before.
pub fn cosign(note: &mut SignedNote, witness: &NoteSigner, at: u64) {
    let signature = witness.sign_bytes(&message(note.text(), at));
    let bytes = [at.to_be_bytes().as_slice(), &signature].concat();
    note.push(&witness.witness(), &bytes);
}

/// The witnesses among `known` whose cosignatures on `note` verify, each once, with its latest time (unix seconds). Lines of
/// unknown keys are ignored.
///
/// # Errors
/// `record.signature` when a line of a known witness is wrong, `record.quorum` when fewer than `quorum` verify.
pub fn cosignatures<'k>(
    note: &SignedNote,
    known: &'k [VerifierKey],
    quorum: usize,
) -> Result<Vec<(&'k VerifierKey, u64)>, RecordRejected> {
    let mut seen: Vec<(&VerifierKey, u64)> = Vec::new();
    for key in known.iter().filter(|key| key.kind() == COSIGNATURE_V1) {
        let id = key.id();
        for line in note
            .signatures()
            .iter()
            .filter(|line| line.name == key.name() && line.id == id)
        {
            let wrong = || RecordRejected::NoteSignature {
                name: key.name().to_owned(),
            };
            let (at, signature) = line.bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
            let at = u64::from_be_bytes(*at);
            key.verify(&message(note.text(), at), signature)?;
            match seen.iter_mut().find(|(other, _)| other.public() == key.public()) {
                Some((_, latest)) => *latest = at.max(*latest),
                None => seen.push((key, at)),
            }
        }
    }
    if seen.len() < quorum {
        return Err(RecordRejected::Quorum {
            expected: quorum,
            found: seen.len(),
        });
    }
    Ok(seen)
}

//! The console as a witness of boxes' records.
//!
//! Refuses a head that the record's own key did not sign, or that does not extend the one it saw before, as the proof has to
//! show. The key was said when the box enrolled; a box of the version before said none, and is not cosigned. Invariant: what is cosigned once is the beginning of
//! everything cosigned later.

use axum::http::StatusCode;
use freehold_fleet::member::CosignedHead;
use freehold_protocol::report::RecordCheckpoint;
use freehold_protocol::report::record_origin;
use freehold_record::{Checkpoint, SignedNote, VerifierKey, empty_root, verify_consistency};
use freehold_trust::{PublicKey, Sha256Digest};

use crate::console::Console;
use crate::refused::Refused;

/// Most hashes in a proof: a tree of 2^64 entries needs no more than 128.
const PROOF_LIMIT: usize = 128;

impl Console {
    /// The head, when the record's key signed it.
    fn signed_head(&self, box_id: &str, message: &RecordCheckpoint) -> Result<(Checkpoint, SignedNote), Refused> {
        let refuse = |rejected: freehold_record::RecordRejected| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, rejected.code(), rejected.to_string())
        };
        let spki = self
            .fleet()
            .member(box_id)
            .and_then(|member| Some(member.active.as_ref()?.record_spki_der.clone()))
            .filter(|spki| !spki.is_empty());
        let Some(spki) = spki else {
            return Err(Refused::new(
                StatusCode::CONFLICT,
                "record.key_unknown",
                format!("`{box_id}` has not said which key signs its record"),
            ));
        };
        let key = PublicKey::from_spki_der(&spki).map_err(|error| Refused::inside(&error))?;
        let origin = record_origin(box_id);
        let key = VerifierKey::new(&origin, &key).map_err(refuse)?;
        Checkpoint::verify(message.checkpoint.as_bytes(), &origin, &key).map_err(refuse)
    }

    /// Checks a head and answers it with the cosignature line. The fleet still has to agree before the line goes out.
    pub(crate) fn cosign(&self, box_id: &str, message: &RecordCheckpoint) -> Result<(CosignedHead, String), Refused> {
        let refuse = |rejected: freehold_record::RecordRejected| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, rejected.code(), rejected.to_string())
        };
        let (checkpoint, mut note) = self.signed_head(box_id, message)?;
        let last = self.fleet().member(box_id).and_then(|member| member.cosigned.clone());
        let (old_size, old_root) = match &last {
            Some(last) => (last.size, last.root.parse::<Sha256Digest>().unwrap_or_default()),
            None => (0, empty_root()),
        };
        if message.proof.len() > PROOF_LIMIT {
            return Err(Refused::unreadable("the proof is longer than any proof"));
        }
        // Only a proof from what was seen counts; the box may have lost count after a restore.
        if message.old_size != old_size {
            let mut refused = Refused::new(
                StatusCode::CONFLICT,
                "record.old_size",
                "the proof starts at another size",
            );
            refused.report.expected = Some(old_size.to_string());
            refused.report.found = Some(message.old_size.to_string());
            return Err(refused);
        }
        if checkpoint.size >= old_size {
            let proof: Option<Vec<Sha256Digest>> = message
                .proof
                .iter()
                .map(|hash| hash.0.as_slice().try_into().ok().map(Sha256Digest::from_bytes))
                .collect();
            let proof = proof.ok_or_else(|| Refused::unreadable("a hash of the proof is not 32 bytes"))?;
            verify_consistency(old_size, &old_root, checkpoint.size, &checkpoint.root, &proof).map_err(refuse)?;
        }
        let now = self.now();
        let line = self.0.book.cosignature(&mut note, u64::try_from(now).unwrap_or(0));
        Ok((
            CosignedHead {
                size: checkpoint.size,
                root: checkpoint.root.to_hex(),
                at: now,
            },
            line,
        ))
    }
}

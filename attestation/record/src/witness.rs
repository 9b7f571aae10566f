//! What a witness remembers of a log, and what it accepts next.
//!
//! Refuses an older size, another root for the same size, and a proof that does not connect. Invariant: the remembered state
//! only moves forward along one history.

use freehold_trust::Sha256Digest;

use crate::checkpoint::Checkpoint;
use crate::note::VerifierKey;
use crate::proof::verify_consistency;
use crate::rejection::RecordRejected;
use crate::tree::empty_root;

/// The last state of a log that was seen and believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: Sha256Digest,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            size: 0,
            root: empty_root(),
        }
    }
}

impl Seen {
    /// Moves on to the signed checkpoint `note` of the log `origin`, which must extend what was seen, as `proof` shows.
    ///
    /// # Errors
    /// Those of [`Checkpoint::verify`] and [`verify_consistency`]; the state is unchanged then.
    pub fn advance(
        &mut self,
        note: &[u8],
        origin: &str,
        key: &VerifierKey,
        proof: &[Sha256Digest],
    ) -> Result<Checkpoint, RecordRejected> {
        let (checkpoint, _) = Checkpoint::verify(note, origin, key)?;
        verify_consistency(self.size, &self.root, checkpoint.size, &checkpoint.root, proof)?;
        *self = Self {
            size: checkpoint.size,
            root: checkpoint.root,
        };
        Ok(checkpoint)
    }
}

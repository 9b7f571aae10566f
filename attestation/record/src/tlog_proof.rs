//! Proofs as files, after C2SP tlog-proof: an index, a path, a signed checkpoint, all that a stranger needs.
//!
//! Refuses a file that is almost of the form: unknown lines, leading zeros, a path longer than any tree. Invariant: parsing a
//! proof and writing it again gives the same bytes, and a proof says nothing before [`TlogProof::verify`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::Sha256Digest;

use crate::checkpoint::Checkpoint;
use crate::note::{NOTE_LIMIT, SignedNote, VerifierKey};
use crate::proof::verify_inclusion;
use crate::rejection::RecordRejected;
use crate::tree::leaf_hash;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes of a path: a tree of 2^63 leaves has no longer one.
const PATH_LIMIT: usize = 63;

/// Largest file: a note, a path and a little more. Bounds what a swapped file makes us parse.
pub const TLOG_PROOF_LIMIT: usize = NOTE_LIMIT.saturating_add(16 * 1024);

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What an application adds; this project adds nothing and believes nothing there.
    pub extra: Option<Vec<u8>>,
    /// The entry's index.
    pub index: u64,
    /// The audit path, from the leaf upwards.
    pub path: Vec<Sha256Digest>,
    /// The signed checkpoint, cosignatures among its signatures.
    pub checkpoint: SignedNote,
}

impl TlogProof {
    /// Parses a proof; nothing of it is verified yet.
    ///
    /// # Errors
    /// `record.tlog_proof_malformed`, `record.note_malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordRejected> {
        let refused = |fault| RecordRejected::TlogProofMalformed { fault };
        if bytes.len() > TLOG_PROOF_LIMIT {
            return Err(refused("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused("it is not utf-8"))?;
        let (head, note) = text
            .split_once("\n\n")
            .ok_or_else(|| refused("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(refused("another first line"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            None => None,
            Some(encoded) => {
                let bytes = STANDARD
                    .decode(encoded)
                    .map_err(|_| refused("extra data is not base64"))?;
                lines.next();
                Some(bytes)
            }
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .ok_or_else(|| refused("no index"))?;
        let plain = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (index.len() > 1 && index.starts_with('0')) {
            return Err(refused("the index is not a plain decimal number"));
        }
        let index = index.parse().map_err(|_| refused("the index is too large"))?;
        let path = lines
            .map(|line| {
                STANDARD
                    .decode(line)
                    .ok()
                    .and_then(|hash| Sha256Digest::from_slice(&hash))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| refused("a hash is not 32 bytes in base64"))?;
        if path.len() > PATH_LIMIT {
            return Err(refused("its path is longer than any tree's"));
        }
        Ok(Self {
            extra,
            index,
            path,
            checkpoint: SignedNote::parse(note.as_bytes())?,
        })
    }

    /// Checks that `entry` is in the log `origin` of `key`, at the index and under the checkpoint that the proof carries.
    ///
    /// # Errors
    /// Those of [`Checkpoint::verify`]; `record.proof` when the entry is not there.
    pub fn verify(&self, entry: &[u8], origin: &str, key: &VerifierKey) -> Result<Checkpoint, RecordRejected> {
        let (checkpoint, _) = Checkpoint::verify(self.checkpoint.to_string().as_bytes(), origin, key)?;
        verify_inclusion(
            &leaf_hash(entry),
            self.index,
            checkpoint.size,
            &self.path,
            &checkpoint.root,
        )?;
        Ok(checkpoint)
    }
}

impl std::fmt::Display for TlogProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

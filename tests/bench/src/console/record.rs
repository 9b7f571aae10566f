//! The record of a simulated box: it grows by one entry a round, and its head is signed and proven as a real one's is.
//!
//! Invariant: a proof leads from the size that the console cosigned last to the size now.

use freehold_record::{Checkpoint, Frontier, HashSource, NoteSigner, consistency, leaf_hash, node_hash};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};

/// A record in memory.
pub struct BoxRecord {
    origin: String,
    signer: NoteSigner,
    /// The public key that its heads are signed with (SPKI, DER).
    pub key: Vec<u8>,
    leaves: Vec<Sha256Digest>,
    frontier: Frontier,
    /// Size of the head that the console cosigned last.
    pub cosigned: u64,
}

/// The complete subtrees over the leaves, computed on the way: such a record is short.
struct Leaves<'a>(&'a [Sha256Digest]);

impl HashSource for Leaves<'_> {
    type Error = std::convert::Infallible;

    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error> {
        if level == 0 {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            return Ok(self.0.get(place).copied().unwrap_or_default());
        }
        Ok(node_hash(
            &self.subtree(level - 1, index * 2)?,
            &self.subtree(level - 1, index * 2 + 1)?,
        ))
    }
}

impl BoxRecord {
    /// A record with a key of its own and a first entry: a box has written some before it enrols.
    pub fn new(box_id: &str) -> anyhow::Result<Self> {
        let origin = freehold_protocol::report::record_origin(box_id);
        let key = SigningKey::generate(KeyKind::Ed25519)?;
        let mut record = Self {
            key: key.public().spki_der().to_vec(),
            signer: NoteSigner::new(&origin, key)?,
            origin,
            leaves: Vec::new(),
            frontier: Frontier::new(),
            cosigned: 0,
        };
        record.grow();
        Ok(record)
    }

    /// One more entry.
    pub fn grow(&mut self) {
        let leaf = leaf_hash(format!("{} {}", self.origin, self.leaves.len()).as_bytes());
        self.leaves.push(leaf);
        self.frontier.push(leaf);
    }

    /// Where it stands.
    pub fn head(&self) -> freehold_verify::evidence::Checkpoint {
        freehold_verify::evidence::Checkpoint {
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    /// The signed head.
    pub fn note(&self) -> anyhow::Result<String> {
        let checkpoint = Checkpoint::new(&self.origin, self.frontier.size(), self.frontier.root());
        Ok(checkpoint.sign(&self.signer)?.to_string())
    }

    /// The proof from the size cosigned last.
    pub fn proof(&self) -> Vec<Sha256Digest> {
        let Ok(proof) = consistency(self.cosigned, self.frontier.size(), &Leaves(&self.leaves));
        proof.unwrap_or_default()
    }
}

//! Commitments: what stands in an entry for a text that does not belong there.
//!
//! Refuses nothing: any text has one. Invariant: HMAC-SHA256 (RFC 2104) under a random salt of 32 bytes; whoever has salt and text
//! can show what was said, and once the salt is gone nobody can, while every proof about the entry holds as before.

use freehold_trust::{Sha256Digest, Sha256Hasher, sha256};

/// A commitment that is being made, piece by piece.
#[derive(Clone)]
pub struct Commitment {
    inner: Sha256Hasher,
    outer: Vec<u8>,
}

impl std::fmt::Debug for Commitment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Commitment")
    }
}

impl Commitment {
    /// Begins one.
    #[must_use]
    pub fn begin(salt: &[u8; 32]) -> Self {
        // The key is half a block: a block of SHA-256 is 64 bytes.
        let pad = |byte: u8| {
            salt.iter()
                .map(|b| b ^ byte)
                .chain(std::iter::repeat_n(byte, 32))
                .collect::<Vec<u8>>()
        };
        let mut inner = Sha256Hasher::new();
        inner.update(&pad(0x36));
        Self {
            inner,
            outer: pad(0x5c),
        }
    }

    /// Adds a piece of the text.
    pub fn update(&mut self, piece: &[u8]) {
        self.inner.update(piece);
    }

    /// The commitment to all pieces.
    #[must_use]
    pub fn finish(self) -> Sha256Digest {
        let inner = self.inner.finish();
        sha256(&[self.outer.as_slice(), inner.as_bytes()].concat())
    }
}

/// The commitment to `content` under `salt`.
#[must_use]
pub fn commitment(salt: &[u8; 32], content: &[u8]) -> Sha256Digest {
    let mut whole = Commitment::begin(salt);
    whole.update(content);
    whole.finish()
}

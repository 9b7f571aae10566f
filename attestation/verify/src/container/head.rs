//! The first 44 bytes: the mark, and how long the index is.
//!
//! Refuses to let a length make us reserve memory: it is compared with the limit first. Invariant: the index is read only
//! when its bytes have the digest that stands here.

use freehold_trust::Sha256Digest;

use super::ContainerRejection;

/// What every container begins with: not text, and broken by a transfer that changes line ends or cuts the eighth bit.
pub const MAGIC: [u8; 8] = *b"\x89FHZ\r\n\x1a\n";
/// Bytes before the index.
pub const HEAD: usize = 44;
/// Largest index: the chunks of a terabyte fit twice. Bounds the memory that a stick of random lengths can take.
pub const MAX_INDEX: usize = 24 * 1024 * 1024;

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    length: usize,
    digest: Sha256Digest,
}

impl Head {
    /// Reads the first [`HEAD`] bytes; more may follow.
    ///
    /// # Errors
    /// [`ContainerRejection`]: `container.magic`, `.truncated`, `.index_too_large`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContainerRejection> {
        let known = bytes.get(..MAGIC.len()).unwrap_or(bytes);
        if !MAGIC.starts_with(known) {
            return Err(ContainerRejection::Magic);
        }
        let truncated = || ContainerRejection::Truncated {
            expected: HEAD as u64,
            found: bytes.len() as u64,
        };
        let (head, _) = bytes.split_first_chunk::<HEAD>().ok_or_else(truncated)?;
        let (_, rest) = head.split_first_chunk::<8>().ok_or_else(truncated)?;
        let (length, digest) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let found = u32::from_be_bytes(*length);
        let length = usize::try_from(found).ok().filter(|length| *length <= MAX_INDEX);
        Ok(Self {
            length: length.ok_or(ContainerRejection::IndexTooLarge {
                limit: MAX_INDEX,
                found: found.into(),
            })?,
            digest: Sha256Digest::from_slice(digest).ok_or_else(truncated)?,
        })
    }

    /// Length of the index in bytes; it stands right behind the head.
    #[must_use]
    pub const fn index_length(&self) -> usize {
        self.length
    }

    /// SHA-256 of the index: the short name of this very container.
    #[must_use]
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The head of `index`.
    pub(super) fn of(index: &[u8]) -> Result<Self, ContainerRejection> {
        if index.len() > MAX_INDEX {
            return Err(ContainerRejection::IndexTooLarge {
                limit: MAX_INDEX,
                found: index.len() as u64,
            });
        }
        Ok(Self {
            length: index.len(),
            digest: freehold_trust::sha256(index),
        })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Bounded by MAX_INDEX when it was made.
        bytes.extend_from_slice(&u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes
    }
}

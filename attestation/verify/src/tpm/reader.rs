//! A cursor over big-endian TPM structures.
//!
//! Refuses to read past the end. Invariant: every read either consumes exactly what it returns or leaves an error.

use thiserror::Error;

/// The bytes are not the structure that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TpmParseError {
    /// They end too early.
    #[error("the bytes end inside `{0}`")]
    Truncated(&'static str),
    /// Bytes are left over.
    #[error("{bytes} bytes are left over after `{what}`")]
    Trailing {
        /// The structure.
        what: &'static str,
        /// How many bytes.
        bytes: usize,
    },
    /// A length or count is beyond what the structure can have.
    #[error("`{what}` says {found}, at most {limit} is read")]
    TooMany {
        /// The field.
        what: &'static str,
        /// The number in it.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// An identifier that is not known or not accepted here.
    #[error("`{what}` is {found:#x}, which is not accepted here")]
    Unknown {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
}

/// The cursor.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`TpmParseError::Truncated`] naming `what`.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], TpmParseError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(TpmParseError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], TpmParseError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(TpmParseError::Truncated(what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`TpmParseError::Truncated`].
    pub fn u8(&mut self, what: &'static str) -> Result<u8, TpmParseError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`TpmParseError::Truncated`].
    pub fn u16(&mut self, what: &'static str) -> Result<u16, TpmParseError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`TpmParseError::Truncated`].
    pub fn u32(&mut self, what: &'static str) -> Result<u32, TpmParseError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// [`TpmParseError::Truncated`].
    pub fn u64(&mut self, what: &'static str) -> Result<u64, TpmParseError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// A TPM2B: two bytes of length, then that many bytes, at most `limit`.
    ///
    /// # Errors
    /// [`TpmParseError::Truncated`] and [`TpmParseError::TooMany`].
    pub fn sized(&mut self, limit: usize, what: &'static str) -> Result<&'a [u8], TpmParseError> {
        let length = usize::from(self.u16(what)?);
        if length > limit {
            return Err(TpmParseError::TooMany {
                what,
                found: length as u64,
                limit: limit as u64,
            });
        }
        self.take(length, what)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`TpmParseError::Trailing`] when bytes are left.
    pub fn end(self, what: &'static str) -> Result<(), TpmParseError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(TpmParseError::Trailing {
                what,
                bytes: self.rest.len(),
            })
        }
    }
}

/// Appends a TPM2B. Contents longer than 65,535 bytes do not occur; they would be cut, and refused by the reader.
pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.get(..usize::from(length)).unwrap_or_default());
}

/// The contents of a TPM2B that must fill `bytes` exactly.
///
/// # Errors
/// [`TpmParseError`].
pub fn sized_contents(bytes: &[u8]) -> Result<&[u8], TpmParseError> {
    let mut reader = Reader::new(bytes);
    let contents = reader.sized(usize::from(u16::MAX), "TPM2B")?;
    reader.end("TPM2B")?;
    Ok(contents)
}

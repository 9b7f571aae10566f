//! Checkpoints after C2SP tlog-checkpoint: origin, size, root.
//!
//! Refuses sizes with leading zeros or signs, roots that are not 32 bytes, and, because this project writes none, extension
//! lines that are empty. Invariant: the text of a parsed checkpoint is the text that was parsed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::Sha256Digest;

use crate::note::{NoteSigner, SignedNote, VerifierKey};
use crate::rejection::RecordRejected;

/// What a log says about itself: so many entries, this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Sha256Digest,
    /// Further lines, without newlines; this project writes none and believes none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extensions.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Sha256Digest) -> Self {
        Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// The text to be signed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.as_bytes())
        );
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Parses the text of a note.
    ///
    /// # Errors
    /// `record.checkpoint_malformed`.
    pub fn parse(text: &str) -> Result<Self, RecordRejected> {
        let refused = |fault| RecordRejected::CheckpointMalformed { fault };
        let body = text
            .strip_suffix('\n')
            .ok_or_else(|| refused("no newline at its end"))?;
        let mut lines = body.split('\n');
        let origin = lines
            .next()
            .filter(|line| !line.is_empty())
            .ok_or_else(|| refused("no origin"))?;
        let size = lines.next().ok_or_else(|| refused("no size"))?;
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) || (size.len() > 1 && size.starts_with('0')) {
            return Err(refused("the size is not a plain decimal number"));
        }
        let size = size.parse::<u64>().ok().filter(|size| *size < 1 << 63);
        let size = size.ok_or_else(|| refused("the size is too large"))?;
        let root = lines.next().ok_or_else(|| refused("no root"))?;
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|bytes| Sha256Digest::from_slice(&bytes));
        let root = root.ok_or_else(|| refused("the root is not 32 bytes in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(refused("an empty extension line"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        })
    }

    /// Signs it.
    ///
    /// # Errors
    /// `record.note_malformed` when the origin has control characters.
    pub fn sign(&self, signer: &NoteSigner) -> Result<SignedNote, RecordRejected> {
        signer.sign(&self.text())
    }

    /// Parses a signed checkpoint and checks origin and signature.
    ///
    /// # Errors
    /// `record.note_malformed`, `record.unsigned`, `record.signature`, `record.checkpoint_malformed`, `record.other_origin`.
    pub fn verify(note: &[u8], origin: &str, key: &VerifierKey) -> Result<(Self, SignedNote), RecordRejected> {
        let note = SignedNote::parse(note)?;
        let checkpoint = Self::parse(note.verify(key)?)?;
        if checkpoint.origin != origin {
            return Err(RecordRejected::OtherOrigin {
                expected: origin.to_owned(),
                found: checkpoint.origin,
            });
        }
        Ok((checkpoint, note))
    }
}

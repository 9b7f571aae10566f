//! Why a record, a note or a proof is not believed.
//!
//! Refuses free text as the reason. Invariant: one variant, one code.

use freehold_trust::Sha256Digest;

/// A record, note, proof or entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordRejected {
    /// The bytes are not a signed note of C2SP form.
    #[error("not a signed note: {fault}")]
    NoteMalformed {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// No signature by a known key.
    #[error("no valid signature of `{wanted}` on the note")]
    NoteUnsigned {
        /// The name of the key that was wanted.
        wanted: String,
    },
    /// A signature that claims to be by a known key does not verify.
    #[error("the signature of `{name}` on the note is wrong")]
    NoteSignature {
        /// The key's name.
        name: String,
    },
    /// A verifier key string is malformed.
    #[error("not a verifier key: {fault}")]
    KeyMalformed {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The note's text is not a checkpoint.
    #[error("not a checkpoint: {fault}")]
    CheckpointMalformed {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log")]
    OtherOrigin {
        /// The log that was wanted.
        expected: String,
        /// The log that the checkpoint names.
        found: String,
    },
    /// Fewer cosignatures than wanted.
    #[error("{found} cosignatures of known witnesses, {expected} are wanted")]
    Quorum {
        /// How many are wanted.
        expected: usize,
        /// How many verified.
        found: usize,
    },
    /// A proof does not lead to the root.
    #[error("the {kind} proof does not lead to the root")]
    Proof {
        /// `inclusion` or `consistency`.
        kind: &'static str,
    },
    /// Two checkpoints of one size with different roots: the log was forked.
    #[error("two checkpoints of size {size} have different roots")]
    Forked {
        /// The size of both.
        size: u64,
        /// The root known before.
        known: Sha256Digest,
        /// The root shown now.
        shown: Sha256Digest,
    },
    /// A checkpoint is older than one that is known.
    #[error("the checkpoint has {shown} entries, {known} are known")]
    Truncated {
        /// Entries known before.
        known: u64,
        /// Entries shown now.
        shown: u64,
    },
    /// Something at rest differs from what was signed.
    #[error("`{what}` differs from what was signed")]
    Changed {
        /// The file, or the entry by number.
        what: String,
    },
    /// Something that was signed is not there.
    #[error("`{what}` is missing")]
    Missing {
        /// The file, or the entry by number.
        what: String,
    },
    /// A tile or entry bundle has the wrong length.
    #[error("`{what}` is not a tile: {fault}")]
    TileMalformed {
        /// The file.
        what: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// An entry is not of our schema.
    #[error("not an entry: {fault}")]
    EntryMalformed {
        /// What is wrong with it.
        fault: String,
    },
    /// An entry is larger than a bundle can hold.
    #[error("the entry has {found} bytes, at most {limit} fit")]
    EntryTooLarge {
        /// Its size, bytes.
        found: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The bytes are not a proof of C2SP form.
    #[error("not a tlog-proof: {fault}")]
    TlogProofMalformed {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Nobody declared entries of this kind.
    #[error("entries of kind `{what}` are not declared")]
    EntryUnknown {
        /// The kind.
        what: String,
    },
    /// An entry does not say what its kind promises.
    #[error("an entry of kind `{what}` has `{field}` as {wanted}")]
    EntrySchema {
        /// The kind.
        what: &'static str,
        /// The field.
        field: &'static str,
        /// Its form.
        wanted: &'static str,
    },
    /// A field's name says that it holds a secret.
    #[error("the field `{field}` must not be in the record")]
    SecretField {
        /// The field's name.
        field: String,
    },
}

impl RecordRejected {
    /// Every code that this crate gives.
    pub const CODES: &'static [&'static str] = &[
        "record.note_malformed",
        "record.unsigned",
        "record.signature",
        "record.key_malformed",
        "record.checkpoint_malformed",
        "record.other_origin",
        "record.quorum",
        "record.proof",
        "record.forked",
        "record.truncated",
        "record.changed",
        "record.tile_malformed",
        "record.entry_malformed",
        "record.entry_too_large",
        "record.secret_field",
        "record.tlog_proof_malformed",
        "record.entry_unknown",
        "record.entry_schema",
    ];

    /// The stable code. What is missing at rest counts as truncation.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoteMalformed { .. } => "record.note_malformed",
            Self::NoteUnsigned { .. } => "record.unsigned",
            Self::NoteSignature { .. } => "record.signature",
            Self::KeyMalformed { .. } => "record.key_malformed",
            Self::CheckpointMalformed { .. } => "record.checkpoint_malformed",
            Self::OtherOrigin { .. } => "record.other_origin",
            Self::Quorum { .. } => "record.quorum",
            Self::Proof { .. } => "record.proof",
            Self::Forked { .. } => "record.forked",
            Self::Truncated { .. } | Self::Missing { .. } => "record.truncated",
            Self::Changed { .. } => "record.changed",
            Self::TileMalformed { .. } => "record.tile_malformed",
            Self::EntryMalformed { .. } => "record.entry_malformed",
            Self::EntryTooLarge { .. } => "record.entry_too_large",
            Self::SecretField { .. } => "record.secret_field",
            Self::TlogProofMalformed { .. } => "record.tlog_proof_malformed",
            Self::EntryUnknown { .. } => "record.entry_unknown",
            Self::EntrySchema { .. } => "record.entry_schema",
        }
    }
}

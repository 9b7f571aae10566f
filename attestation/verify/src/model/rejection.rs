//! Why a model is not admitted: one variant per fault of a bundle, its signer, its manifest or its files.
//!
//! Refuses nothing itself. Invariant: [`ModelRejection::CODES`] lists every code that [`Refusal::code`] can answer.

use freehold_trust::digest::Sha256Digest;

use crate::rejection::Refusal;

/// Why a model-signing bundle, or the folder that it describes, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelRejection {
    /// The bundle, envelope or statement is not of the form that OpenSSF Model Signing 1.0 prescribes.
    #[error("the model signature is malformed: {detail}")]
    Malformed {
        /// Which part, and how.
        detail: String,
    },
    /// Longer than a bundle may be.
    #[error("the model signature is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The DSSE payload type is not in-toto's.
    #[error("the envelope's payload type is `{found}`")]
    PayloadType {
        /// What stood there.
        found: String,
    },
    /// The predicate is not OpenSSF Model Signing 1.0.
    #[error("the statement's predicate type is `{found}`")]
    PredicateType {
        /// What stood there.
        found: String,
    },
    /// Not exactly one signature.
    #[error("the envelope has {found} signatures")]
    SignatureCount {
        /// How many stood there.
        found: usize,
    },
    /// The signature does not fit the payload and the signer's key.
    #[error("the model signature does not verify")]
    Signature,
    /// No key hint in a key-mode bundle.
    #[error("the bundle does not say which key signed it")]
    HintMissing,
    /// The signer is not one that the caller trusts.
    #[error("the signer `{found}` is not trusted here")]
    SignerUnknown {
        /// The hint, or the certificate's subject, or the identity.
        found: String,
    },
    /// The signer's key or certificate was revoked.
    #[error("the signer `{found}` was revoked")]
    SignerRevoked {
        /// Fingerprint or serial number.
        found: String,
    },
    /// The certificate chain does not lead to a given root.
    #[error("the signer's certificate chain is refused: {detail}")]
    Certificate {
        /// What is wrong with it.
        detail: String,
    },
    /// A certificate of the chain is not valid at the given time.
    #[error("a certificate of the signer's chain is not valid now")]
    CertificateTime,
    /// The certificate was not issued for signing code.
    #[error("the signer's certificate is not meant for signing: {detail}")]
    CertificatePurpose {
        /// Which usage is there or missing.
        detail: String,
    },
    /// A keyless bundle that sigstore's rules refuse.
    #[error("the keyless signature is refused: {detail}")]
    Keyless {
        /// What sigstore-verify said.
        detail: String,
    },
    /// The subject's digest is not the digest over the resources.
    #[error("the signed root digest does not fit the signed file list")]
    RootDigest {
        /// Computed over the resources.
        expected: Sha256Digest,
        /// Stated in the subject.
        found: String,
    },
    /// A file name that must not be followed.
    #[error("the file name `{name}` is not acceptable: {reason}")]
    FileName {
        /// The name, made fit to show.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Names are not in strictly ascending order (so duplicates, too).
    #[error("the file list is not in order at `{name}`")]
    FileOrder {
        /// The name that is out of place.
        name: String,
    },
    /// No file, or more than the bound.
    #[error("the file list has {found} entries")]
    FileCount {
        /// How many stood there.
        found: usize,
    },
    /// A digest algorithm other than SHA-256.
    #[error("`{name}` is listed with the digest algorithm `{found}`")]
    DigestAlgorithm {
        /// The file, or `serialization`.
        name: String,
        /// The algorithm's name.
        found: String,
    },
    /// A digest that is not 64 lower-case hexadecimal digits.
    #[error("`{name}` has a malformed digest")]
    DigestForm {
        /// The file, or `subject`.
        name: String,
    },
    /// Signed by shards; this verifier takes whole files only.
    #[error("the model is signed by shards")]
    Shards,
    /// The signer followed symbolic links.
    #[error("the signature allows symbolic links")]
    Symlinks,
    /// A path outside the signature that could hide something.
    #[error("the signature leaves out `{path}`")]
    IgnorePaths {
        /// The path that is left out.
        path: String,
    },
    /// A listed file is not in the folder.
    #[error("the file `{path}` is listed but not there")]
    FileMissing {
        /// The listed path.
        path: String,
    },
    /// Something in the folder is not in the list.
    #[error("`{path}` is not in the signed list")]
    FileUnlisted {
        /// The path in the folder.
        path: String,
    },
    /// Not a regular file: a link, pipe, socket, device or mount point.
    #[error("`{path}` is {found}")]
    FileKind {
        /// The path in the folder.
        path: String,
        /// What it is instead.
        found: &'static str,
    },
    /// A file with a second name, which somebody else may write through.
    #[error("`{path}` has {links} hard links")]
    HardLink {
        /// The path in the folder.
        path: String,
        /// The number of names.
        links: u64,
    },
    /// The bytes of a file are not the signed ones.
    #[error("the file `{path}` is not the one that was signed")]
    FileDigest {
        /// The path in the folder.
        path: String,
        /// The signed digest.
        expected: Sha256Digest,
        /// The digest of what is there.
        found: Sha256Digest,
    },
    /// The length changed between listing and hashing.
    #[error("the file `{path}` changed while it was read")]
    FileChanged {
        /// The path in the folder.
        path: String,
    },
    /// Not every listed file was hashed.
    #[error("the file `{path}` was not checked")]
    Incomplete {
        /// The first one that is left.
        path: String,
    },
}

impl ModelRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "model.malformed",
        "model.too_large",
        "model.payload_type",
        "model.predicate_type",
        "model.signature_count",
        "model.signature",
        "model.hint_missing",
        "model.signer_unknown",
        "model.signer_revoked",
        "model.certificate",
        "model.certificate_time",
        "model.certificate_purpose",
        "model.keyless",
        "model.root_digest",
        "model.file_name",
        "model.file_order",
        "model.file_count",
        "model.digest_algorithm",
        "model.digest_form",
        "model.shards",
        "model.symlinks",
        "model.ignore_paths",
        "model.file_missing",
        "model.file_unlisted",
        "model.file_kind",
        "model.hard_link",
        "model.file_digest",
        "model.file_changed",
        "model.incomplete",
    ];

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::Malformed { detail: detail.into() }
    }
}

impl Refusal for ModelRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "model.malformed",
            Self::TooLarge { .. } => "model.too_large",
            Self::PayloadType { .. } => "model.payload_type",
            Self::PredicateType { .. } => "model.predicate_type",
            Self::SignatureCount { .. } => "model.signature_count",
            Self::Signature => "model.signature",
            Self::HintMissing => "model.hint_missing",
            Self::SignerUnknown { .. } => "model.signer_unknown",
            Self::SignerRevoked { .. } => "model.signer_revoked",
            Self::Certificate { .. } => "model.certificate",
            Self::CertificateTime => "model.certificate_time",
            Self::CertificatePurpose { .. } => "model.certificate_purpose",
            Self::Keyless { .. } => "model.keyless",
            Self::RootDigest { .. } => "model.root_digest",
            Self::FileName { .. } => "model.file_name",
            Self::FileOrder { .. } => "model.file_order",
            Self::FileCount { .. } => "model.file_count",
            Self::DigestAlgorithm { .. } => "model.digest_algorithm",
            Self::DigestForm { .. } => "model.digest_form",
            Self::Shards => "model.shards",
            Self::Symlinks => "model.symlinks",
            Self::IgnorePaths { .. } => "model.ignore_paths",
            Self::FileMissing { .. } => "model.file_missing",
            Self::FileUnlisted { .. } => "model.file_unlisted",
            Self::FileKind { .. } => "model.file_kind",
            Self::HardLink { .. } => "model.hard_link",
            Self::FileDigest { .. } => "model.file_digest",
            Self::FileChanged { .. } => "model.file_changed",
            Self::Incomplete { .. } => "model.incomplete",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::PayloadType { .. } => Some(super::bundle::PAYLOAD_TYPE.to_owned()),
            Self::PredicateType { .. } => Some(super::statement::PREDICATE_TYPE.to_owned()),
            Self::SignatureCount { .. } => Some("1".to_owned()),
            Self::RootDigest { expected, .. } | Self::FileDigest { expected, .. } => Some(expected.to_string()),
            Self::FileCount { .. } => Some(format!("1 to {}", super::statement::MAX_FILES)),
            Self::DigestAlgorithm { .. } => Some("sha256".to_owned()),
            Self::FileKind { .. } => Some("a regular file".to_owned()),
            Self::HardLink { .. } => Some("1".to_owned()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::PayloadType { found }
            | Self::PredicateType { found }
            | Self::SignerUnknown { found }
            | Self::SignerRevoked { found }
            | Self::RootDigest { found, .. }
            | Self::DigestAlgorithm { found, .. } => Some(found.clone()),
            Self::SignatureCount { found } | Self::FileCount { found } => Some(found.to_string()),
            Self::FileDigest { found, .. } => Some(found.to_string()),
            Self::FileKind { found, .. } => Some((*found).to_owned()),
            Self::HardLink { links, .. } => Some(links.to_string()),
            _ => None,
        }
    }
}

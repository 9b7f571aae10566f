//! Why an identity is not accepted.
//!
//! Refuses to carry secrets: no variant holds an expected activation answer. Invariant: one code per fault.

use freehold_trust::certificate::CertificateRejection;
use freehold_trust::key::KeyRejected;
use thiserror::Error;

use crate::quote::QuoteRejection;
use crate::rejection::Refusal;
use crate::tpm::TpmParseError;

/// One fault of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityRejection {
    /// A TPMT_PUBLIC or attestation that does not parse.
    #[error("`{what}` is malformed: {source}")]
    Malformed {
        /// Which structure.
        what: &'static str,
        /// The fault.
        source: TpmParseError,
    },
    /// The EK certificate does not parse, or only with a quirk that is not allowed.
    #[error("the EK certificate is malformed: {0}")]
    EkCertificateForm(String),
    /// The EK certificate does not chain to a known root, has expired, is revoked or was made for something else.
    #[error("the EK certificate is not accepted: {0}")]
    EkCertificate(CertificateRejection),
    /// No certificate, and nobody approved the EK's hash.
    #[error("the EK has no certificate and its digest `{digest}` is not approved")]
    EkUnknown {
        /// SHA-256 of the EK's SubjectPublicKeyInfo, hexadecimal.
        digest: String,
    },
    /// The certificate is for another EK.
    #[error("the EK certificate is for key `{certified}`, the TPM uses `{used}`")]
    EkMismatch {
        /// Fingerprint of the key in the certificate.
        certified: String,
        /// Fingerprint of the key in use.
        used: String,
    },
    /// The EK is not a restricted decryption key fixed to its TPM, or of a kind that credentials cannot be made for.
    #[error("the EK is not a storage key that belongs to its TPM: it has `{found}`")]
    EkAttributes {
        /// Its attributes.
        found: String,
    },
    /// The AK lacks attributes, or has too many.
    #[error("the AK must have `{expected}`, it has `{found}`")]
    AkAttributes {
        /// What it must have and lack.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// The AK is too weak or of an unknown kind.
    #[error("the AK is too weak: {0}")]
    AkStrength(KeyRejected),
    /// The AK's scheme or hash is not accepted.
    #[error("the AK signs with `{found}`, which is not accepted")]
    AkScheme {
        /// Scheme and hash.
        found: String,
    },
    /// A Name that is not the one computed from the public area.
    #[error("`{what}` has the Name `{expected}`, `{found}` was given")]
    Name {
        /// Which key.
        what: &'static str,
        /// The computed Name, hexadecimal.
        expected: String,
        /// The given Name, hexadecimal.
        found: String,
    },
    /// The answer to the credential is not the secret. Never says what the secret was.
    #[error("the answer to the credential is wrong")]
    Activation,
    /// The AK's certification of the TLS key is not one: malformed, another kind, not signed by the AK.
    #[error("the AK's certification of the TLS key is not accepted: {0}")]
    Certify(QuoteRejection),
    /// The certification answers another challenge.
    #[error("the AK's certification of the TLS key answers another challenge")]
    Challenge,
    /// The TLS key is not a signing key that belongs to the TPM.
    #[error("the TLS key must have `{expected}`, it has `{found}`")]
    TlsAttributes {
        /// What it must have and lack.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// The certified key is not the key of the TLS session.
    #[error("the TLS session uses key `{session}`, certified is `{certified}`")]
    TlsMismatch {
        /// Fingerprint of the session's key.
        session: String,
        /// Fingerprint of the certified key.
        certified: String,
    },
}

impl IdentityRejection {
    /// Every code of this rejection.
    pub const CODES: &[&str] = &[
        "identity.malformed",
        "identity.ek_certificate_form",
        "identity.ek_certificate",
        "identity.ek_expired",
        "identity.ek_revoked",
        "identity.ek_unknown_issuer",
        "identity.ek_purpose",
        "identity.ek_unknown",
        "identity.ek_mismatch",
        "identity.ek_attributes",
        "identity.ak_attributes",
        "identity.ak_strength",
        "identity.ak_scheme",
        "identity.name",
        "identity.activation",
        "identity.certify",
        "identity.challenge",
        "identity.tls_attributes",
        "identity.tls_mismatch",
    ];
}

impl Refusal for IdentityRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "identity.malformed",
            Self::EkCertificateForm(_) => "identity.ek_certificate_form",
            Self::EkCertificate(CertificateRejection::Expired { .. }) => "identity.ek_expired",
            Self::EkCertificate(CertificateRejection::Revoked { .. }) => "identity.ek_revoked",
            Self::EkCertificate(CertificateRejection::UnknownIssuer { .. }) => "identity.ek_unknown_issuer",
            Self::EkCertificate(
                CertificateRejection::Purpose { .. }
                | CertificateRejection::KeyUsage(_)
                | CertificateRejection::LeafIsCa { .. },
            ) => "identity.ek_purpose",
            Self::EkCertificate(_) => "identity.ek_certificate",
            Self::EkUnknown { .. } => "identity.ek_unknown",
            Self::EkMismatch { .. } => "identity.ek_mismatch",
            Self::EkAttributes { .. } => "identity.ek_attributes",
            Self::AkAttributes { .. } => "identity.ak_attributes",
            Self::AkStrength(_) => "identity.ak_strength",
            Self::AkScheme { .. } => "identity.ak_scheme",
            Self::Name { .. } => "identity.name",
            Self::Activation => "identity.activation",
            Self::Certify(_) => "identity.certify",
            Self::Challenge => "identity.challenge",
            Self::TlsAttributes { .. } => "identity.tls_attributes",
            Self::TlsMismatch { .. } => "identity.tls_mismatch",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::EkMismatch { certified, .. } | Self::TlsMismatch { certified, .. } => Some(certified.clone()),
            Self::AkAttributes { expected, .. } | Self::TlsAttributes { expected, .. } => Some((*expected).to_owned()),
            Self::Name { expected, .. } => Some(expected.clone()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::EkMismatch { used, .. } => Some(used.clone()),
            Self::TlsMismatch { session, .. } => Some(session.clone()),
            Self::EkUnknown { digest } => Some(digest.clone()),
            Self::EkAttributes { found }
            | Self::AkAttributes { found, .. }
            | Self::TlsAttributes { found, .. }
            | Self::AkScheme { found }
            | Self::Name { found, .. } => Some(found.clone()),
            _ => None,
        }
    }
}

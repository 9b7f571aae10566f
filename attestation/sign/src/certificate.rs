//! Certificates for model signers, for a site without an authority of its own: a root, and code-signing leaves under it.
//!
//! Refuses to make a leaf that could be anything but a code signer. Invariant: the root may only issue leaves
//! (path length 0), and a leaf carries exactly the usages that our verifier asks for.

use freehold_trust::certificate::{Certificate, CertificateRejection};
use freehold_trust::signing::{SigningKey, SigningKeyError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key cannot be used for certificates.
    #[error("the key cannot be used")]
    Key(#[source] SigningKeyError),
    /// The certificate could not be built.
    #[error("the certificate cannot be built")]
    Build(#[source] rcgen::Error),
    /// Our own parser refuses it.
    #[error("the certificate that was built cannot be read back")]
    Read(#[source] CertificateRejection),
    /// The time cannot be written.
    #[error("`{0}` is not a time that can be written")]
    Time(i64),
}

/// Start and end of validity, unix seconds.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// First second.
    pub from: i64,
    /// Last second.
    pub until: i64,
}

fn pair(key: &SigningKey) -> Result<KeyPair, IssueError> {
    let der = key.to_pkcs8_der().map_err(IssueError::Key)?;
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der.as_slice())).map_err(IssueError::Build)
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, IssueError> {
    let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Time(seconds));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = time(validity.from)?;
    params.not_after = time(validity.until)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn root_params(name: &str, validity: Validity) -> Result<CertificateParams, IssueError> {
    let mut params = params(name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A self-signed root that may issue leaves.
///
/// # Errors
/// [`IssueError`].
pub fn signer_root(name: &str, key: &SigningKey, validity: Validity) -> Result<Certificate, IssueError> {
    let certificate = root_params(name, validity)?
        .self_signed(&pair(key)?)
        .map_err(IssueError::Build)?;
    Certificate::from_der(certificate.der()).map_err(IssueError::Read)
}

/// A code-signing leaf over `leaf`, issued by the root made by [`signer_root`] with the same name and key.
///
/// # Errors
/// [`IssueError`].
pub fn signer_leaf(
    root: &Certificate,
    root_key: &SigningKey,
    name: &str,
    leaf: &SigningKey,
    validity: Validity,
) -> Result<Certificate, IssueError> {
    let der = rustls_pki_types::CertificateDer::from(root.der());
    let issuer = Issuer::from_ca_cert_der(&der, pair(root_key)?).map_err(IssueError::Build)?;
    let mut params = params(name, validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let certificate = params.signed_by(&pair(leaf)?, &issuer).map_err(IssueError::Build)?;
    Certificate::from_der(certificate.der()).map_err(IssueError::Read)
}

/// A certificate as PEM text.
#[must_use]
pub fn to_pem(certificate: &Certificate) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(certificate.der());
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let characters: Vec<char> = body.chars().collect();
    for line in characters.chunks(64) {
        out.extend(line);
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

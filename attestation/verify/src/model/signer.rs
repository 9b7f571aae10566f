//! Whose signature a bundle carries, and whether that signer counts.
//!
//! Refuses a hint that names no trusted key, a chain that ends anywhere but at a given root, certificates outside their
//! validity (the reference implementation takes expired ones), and revoked signers. Invariant: a root inside the bundle
//! gives no trust; it may only repeat a given one.

use std::collections::BTreeSet;

use freehold_trust::certificate::{Certificate, CertificateRejection, Purpose, verify_chain};
use freehold_trust::digest::{Sha256Digest, ct_eq, sha256};
use freehold_trust::dsse::pae;
use freehold_trust::key::{KeyKind, PublicKey};
use serde::Serialize;

use super::bundle::{Bundle, Material, PAYLOAD_TYPE};
use super::keyless::{self, KeylessTrust};
use super::rejection::ModelRejection;
use crate::text::shown;

/// Whose model signatures count.
#[derive(Debug, Clone, Default)]
pub struct SignerTrust {
    /// Keys whose own signature counts.
    pub keys: Vec<PublicKey>,
    /// Roots under which a code-signing certificate counts.
    pub roots: Vec<Certificate>,
    /// Revoked keys, by SHA-256 of their SubjectPublicKeyInfo; a leaf certificate over such a key is revoked with it.
    pub revoked_keys: BTreeSet<Sha256Digest>,
    /// Revoked certificate serial numbers, as encoded.
    pub revoked_serials: BTreeSet<Vec<u8>>,
    /// Keyless signers, if any count.
    pub keyless: Option<KeylessTrust>,
    /// Ignored paths that are accepted beyond git's own and signature files.
    pub tolerated_ignores: Vec<String>,
}

/// Whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Signer {
    /// A key from the allow-list.
    Key {
        /// SHA-256 of its SubjectPublicKeyInfo.
        fingerprint: Sha256Digest,
    },
    /// A certificate under a given root.
    Certificate {
        /// The leaf's subject.
        subject: String,
        /// SHA-256 of the leaf key's SubjectPublicKeyInfo.
        fingerprint: Sha256Digest,
        /// The leaf's serial number, hexadecimal.
        serial: String,
        /// SHA-256 of the root certificate.
        root: Sha256Digest,
    },
    /// An identity that sigstore certified for a moment.
    Keyless {
        /// The certificate's subject alternative name.
        identity: String,
        /// Who vouched for the identity.
        issuer: String,
    },
}

impl Signer {
    /// One word or two for pages, policies and revocation lists: the fingerprint, or the identity.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Key { fingerprint } | Self::Certificate { fingerprint, .. } => fingerprint.to_hex(),
            Self::Keyless { identity, .. } => identity.clone(),
        }
    }
}

/// The hint that names `key` in a bundle: SHA-256 (hex) over its PEM text, as the reference implementation writes it.
#[must_use]
pub fn key_hint(key: &PublicKey) -> String {
    sha256(key.to_spki_pem().as_bytes()).to_hex()
}

/// OpenSSF Model Signing 1.0 knows ECDSA over these curves only.
fn signs_models(kind: KeyKind) -> bool {
    matches!(kind, KeyKind::P256 | KeyKind::P384 | KeyKind::P521)
}

pub(super) fn authenticate(
    bytes: &[u8],
    bundle: &Bundle,
    trust: &SignerTrust,
    now: i64,
) -> Result<Signer, ModelRejection> {
    match &bundle.material {
        Material::Key { hint } => {
            let key = trust
                .keys
                .iter()
                .find(|key| ct_eq(key_hint(key).as_bytes(), hint.as_bytes()));
            let key = key.ok_or_else(|| ModelRejection::SignerUnknown { found: shown(hint) })?;
            let fingerprint = key.fingerprint();
            if trust.revoked_keys.contains(&fingerprint) {
                return Err(ModelRejection::SignerRevoked {
                    found: fingerprint.to_hex(),
                });
            }
            check_signature(bundle, key)?;
            Ok(Signer::Key { fingerprint })
        }
        Material::Chain(chain) => by_certificate(bundle, chain, trust, now),
        Material::Keyless => {
            let keyless = trust.keyless.as_ref();
            let keyless = keyless.ok_or_else(|| ModelRejection::SignerUnknown {
                found: "keyless".to_owned(),
            })?;
            keyless::authenticate(bytes, bundle, keyless)
        }
    }
}

fn check_signature(bundle: &Bundle, key: &PublicKey) -> Result<(), ModelRejection> {
    if !signs_models(key.kind()) {
        return Err(ModelRejection::malformed(format!(
            "a {} key; model signatures use P-256, P-384 or P-521",
            key.kind()
        )));
    }
    key.verify_default(&pae(PAYLOAD_TYPE, &bundle.payload), &bundle.signature)
        .map_err(|_| ModelRejection::Signature)
}

fn by_certificate(bundle: &Bundle, chain: &[Vec<u8>], trust: &SignerTrust, now: i64) -> Result<Signer, ModelRejection> {
    let certificates: Result<Vec<_>, _> = chain.iter().map(|der| Certificate::from_der(der)).collect();
    let certificates = certificates.map_err(certificate_fault)?;
    let Some((leaf, others)) = certificates.split_first() else {
        return Err(ModelRejection::malformed("an empty certificate chain"));
    };
    let revoked = &trust.revoked_serials;
    let intermediates: Vec<Certificate> = others
        .iter()
        .filter(|one| !trust.roots.iter().any(|root| root.der() == one.der()))
        .cloned()
        .collect();
    let path = verify_chain(leaf, &intermediates, &trust.roots, Purpose::CodeSigning, now, revoked)
        .map_err(certificate_fault)?;
    // A certificate that the path does not use is a place where bytes could hide.
    if let Some(unused) = intermediates.iter().find(|one| !path.path.contains(&one.fingerprint())) {
        let detail = format!("`{}` is not part of the path to a given root", shown(&unused.subject()));
        return Err(ModelRejection::Certificate { detail });
    }
    let key = leaf.public_key();
    let fingerprint = key.fingerprint();
    if trust.revoked_keys.contains(&fingerprint) {
        return Err(ModelRejection::SignerRevoked {
            found: fingerprint.to_hex(),
        });
    }
    check_signature(bundle, key)?;
    Ok(Signer::Certificate {
        subject: shown(&leaf.subject()),
        fingerprint,
        serial: hex::encode(leaf.serial()),
        root: path.root,
    })
}

fn certificate_fault(fault: CertificateRejection) -> ModelRejection {
    match fault {
        CertificateRejection::UnknownIssuer { subject } => ModelRejection::SignerUnknown { found: shown(&subject) },
        CertificateRejection::Expired { .. } => ModelRejection::CertificateTime,
        CertificateRejection::Purpose { .. }
        | CertificateRejection::KeyUsage(_)
        | CertificateRejection::LeafIsCa { .. } => ModelRejection::CertificatePurpose {
            detail: shown(&fault.to_string()),
        },
        CertificateRejection::Revoked { serial } => ModelRejection::SignerRevoked { found: serial },
        other => ModelRejection::Certificate {
            detail: shown(&other.to_string()),
        },
    }
}

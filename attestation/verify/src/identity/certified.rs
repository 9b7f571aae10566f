//! The TLS key of a box: vouched for by its AK with TPM2_Certify.
//!
//! Refuses a key that could leave the TPM, decrypt, or sign only TPM structures, and one that is not the session's own.
//! Invariant: a [`CertifiedKey`] is an ECDSA P-256 key inside the TPM of the AK, and the key of the TLS session.

use freehold_trust::digest::ct_eq;
use freehold_trust::{KeyKind, PublicKey};

use super::attestation_key::{AttestationKey, signing_scheme};
use super::rejection::IdentityRejection;
use crate::quote::check_origin;
use crate::tpm::public::{Attributes, Public};
use crate::tpm::{Attest, AttestBody, AttestKind};
use crate::verified::Verified;

const MUST: u32 =
    Attributes::FIXED_TPM | Attributes::FIXED_PARENT | Attributes::SENSITIVE_DATA_ORIGIN | Attributes::SIGN;
const MUST_NOT: u32 = Attributes::DECRYPT | Attributes::RESTRICTED | Attributes::ENCRYPTED_DUPLICATION;
const EXPECTED: &str = "fixedTPM|fixedParent|sensitiveDataOrigin|sign, neither restricted nor decrypt, ECDSA P-256";

/// A TLS key that the AK vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedKey {
    /// The key: what the box is known by from now on.
    pub key: PublicKey,
    /// Its public area.
    pub public: Public,
}

/// Checks that the AK certified the key of the TLS session: `attest` and `signature` of a TPM2_Certify, `tls_public` the
/// TPMT_PUBLIC of the key, `session` the key that the TLS client has proven to hold, `challenge` the console's nonce.
///
/// # Errors
/// [`IdentityRejection`].
pub fn verify_certified_key(
    attest: &[u8],
    signature: &[u8],
    tls_public: &[u8],
    ak: &AttestationKey,
    session: &PublicKey,
    challenge: &[u8],
) -> Result<Verified<CertifiedKey>, IdentityRejection> {
    let malformed = |what| move |source| IdentityRejection::Malformed { what, source };
    let public = Public::parse(tls_public).map_err(malformed("TLS key"))?;
    let attributes_refused = || IdentityRejection::TlsAttributes {
        expected: EXPECTED,
        found: public.attributes.to_string(),
    };
    let key = public.public_key().map_err(|_| attributes_refused())?;
    let scheme_fits = public.scheme.is_none() || signing_scheme(&public).is_ok();
    if !public.attributes.has(MUST) || !public.attributes.lacks(MUST_NOT) || key.kind() != KeyKind::P256 || !scheme_fits
    {
        return Err(attributes_refused());
    }
    if &key != session {
        return Err(IdentityRejection::TlsMismatch {
            session: session.fingerprint().to_hex(),
            certified: key.fingerprint().to_hex(),
        });
    }
    let parsed = Attest::parse(attest).map_err(|e| IdentityRejection::Certify(e.into()))?;
    check_origin(&parsed, attest, signature, ak, AttestKind::Certify).map_err(IdentityRejection::Certify)?;
    let AttestBody::Certify { name, .. } = parsed.body else {
        return Err(IdentityRejection::Certify(crate::quote::QuoteRejection::Kind {
            found: parsed.kind,
        }));
    };
    if !ct_eq(parsed.extra_data, challenge) {
        return Err(IdentityRejection::Challenge);
    }
    let computed = public.name().unwrap_or_default();
    if computed != name {
        return Err(IdentityRejection::Name {
            what: "TLS key",
            expected: hex::encode(computed),
            found: hex::encode(name),
        });
    }
    Ok(Verified::seal(CertifiedKey { key, public }))
}

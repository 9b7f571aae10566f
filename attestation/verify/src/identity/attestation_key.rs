//! The attestation key: what it must be, so that its signature means "a TPM says so".
//!
//! Refuses keys that could sign chosen bytes, leave the TPM, be imported, or are too weak. Invariant: an
//! [`AttestationKey`] exists only for a public area that passed all of it.

use freehold_trust::key::KeyRejected;
use freehold_trust::{HashAlgorithm, PublicKey, Sha256Digest};

use super::rejection::IdentityRejection;
use crate::tpm::algorithm;
use crate::tpm::public::{Attributes, KeyScheme, Public, PublicParameters};

const MUST: u32 = Attributes::FIXED_TPM
    | Attributes::FIXED_PARENT
    | Attributes::SENSITIVE_DATA_ORIGIN
    | Attributes::RESTRICTED
    | Attributes::SIGN;
const MUST_NOT: u32 = Attributes::DECRYPT | Attributes::ENCRYPTED_DUPLICATION | Attributes::X509_SIGN;
const EXPECTED: &str = "fixedTPM|fixedParent|sensitiveDataOrigin|restricted|sign, neither decrypt nor x509sign";

/// An attestation key that passed every check on its public area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationKey {
    public: Public,
    key: PublicKey,
    name: Vec<u8>,
    scheme: (u16, u16),
}

impl AttestationKey {
    /// Reads and checks a TPMT_PUBLIC.
    ///
    /// # Errors
    /// [`IdentityRejection`]: malformed, attributes, strength, scheme.
    pub fn from_public(bytes: &[u8]) -> Result<Self, IdentityRejection> {
        let public = Public::parse(bytes).map_err(|source| IdentityRejection::Malformed { what: "AK", source })?;
        let attributes = public.attributes;
        if !attributes.has(MUST) || !attributes.lacks(MUST_NOT) || public.symmetric.is_some() {
            return Err(IdentityRejection::AkAttributes {
                expected: EXPECTED,
                found: attributes.to_string(),
            });
        }
        let key = strong(&public).map_err(IdentityRejection::AkStrength)?;
        let scheme = signing_scheme(&public)?;
        let name = public
            .name()
            .filter(|_| public.name_hash != algorithm::SHA1)
            .ok_or_else(|| IdentityRejection::AkScheme {
                found: format!("nameAlg {}", algorithm::name(public.name_hash)),
            })?;
        Ok(Self {
            public,
            key,
            name,
            scheme,
        })
    }

    /// The public area.
    #[must_use]
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The Name, as the TPM computes it.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        self.key.fingerprint()
    }

    /// TPM_ALG_ID of the scheme and of its hash.
    #[must_use]
    pub fn scheme(&self) -> (u16, u16) {
        self.scheme
    }

    /// Checks a Name that somebody else gave for this key.
    ///
    /// # Errors
    /// [`IdentityRejection::Name`].
    pub fn check_name(&self, found: &[u8]) -> Result<(), IdentityRejection> {
        if self.name == found {
            return Ok(());
        }
        Err(IdentityRejection::Name {
            what: "AK",
            expected: hex::encode(&self.name),
            found: hex::encode(found),
        })
    }
}

/// The key, when it is strong enough; a declared modulus size must be the real one.
fn strong(public: &Public) -> Result<PublicKey, KeyRejected> {
    let key = public.public_key()?;
    if let (PublicParameters::Rsa { bits, .. }, freehold_trust::KeyKind::Rsa { bits: real }) =
        (&public.parameters, key.kind())
        && u32::from(*bits) != real
    {
        return Err(KeyRejected::RsaBits { bits: (*bits).into() });
    }
    Ok(key)
}

/// A signing scheme with SHA-256 or better that fits the key.
pub(super) fn signing_scheme(public: &Public) -> Result<(u16, u16), IdentityRejection> {
    let refused = |found: String| IdentityRejection::AkScheme { found };
    let Some(KeyScheme {
        algorithm: scheme,
        hash: Some(hash),
        count: None,
    }) = public.scheme
    else {
        return Err(refused("no fixed signing scheme".to_owned()));
    };
    let fits = match public.parameters {
        PublicParameters::Rsa { .. } => matches!(scheme, algorithm::RSASSA | algorithm::RSAPSS),
        PublicParameters::Ecc { .. } => scheme == algorithm::ECDSA,
    };
    let strong = matches!(
        algorithm::hash(hash),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    );
    if fits && strong {
        Ok((scheme, hash))
    } else {
        Err(refused(format!("{scheme:#06x} with {}", algorithm::name(hash))))
    }
}

//! The two keys that a box keeps in its TPM: the attestation key and the TLS key.
//!
//! Refuses to hold private material: the private halves leave the TPM only wrapped by its storage key, and load nowhere
//! else. Invariant: the AK signs nothing but what the TPM itself made (restricted), the TLS key is no AK (unrestricted).

use tss_esapi::Result as TssResult;
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{
    EccPoint, EccScheme, HashScheme, KeyDerivationFunctionScheme, Public, PublicBuilder, PublicEccParametersBuilder,
    SymmetricDefinitionObject,
};

/// First line of the stored form: its name and version. Version 1 has keys without an authorisation value; boxes that were
/// set up by then keep them.
const HEADER_1: &str = "freehold-tpm-keys 1";
/// Version 2 has the authorisation value as a fifth line.
const HEADER_2: &str = "freehold-tpm-keys 2";

/// A key's public area (TPMT_PUBLIC) and its private half, wrapped by the TPM (content of TPM2B_PRIVATE).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBlob {
    /// TPMT_PUBLIC.
    pub public: Vec<u8>,
    /// Content of TPM2B_PRIVATE.
    pub private: Vec<u8>,
}

/// The value that the TPM wants to see before it uses one of the keys. Kept where the keys' wrapped halves are: on the sealed
/// volume of a box, in the state folder of a process box. It proves itself by HMAC and crosses the TPM's bus only encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAuth([u8; 32]);

impl KeyAuth {
    /// A value from 32 random bytes.
    pub(crate) const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the TPM's library.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // A TPM drops trailing zeros of authorisation values.
        let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.0.iter().take(end).copied().collect()
    }
}

impl std::fmt::Debug for KeyAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyAuth(not shown)")
    }
}

/// The keys of a box as they are stored between starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The attestation key: ECC P-256, restricted signing.
    pub ak: KeyBlob,
    /// The TLS key: ECC P-256, signing.
    pub tls: KeyBlob,
    /// What the TPM wants to see before it uses them; none for keys that were made before there was one.
    pub auth: Option<KeyAuth>,
}

/// Stored keys that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored TPM keys cannot be read: {0}")]
pub struct KeyBlobRejected(&'static str);

impl Keys {
    /// The stored form: a line that names it, then four or five lines of hex. It is a secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines: Vec<String> = [&self.ak.public, &self.ak.private, &self.tls.public, &self.tls.private]
            .map(hex::encode)
            .to_vec();
        lines.extend(self.auth.as_ref().map(|auth| hex::encode(auth.0)));
        let header = if self.auth.is_some() { HEADER_2 } else { HEADER_1 };
        format!("{header}\n{}\n", lines.join("\n"))
    }

    /// Reads what [`Self::to_text`] wrote, of this version or the one before.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_text(text: &str) -> Result<Self, KeyBlobRejected> {
        let mut lines = text.lines();
        let with_auth = match lines.next() {
            Some(HEADER_1) => false,
            Some(HEADER_2) => true,
            _ => return Err(KeyBlobRejected("unknown first line")),
        };
        let mut next = || {
            let line = lines.next().ok_or(KeyBlobRejected("too short"))?;
            hex::decode(line).map_err(|_| KeyBlobRejected("not hex"))
        };
        let keys = Self {
            ak: KeyBlob {
                public: next()?,
                private: next()?,
            },
            tls: KeyBlob {
                public: next()?,
                private: next()?,
            },
            auth: if with_auth {
                let bytes = next()?.try_into();
                Some(KeyAuth(
                    bytes.map_err(|_| KeyBlobRejected("an authorisation of another length"))?,
                ))
            } else {
                None
            },
        };
        match lines.next() {
            None => Ok(keys),
            Some(_) => Err(KeyBlobRejected("too long")),
        }
    }
}

fn attributes() -> ObjectAttributesBuilder {
    ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
}

fn p256(
    attributes: ObjectAttributesBuilder,
    symmetric: SymmetricDefinitionObject,
    scheme: EccScheme,
) -> TssResult<Public> {
    let attributes = attributes.build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(
            PublicEccParametersBuilder::new()
                .with_symmetric(symmetric)
                .with_ecc_scheme(scheme)
                .with_curve(EccCurve::NistP256)
                .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
                .with_is_signing_key(attributes.sign_encrypt())
                .with_is_decryption_key(attributes.decrypt())
                .with_restricted(attributes.restricted())
                .build()?,
        )
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// The storage key that wraps both keys (TCG "TPM v2.0 Provisioning Guidance", section 7.5.1: ECC P-256 SRK). It is made
/// anew at every start from the TPM's owner seed.
pub(crate) fn storage_template() -> TssResult<Public> {
    p256(
        attributes().with_restricted(true).with_decrypt(true).with_no_da(true),
        SymmetricDefinitionObject::AES_128_CFB,
        EccScheme::Null,
    )
}

/// The attestation key.
pub(crate) fn attestation_template() -> TssResult<Public> {
    p256(
        attributes()
            .with_restricted(true)
            .with_sign_encrypt(true)
            .with_no_da(true),
        SymmetricDefinitionObject::Null,
        EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)),
    )
}

/// The key of the box's TLS client certificate. Its scheme is fixed to ECDSA with SHA-256, so that it signs nothing else.
pub(crate) fn tls_template() -> TssResult<Public> {
    p256(
        attributes().with_sign_encrypt(true).with_no_da(true),
        SymmetricDefinitionObject::Null,
        EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written_and_nothing_else_is() {
        let blob = |n| KeyBlob {
            public: vec![n; 3],
            private: vec![n + 1; 4],
        };
        for auth in [None, Some(KeyAuth::from_random([7; 32]))] {
            let keys = Keys {
                ak: blob(1),
                tls: blob(5),
                auth,
            };
            assert!(!format!("{keys:?}").contains("7, 7"));
            let text = keys.to_text();
            assert_eq!(Keys::from_text(&text), Ok(keys));
            for bad in [
                "",
                "freehold-tpm-keys 3\n",
                &text[..text.len() - 12],
                &format!("{text}00\n"),
                &text.replace("01", "zz"),
            ] {
                assert!(Keys::from_text(bad).is_err(), "{bad}");
            }
        }
    }
}

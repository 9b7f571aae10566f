//! Hybrid public-key encryption (RFC 9180, base mode) to a person who is not there: what the escrow of a recovery key needs.
//!
//! Refuses every suite but one: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. P-256, because tokens that people
//! carry agree keys on that curve. Invariant: a sealed message opens only with the `info` and `aad` that it was sealed with.

use std::fmt;

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::encoding::AsBigEndian as _;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::key::{KeyKind, PublicKey};
use crate::signing::{SigningKey, SigningKeyError};

/// Length of the encapsulated secret in front of a sealed message: an uncompressed point of P-256.
pub const ENCAPSULATED: usize = 65;

/// Sealing or opening failed. Never says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hybrid encryption failed: `{0}`")]
pub struct HpkeFailed(&'static str);

/// The private half of a key that messages are sealed to. It never signs.
pub struct OpeningKey(SigningKey);

impl OpeningKey {
    /// Makes a new one with the library's generator.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn generate() -> Result<Self, SigningKeyError> {
        SigningKey::generate(KeyKind::P256).map(Self)
    }

    /// Reads a PKCS#8 PEM block of a P-256 key.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, SigningKeyError> {
        let key = SigningKey::from_pkcs8_pem(pem)?;
        match key.public().kind() {
            KeyKind::P256 => Ok(Self(key)),
            other => Err(SigningKeyError::Kind(other)),
        }
    }

    /// The key as a PKCS#8 PEM block, wiped when dropped.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        self.0.to_pkcs8_pem()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.0.public()
    }

    /// Opens what [`seal`] made for this key, with the same `info` and `aad`.
    ///
    /// # Errors
    /// [`HpkeFailed`]: another key, another context, or changed bytes.
    pub fn open(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, HpkeFailed> {
        let (point, message) = sealed.split_at_checked(ENCAPSULATED).ok_or(HpkeFailed("too short"))?;
        let der = self.0.to_pkcs8_der().map_err(|_| HpkeFailed("key"))?;
        let private = agreement::PrivateKey::from_private_key_der(&ECDH_P256, &der).map_err(|_| HpkeFailed("key"))?;
        let scalar: aws_lc_rs::encoding::EcPrivateKeyBin<'_> = private.as_be_bytes().map_err(|_| HpkeFailed("key"))?;
        let private = HpkePrivateKey::from(scalar.as_ref().to_vec());
        DH_KEM_P256_HKDF_SHA256_AES_256
            .open(&EncapsulatedSecret(point.to_vec()), info, aad, message, &private)
            .map(Zeroizing::new)
            .map_err(|_| HpkeFailed("it does not open"))
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpeningKey(private half of {:?})", self.public())
    }
}

/// Seals `message` to the holder of `to`: the encapsulated point, then the ciphertext with its tag. The ephemeral key
/// comes from the library's generator.
///
/// # Errors
/// [`HpkeFailed`] when `to` is no P-256 key.
pub fn seal(to: &PublicKey, info: &[u8], aad: &[u8], message: &[u8]) -> Result<Vec<u8>, HpkeFailed> {
    let (KeyKind::P256, Some((x, y))) = (to.kind(), to.ec_point()) else {
        return Err(HpkeFailed("the key is no p-256 key"));
    };
    let point = HpkePublicKey([&[4][..], &x, &y].concat());
    let (encapsulated, ciphertext) = DH_KEM_P256_HKDF_SHA256_AES_256
        .seal(info, aad, message, &point)
        .map_err(|_| HpkeFailed("it does not seal"))?;
    Ok([encapsulated.0, ciphertext].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_opens_for_its_key_and_context_only() {
        let key = OpeningKey::generate().unwrap();
        let sealed = seal(key.public(), b"info", b"aad", b"secret").unwrap();
        assert_eq!(key.open(b"info", b"aad", &sealed).unwrap().as_slice(), b"secret");
        let again = OpeningKey::from_pkcs8_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
        assert_eq!(again.open(b"info", b"aad", &sealed).unwrap().as_slice(), b"secret");

        assert!(key.open(b"other", b"aad", &sealed).is_err());
        assert!(key.open(b"info", b"other", &sealed).is_err());
        assert!(OpeningKey::generate().unwrap().open(b"info", b"aad", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(key.open(b"info", b"aad", &bad).is_err(), "byte {at}");
            assert!(key.open(b"info", b"aad", &sealed[..at]).is_err(), "cut at {at}");
        }
        let p384 = SigningKey::generate(KeyKind::P384).unwrap();
        assert!(seal(p384.public(), b"", b"", b"").is_err());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}

//! Private keys that live in files: generated, read from and written to PKCS#8 PEM, and used to sign.
//!
//! Refuses to show itself: `Debug` names the public half only, and exported text is wiped when dropped. Invariant: the
//! signature made by [`SigningKey::sign`] is what [`PublicKey::verify_default`](crate::PublicKey::verify_default) takes.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair};
use zeroize::Zeroizing;

use crate::key::{KeyKind, KeyRejected, PublicKey};

/// Longest PKCS#8 PEM text that is read: RSA-8192 takes about 6,400 bytes.
const MAX_PEM: usize = 16 * 1024;

/// A private key could not be made or read. Never contains key material.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Not an unencrypted PKCS#8 PEM block `PRIVATE KEY` of an accepted kind.
    #[error("not a private key: `{0}`")]
    Malformed(&'static str),
    /// The kind cannot be generated.
    #[error("cannot generate a {0} key")]
    Kind(KeyKind),
    /// The public half is not accepted.
    #[error("the public half of the key is not accepted")]
    Public(#[source] KeyRejected),
    /// The library failed.
    #[error("the cryptographic library failed: `{0}`")]
    Library(&'static str),
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// A private key in memory.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

impl SigningKey {
    /// Makes a new key with the library's random generator. RSA sizes: 2048, 3072, 4096.
    ///
    /// # Errors
    /// [`SigningKeyError::Kind`] for a size that is not offered, [`SigningKeyError::Library`] when generation fails.
    pub fn generate(kind: KeyKind) -> Result<Self, SigningKeyError> {
        let failed = |_| SigningKeyError::Library("key generation");
        let pair = match kind {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                Pair::Ecdsa(EcdsaKeyPair::generate(ecdsa(kind).ok_or(SigningKeyError::Kind(kind))?).map_err(failed)?)
            }
            KeyKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            KeyKind::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => return Err(SigningKeyError::Kind(kind)),
                };
                Pair::Rsa(Box::new(RsaKeyPair::generate(size).map_err(failed)?))
            }
        };
        Self::from_pair(pair)
    }

    /// Reads an unencrypted PKCS#8 PEM block `PRIVATE KEY`.
    ///
    /// # Errors
    /// [`SigningKeyError::Malformed`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, SigningKeyError> {
        if pem.len() > MAX_PEM {
            return Err(SigningKeyError::Malformed("too long"));
        }
        let (label, der) =
            der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| SigningKeyError::Malformed("pem"))?;
        let der = Zeroizing::new(der);
        if label != "PRIVATE KEY" {
            return Err(SigningKeyError::Malformed("pem label"));
        }
        Self::from_pkcs8_der(&der)
    }

    /// Reads an unencrypted PKCS#8 DER document.
    ///
    /// # Errors
    /// [`SigningKeyError::Malformed`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SigningKeyError> {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            if let Some(Ok(pair)) = ecdsa(kind).map(|algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der)) {
                return Self::from_pair(Pair::Ecdsa(pair));
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Self::from_pair(Pair::Ed25519(pair));
        }
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Self::from_pair(Pair::Rsa(Box::new(pair)));
        }
        Err(SigningKeyError::Malformed("no accepted kind of key"))
    }

    fn from_pair(pair: Pair) -> Result<Self, SigningKeyError> {
        let spki = match &pair {
            Pair::Ecdsa(pair) => x509(pair.public_key())?,
            Pair::Rsa(pair) => x509(pair.public_key())?,
            Pair::Ed25519(pair) => x509(pair.public_key())?,
        };
        let public = PublicKey::from_spki_der(&spki).map_err(SigningKeyError::Public)?;
        Ok(Self { pair, public })
    }

    /// The key as a PKCS#8 PEM block `PRIVATE KEY`, wiped when dropped.
    ///
    /// # Errors
    /// [`SigningKeyError::Library`].
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        let der = self.to_pkcs8_der()?;
        der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &der)
            .map(Zeroizing::new)
            .map_err(|_| SigningKeyError::Library("pem"))
    }

    /// The key as a PKCS#8 DER document, wiped when dropped: for TLS stacks and certificate makers.
    ///
    /// # Errors
    /// [`SigningKeyError::Library`].
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, SigningKeyError> {
        let failed = |_| SigningKeyError::Library("pkcs#8");
        Ok(Zeroizing::new(match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        }))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs with the key's default scheme: DER ECDSA with the curve's natural hash, RSASSA-PSS SHA-256, Ed25519.
    ///
    /// # Panics
    /// Only when the library cannot sign with a key that it has itself accepted (it is out of memory); no input does that.
    #[must_use]
    #[allow(clippy::expect_used)] // no outside bytes decide here, and an empty signature would be worse than a stop
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).expect("ecdsa signs").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&lc::RSA_PSS_SHA256, &random, message, &mut out)
                    .expect("rsa signs");
                out
            }
        }
    }

    /// Signs with ECDSA P-256 and SHA-256; r and s as 32 bytes each, as a TPM takes them. `None` for a key of another kind.
    #[must_use]
    pub fn sign_p256_fixed(&self, message: &[u8]) -> Option<[u8; 64]> {
        if self.public.kind() != KeyKind::P256 {
            return None;
        }
        let signature = self.sign(message);
        let numbers: Vec<der::asn1::UintRef<'_>> = der::Decode::from_der(&signature).ok()?;
        let [r, s] = numbers.as_slice() else { return None };
        let mut out = [0; 64];
        for (half, number) in out.chunks_mut(32).zip([r, s]) {
            let bytes = number.as_bytes();
            half.get_mut(32_usize.checked_sub(bytes.len())?..)?
                .copy_from_slice(bytes);
        }
        Some(out)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(private half of {:?})", self.public)
    }
}

fn ecdsa(kind: KeyKind) -> Option<&'static EcdsaSigningAlgorithm> {
    match kind {
        KeyKind::P256 => Some(&lc::ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyKind::P384 => Some(&lc::ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyKind::P521 => Some(&lc::ECDSA_P521_SHA512_ASN1_SIGNING),
        _ => None,
    }
}

fn x509<'out>(key: &impl AsDer<PublicKeyX509Der<'out>>) -> Result<Vec<u8>, SigningKeyError> {
    Ok(key
        .as_der()
        .map_err(|_| SigningKeyError::Library("public half"))?
        .as_ref()
        .to_vec())
}

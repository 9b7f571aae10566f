//! TPMT_SIGNATURE: RSASSA, RSAPSS and ECDSA as a TPM writes them.
//!
//! Refuses other schemes, bytes left over, and to check a signature whose scheme or hash is not the key's own. Invariant:
//! SHA-1 never reaches a signature check.

use freehold_trust::key::SignatureRejected;
use freehold_trust::{HashAlgorithm, PublicKey, Scheme};

use super::algorithm;
use super::reader::{Reader, TpmParseError};

/// Longest signature: RSA-8192; bounds hostile lengths.
const MAX_SIGNATURE: usize = 1024;
/// Longest ECDSA number: 66 bytes for P-521, a few zeros in front allowed.
const MAX_NUMBER: usize = 72;

/// A parsed TPMT_SIGNATURE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TpmSignature<'a> {
    /// TPM_ALG_ID of the scheme: RSASSA, RSAPSS or ECDSA.
    pub scheme: u16,
    /// TPM_ALG_ID of the hash.
    pub hash: u16,
    numbers: Numbers<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers<'a> {
    Rsa(&'a [u8]),
    Ecdsa { r: &'a [u8], s: &'a [u8] },
}

impl<'a> TpmSignature<'a> {
    /// Reads a TPMT_SIGNATURE that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TpmParseError> {
        let mut reader = Reader::new(bytes);
        let scheme = reader.u16("sigAlg")?;
        let hash = reader.u16("hash")?;
        let numbers = match scheme {
            algorithm::RSASSA | algorithm::RSAPSS => Numbers::Rsa(reader.sized(MAX_SIGNATURE, "signature")?),
            algorithm::ECDSA => Numbers::Ecdsa {
                r: reader.sized(MAX_NUMBER, "signatureR")?,
                s: reader.sized(MAX_NUMBER, "signatureS")?,
            },
            other => {
                return Err(TpmParseError::Unknown {
                    what: "sigAlg",
                    found: other.into(),
                });
            }
        };
        reader.end("TPMT_SIGNATURE")?;
        Ok(Self { scheme, hash, numbers })
    }

    /// Checks the signature of `message` by `key`.
    ///
    /// # Errors
    /// [`SignatureRejected`].
    pub fn verify(&self, key: &PublicKey, message: &[u8]) -> Result<(), SignatureRejected> {
        let hash = algorithm::hash(self.hash).unwrap_or(HashAlgorithm::Sha1);
        match self.numbers {
            Numbers::Ecdsa { r, s } => key.verify_ecdsa_numbers(hash, message, r, s),
            Numbers::Rsa(signature) if self.scheme == algorithm::RSAPSS => {
                key.verify(Scheme::RsaPss(hash), message, signature)
            }
            Numbers::Rsa(signature) => key.verify(Scheme::RsaSsa(hash), message, signature),
        }
    }
}

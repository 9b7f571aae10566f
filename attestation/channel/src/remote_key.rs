//! A P-256 key that lives elsewhere (a TPM, a token) and signs when asked.
//!
//! Refuses to see the private half; it knows the public key and a callback that signs a message. Invariant: the callback is
//! asked to sign TLS 1.3 handshakes and our own certificates, and nothing else.

use std::fmt;
use std::sync::Arc;

use freehold_trust::digest::{Sha256Digest, sha256};
use rcgen::PublicKeyData;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::fault::ChannelFault;

/// The remote key did not sign: the TPM is gone, busy or locked.
#[derive(Debug, thiserror::Error)]
#[error("the remote key did not sign: {reason}")]
pub struct RemoteSignFailed {
    /// What the holder of the key said.
    pub reason: String,
}

type Callback = dyn Fn(&[u8]) -> Result<Vec<u8>, RemoteSignFailed> + Send + Sync;

/// An ECDSA P-256 key behind a callback. Cheap to clone.
#[derive(Clone)]
pub struct RemoteKey {
    spki_der: Arc<[u8]>,
    public: Arc<rcgen::SubjectPublicKeyInfo>,
    sign: Arc<Callback>,
}

impl RemoteKey {
    /// A key with the public half `spki_der` (DER). `sign` gets the message (not hashed), signs its SHA-256 with
    /// ECDSA and returns the signature in DER (see [`der_signature`] for a TPM's r and s). It may block for milliseconds.
    ///
    /// # Errors
    /// When `spki_der` is not a P-256 public key.
    pub fn new(
        spki_der: &[u8],
        sign: impl Fn(&[u8]) -> Result<Vec<u8>, RemoteSignFailed> + Send + Sync + 'static,
    ) -> Result<Self, ChannelFault> {
        let public = rcgen::SubjectPublicKeyInfo::from_der(spki_der).map_err(|source| ChannelFault::Certificate {
            what: "remote key",
            source,
        })?;
        if public.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(ChannelFault::Certificate {
                what: "remote key",
                source: rcgen::Error::UnsupportedSignatureAlgorithm,
            });
        }
        Ok(Self {
            spki_der: spki_der.into(),
            public: Arc::new(public),
            sign: Arc::new(sign),
        })
    }

    /// The public half, SPKI DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// SHA-256 of the SPKI DER.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        sha256(&self.spki_der)
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteKey({})", self.fingerprint())
    }
}

impl PublicKeyData for RemoteKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl rcgen::SigningKey for RemoteKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        (self.sign)(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(RemoteSigner(self.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(&*self.spki_der))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

#[derive(Debug)]
struct RemoteSigner(RemoteKey);

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        (self.0.sign)(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// An ECDSA signature as DER (`SEQUENCE { INTEGER r, INTEGER s }`, RFC 3279, 2.2.3) from big-endian `r` and `s` of at most
/// 66 bytes each, with or without leading zeros, as a TPM returns them.
#[must_use]
pub fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut body = der_integer(r);
    body.extend(der_integer(s));
    let mut out = vec![0x30];
    push_length(&mut out, body.len());
    out.extend(body);
    out
}

fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = bytes.get(start..).unwrap_or_default();
    // A leading zero keeps the number positive (and stands for the number zero).
    let padded = digits.first().is_none_or(|byte| byte & 0x80 != 0);
    let mut out = vec![0x02];
    push_length(&mut out, digits.len().saturating_add(usize::from(padded)));
    if padded {
        out.push(0);
    }
    out.extend_from_slice(digits);
    out
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(long) => out.extend([0x81, long]),
        Err(_) => {
            let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            out.extend([0x82, high, low]);
        }
    }
}

//! DSSE envelopes: a payload, its type, and signatures over both.
//!
//! Refuses unknown fields, more than [`MAX_SIGNATURES`] signatures and payload types other than the expected one. Invariant:
//! the payload is handed out by [`Envelope::verify`] only, as the very bytes that were signed; each key counts once.
//! Source: <https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md>.

use std::collections::BTreeSet;

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Sha256Digest;
use crate::key::PublicKey;
use crate::signing::SigningKey;

/// Most signatures that are looked at: bounds the work that a hostile envelope can cause (keys × signatures checks).
pub const MAX_SIGNATURES: usize = 32;

/// A signed payload. Field names on the wire are those of the specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// What the payload is, for example `application/vnd.freehold.assignment.v1+json`.
    pub payload_type: String,
    /// The bytes that were signed. Not verified: use [`Envelope::verify`].
    #[serde(with = "base64_bytes")]
    pub payload: Vec<u8>,
    /// Signatures over [`pae`] of type and payload.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// A hint to the key (here: the fingerprint in hexadecimal); never a reason to accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
    /// The signature's bytes.
    #[serde(with = "base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why an envelope is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseRejection {
    /// More bytes than the caller allows.
    #[error("the envelope has {found} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
        /// Bytes given.
        found: usize,
    },
    /// Not an envelope.
    #[error("not a dsse envelope: {0}")]
    Malformed(String),
    /// Another payload type.
    #[error("the payload type is `{found}`, expected `{expected}`")]
    PayloadType {
        /// The type that was asked for.
        expected: String,
        /// The type in the envelope.
        found: String,
    },
    /// Too few distinct keys have signed.
    #[error("{valid} of the keys that count have signed, {threshold} are needed")]
    Threshold {
        /// Signatures by distinct keys that are needed.
        threshold: usize,
        /// Distinct keys that have validly signed.
        valid: usize,
    },
}

/// The bytes that a DSSE signature covers (pre-authentication encoding).
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// Signs `payload` with each key in its default scheme.
    #[must_use]
    pub fn sign(payload_type: &str, payload: &[u8], keys: &[&SigningKey]) -> Self {
        let message = pae(payload_type, payload);
        let signatures = keys
            .iter()
            .map(|key| Signature {
                keyid: Some(key.public().fingerprint().to_hex()),
                sig: key.sign(&message),
            })
            .collect();
        Self {
            payload_type: payload_type.to_owned(),
            payload: payload.to_vec(),
            signatures,
        }
    }

    /// Reads an envelope of at most `limit` bytes of JSON.
    ///
    /// # Errors
    /// [`DsseRejection::TooLarge`] and [`DsseRejection::Malformed`].
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, DsseRejection> {
        if bytes.len() > limit {
            return Err(DsseRejection::TooLarge {
                limit,
                found: bytes.len(),
            });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|e| DsseRejection::Malformed(e.to_string()))?;
        if envelope.signatures.len() > MAX_SIGNATURES {
            return Err(DsseRejection::Malformed(format!(
                "more than {MAX_SIGNATURES} signatures"
            )));
        }
        Ok(envelope)
    }

    /// The envelope as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and byte arrays only: this cannot fail; an empty document would be refused by every reader.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The keys of `keys` that have validly signed, by fingerprint, each once.
    #[must_use]
    pub fn signers(&self, keys: &[PublicKey]) -> BTreeSet<Sha256Digest> {
        let message = pae(&self.payload_type, &self.payload);
        let mut signers = BTreeSet::new();
        for signature in self.signatures.iter().take(MAX_SIGNATURES) {
            let by = keys.iter().find(|key| {
                !signers.contains(&key.fingerprint()) && key.verify_default(&message, &signature.sig).is_ok()
            });
            if let Some(key) = by {
                signers.insert(key.fingerprint());
            }
        }
        signers
    }

    /// Hands out the payload when its type is `expected_type` and at least `threshold` distinct keys of `keys` have signed.
    /// A threshold of zero is taken as one.
    ///
    /// # Errors
    /// [`DsseRejection::PayloadType`] and [`DsseRejection::Threshold`].
    pub fn verify(&self, expected_type: &str, keys: &[PublicKey], threshold: usize) -> Result<Vec<u8>, DsseRejection> {
        if self.payload_type != expected_type {
            return Err(DsseRejection::PayloadType {
                expected: expected_type.to_owned(),
                found: self.payload_type.clone(),
            });
        }
        let threshold = threshold.max(1);
        let valid = self.signers(keys).len();
        if valid < threshold {
            return Err(DsseRejection::Threshold { threshold, valid });
        }
        Ok(self.payload.clone())
    }
}

mod base64_bytes {
    use base64::Engine as _;

    use super::{Deserialize, Deserializer, STANDARD, Serializer, URL_SAFE};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        // The specification allows both alphabets.
        STANDARD
            .decode(text.as_bytes())
            .or_else(|_| URL_SAFE.decode(text.as_bytes()))
            .map_err(serde::de::Error::custom)
    }
}

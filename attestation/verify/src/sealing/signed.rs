//! The file of signed PCR policies that travels with an image (section `.pcrsig` of its kernel image).
//!
//! Refuses unknown fields, other versions, policies that are not the one of their own level and PCR 11, and signatures that
//! do not hold. Invariant: a policy that [`PcrPolicies::select`] returns is one that a TPM accepts for that key and value.

use freehold_trust::{PublicKey, Sha256Digest};
use serde::{Deserialize, Serialize};

use super::floor::Level;
use super::policy::{image_policy, to_be_signed};
use super::rejection::SealRejection;

/// The boot phase at which the volume is opened: after systemd-pcrphase has measured the entry into the initrd. At no later
/// phase does the TPM open it again.
pub const SEALING_PHASE: &str = "enter-initrd";

/// Longest file: some twenty policies of 500 bytes; bounds parsing.
const MAX_FILE: usize = 64 * 1024;

/// One signed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcrPolicy {
    /// Fingerprint of the PCR-policy key: SHA-256 of its SubjectPublicKeyInfo.
    pub key: Sha256Digest,
    /// The boot phase, for people; its value decides.
    pub phase: String,
    /// The image's level.
    pub level: Level,
    /// PCR 11 at that phase.
    pub pcr11: Sha256Digest,
    /// The policy digest that is signed, for people; it is computed anew.
    pub policy: Sha256Digest,
    /// ECDSA P-256 with SHA-256 over policy and reference: r and s, 32 bytes each, in hexadecimal.
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcrPolicies {
    /// Version of this format: 1.
    pub v: u8,
    /// The policies, by any keys.
    pub policies: Vec<PcrPolicy>,
}

impl PcrPolicies {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SealRejection::Signature`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SealRejection> {
        let refused = SealRejection::Signature;
        if bytes.len() > MAX_FILE {
            return Err(refused(format!("{} bytes, at most {MAX_FILE} are read", bytes.len())));
        }
        // A section of a kernel image may be filled up with zeros.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let file: Self =
            serde_json::from_slice(bytes.get(..end).unwrap_or_default()).map_err(|error| refused(error.to_string()))?;
        if file.v != 1 {
            return Err(refused(format!("version {}, known is 1", file.v)));
        }
        Ok(file)
    }

    /// The file as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and digests: this cannot fail.
        let mut out = serde_json::to_vec_pretty(self).unwrap_or_default();
        out.push(b'\n');
        out
    }

    /// The policy that `key` signed for what PCR 11 holds now.
    ///
    /// # Errors
    /// [`SealRejection::Signature`] when that key signed none here or its signature does not hold, and
    /// [`SealRejection::Image`] when it signed other values.
    pub fn select(&self, key: &PublicKey, pcr11: Sha256Digest) -> Result<&PcrPolicy, SealRejection> {
        let fingerprint = key.fingerprint();
        let mut of_key = self
            .policies
            .iter()
            .filter(|policy| policy.key == fingerprint)
            .peekable();
        if of_key.peek().is_none() {
            return Err(SealRejection::Signature(format!("no policy by the key {fingerprint}")));
        }
        let expected: Vec<Sha256Digest> = of_key.clone().map(|policy| policy.pcr11).collect();
        let found = of_key
            .find(|policy| policy.pcr11 == pcr11)
            .ok_or(SealRejection::Image { expected, found: pcr11 })?;
        found.check(key)?;
        Ok(found)
    }
}

impl PcrPolicy {
    fn check(&self, key: &PublicKey) -> Result<(), SealRejection> {
        let policy = image_policy(self.level, self.pcr11);
        if policy != self.policy {
            return Err(SealRejection::Signature(
                "the policy is not the one of its level and PCR 11".to_owned(),
            ));
        }
        key.verify_p256_fixed(&to_be_signed(&policy), &self.signature)
            .map_err(|error| SealRejection::Signature(error.to_string()))
    }

    /// r and s of the signature.
    #[must_use]
    pub fn numbers(&self) -> Option<(&[u8], &[u8])> {
        (self.signature.len() == 64).then(|| self.signature.split_at(32))
    }
}

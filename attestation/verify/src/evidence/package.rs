//! The evidence package: everything that somebody else needs to reach a verdict again, offline. Consoles write it, auditors read it.
//!
//! Refuses unknown versions and packages larger than any real one. Invariant: its words about key, TPM and manifests are the
//! exporter's; whoever wants more compares fingerprints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::Sha256Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::challenge::Challenge;
use crate::boot::Manifest;
use crate::identity::TpmKind;
use crate::tpm::ClockInfo;

/// Largest package: evidence of half a megabyte in base64 and its manifests; bounds what a swapped file can make us parse.
pub const MAX_PACKAGE: usize = 16 * 1024 * 1024;

/// Something that is not an evidence package.
#[derive(Debug, thiserror::Error)]
pub enum PackageFault {
    /// It is too large.
    #[error("an evidence package has at most {limit} bytes, this has {found}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its size.
        found: usize,
    },
    /// It is not of the form.
    #[error("not an evidence package")]
    Malformed(#[source] serde_json::Error),
    /// Its version is not known here.
    #[error("an evidence package of version {found}, which is not known here")]
    Version {
        /// Its version.
        found: u8,
    },
}

/// A package. Unknown fields are passed over: a later console may say more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidencePackage {
    /// Format version, 1.
    pub v: u8,
    /// The box.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The evidence, base64.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub evidence: Vec<u8>,
    /// The challenge that it answers.
    pub challenge: Challenge,
    /// TPMT_PUBLIC of the enrolled AK, base64.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub ak_public: Vec<u8>,
    /// What the TPM is, from its enrolment.
    pub tpm: TpmKind,
    /// SHA-256 of the enrolled TLS key's SubjectPublicKeyInfo.
    pub tls: Sha256Digest,
    /// The PCRs that had to be quoted.
    pub pcrs: Vec<u8>,
    /// The boot manifests that were accepted.
    pub manifests: Vec<Manifest>,
    /// Clock of the quote before.
    pub previous: Option<ClockInfo>,
    /// What the data volume had been measured as in the quote before, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Sha256Digest>,
    /// When it was verified, Unix seconds.
    pub at: i64,
    /// What the exporter concluded, for comparison: its own form, believed by nobody.
    #[serde(default)]
    pub verdict: serde_json::Value,
    /// What the exporter knows about the running models: names and signers. Their digests are in the evidence itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<NamedModel>,
    /// The assignment that the box had then, as the exporter tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<NamedAssignment>,
    /// Where the exporter's record says that it reached this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusion: Option<Inclusion>,
}

/// A running model by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedModel {
    /// Its root digest, as in the evidence.
    pub digest: Sha256Digest,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who signed it.
    pub signer: String,
}

/// An assignment in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedAssignment {
    /// Its counter.
    pub counter: u64,
    /// Which targets.
    pub targets: Vec<String>,
    /// Who made it.
    pub by: String,
    /// Who approved it, when it needed approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
}

/// An entry of a record and the proof that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// The entry's bytes, which are one line of JSON.
    pub entry: String,
    /// The proof (C2SP tlog-proof).
    pub proof: String,
    /// The key that the exporter says its record has (`name+hash+base64`).
    pub key: String,
}

impl EvidencePackage {
    /// Parses a package.
    ///
    /// # Errors
    /// [`PackageFault`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PackageFault> {
        if bytes.len() > MAX_PACKAGE {
            return Err(PackageFault::TooLarge {
                limit: MAX_PACKAGE,
                found: bytes.len(),
            });
        }
        let package: Self = serde_json::from_slice(bytes).map_err(PackageFault::Malformed)?;
        if package.v != 1 {
            return Err(PackageFault::Version { found: package.v });
        }
        Ok(package)
    }
}

fn write<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

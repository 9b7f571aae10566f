//! The evidence package, as the console exports it: everything that is needed to reach the verdict again.
//!
//! Refuses unknown versions. Invariant: its words about key and manifests are the exporter's; whoever wants more compares
//! fingerprints.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::Sha256Digest;
use freehold_verify::boot::Manifest;
use freehold_verify::evidence::Challenge;
use freehold_verify::identity::TpmKind;
use freehold_verify::tpm::ClockInfo;
use serde::Deserialize;

/// The largest package: evidence of half a megabyte in base64, and its manifests.
pub const PACKAGE_LIMIT: usize = 16 * 1024 * 1024;

/// A package. Fields that are not needed here are passed over.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Version, 1.
    pub v: u8,
    /// The box.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The evidence, base64.
    evidence: String,
    /// The challenge that it answers.
    pub challenge: Challenge,
    /// TPMT_PUBLIC of the enrolled AK, base64.
    ak_public: String,
    /// What the TPM is, from its enrolment.
    pub tpm: TpmKind,
    /// SHA-256 of the enrolled TLS key.
    pub tls: Sha256Digest,
    /// The PCRs that had to be quoted.
    pub pcrs: Vec<u8>,
    /// The manifests that were accepted.
    pub manifests: Vec<Manifest>,
    /// Clock of the quote before.
    pub previous: Option<ClockInfo>,
    /// When it was verified, unix seconds.
    pub at: i64,
    /// What the console concluded, for comparison.
    #[serde(default)]
    pub verdict: serde_json::Value,
}

impl Package {
    /// Parses a package.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let package: Self = serde_json::from_slice(bytes).context("not an evidence package")?;
        anyhow::ensure!(
            package.v == 1,
            "an evidence package of version {}, which is not known here",
            package.v
        );
        Ok(package)
    }

    /// The evidence's bytes.
    pub fn evidence(&self) -> anyhow::Result<Vec<u8>> {
        STANDARD
            .decode(&self.evidence)
            .context("the evidence in the package is not base64")
    }

    /// The AK's public area.
    pub fn ak_public(&self) -> anyhow::Result<Vec<u8>> {
        STANDARD
            .decode(&self.ak_public)
            .context("the key in the package is not base64")
    }
}

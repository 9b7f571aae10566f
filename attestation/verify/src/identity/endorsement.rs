//! The endorsement key: a certificate chain of its maker, or a digest that a person approved.
//!
//! Refuses a certificate for another key (CVE-2021-3406), and an EK that no credential could be made for. Invariant: the
//! [`TpmKind`] follows from the root certificate, never from what the box says.

use std::collections::BTreeSet;

use freehold_trust::certificate::{Certificate, Purpose, verify_chain};
use freehold_trust::{PublicKey, Sha256Digest};
use serde::{Deserialize, Serialize};

use super::quirk::{self, Quirk, Quirks};
use super::rejection::IdentityRejection;
use crate::tpm::algorithm;
use crate::tpm::public::{Attributes, Public};
use crate::verified::Verified;

const MUST: u32 = Attributes::FIXED_TPM
    | Attributes::FIXED_PARENT
    | Attributes::SENSITIVE_DATA_ORIGIN
    | Attributes::RESTRICTED
    | Attributes::DECRYPT;

/// What a TPM is, as derived from the root of its EK certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TpmKind {
    /// A root that the fleet names as a software root (swtpm's local authority): never more than "simulated".
    Software,
    /// Nobody vouches: a person approved the EK's digest.
    Unproven,
    /// A root of a TPM maker.
    Hardware,
}

/// Why an EK is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum EkTrust {
    /// A certificate chain.
    Chain {
        /// SHA-256 of the root certificate.
        root: Sha256Digest,
        /// The root's subject.
        subject: String,
    },
    /// A person approved its digest.
    ApprovedDigest,
}

/// Which endorsement keys are believed.
#[derive(Debug, Clone, Copy)]
pub struct EkPolicy<'a> {
    /// Root certificates of TPM makers, and those of software TPMs.
    pub roots: &'a [Certificate],
    /// SHA-256 of those roots that stand for software TPMs.
    pub software_roots: &'a BTreeSet<Sha256Digest>,
    /// Digests (SHA-256 of SubjectPublicKeyInfo) of EKs that a person approved.
    pub approved: &'a BTreeSet<Sha256Digest>,
    /// Revoked serial numbers, as encoded.
    pub revoked: &'a BTreeSet<Vec<u8>>,
    /// Deviations in certificates that are tolerated; none by default.
    pub quirks: Quirks,
    /// Now, unix seconds.
    pub now: i64,
}

/// An endorsement key that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// The public area.
    pub public: Public,
    /// The key.
    pub key: PublicKey,
    /// SHA-256 of its SubjectPublicKeyInfo: what a box's id is bound to.
    pub digest: Sha256Digest,
    /// Software, hardware, or nobody knows.
    pub tpm: TpmKind,
    /// Why it is believed.
    pub trust: EkTrust,
    /// Deviations in the certificate that were tolerated.
    pub quirks: Vec<Quirk>,
}

/// Checks an EK: `public` is its TPMT_PUBLIC, `certificate` its DER certificate where there is one, `chain` intermediates.
///
/// # Errors
/// [`IdentityRejection`].
pub fn verify_endorsement(
    public: &[u8],
    certificate: Option<&[u8]>,
    chain: &[Vec<u8>],
    policy: &EkPolicy<'_>,
) -> Result<Verified<Endorsement>, IdentityRejection> {
    let public = Public::parse(public).map_err(|source| IdentityRejection::Malformed { what: "EK", source })?;
    let attributes = public.attributes;
    let storage = public
        .symmetric
        .is_some_and(|s| s.algorithm == algorithm::AES && s.mode == algorithm::CFB && matches!(s.bits, 128 | 256));
    if !attributes.has(MUST) || !attributes.lacks(Attributes::SIGN) || !storage || public.scheme.is_some() {
        return Err(IdentityRejection::EkAttributes {
            found: attributes.to_string(),
        });
    }
    let key = public
        .public_key()
        .map_err(|e| IdentityRejection::EkAttributes { found: e.to_string() })?;
    let digest = key.fingerprint();
    let Some(certificate) = certificate else {
        if !policy.approved.contains(&digest) {
            return Err(IdentityRejection::EkUnknown {
                digest: digest.to_hex(),
            });
        }
        let trust = EkTrust::ApprovedDigest;
        return Ok(Verified::seal(Endorsement {
            public,
            key,
            digest,
            tpm: TpmKind::Unproven,
            trust,
            quirks: Vec::new(),
        }));
    };
    let (certificate, quirks) = quirk::read_certificate(certificate, policy.quirks)?;
    if certificate.public_key() != &key {
        return Err(IdentityRejection::EkMismatch {
            certified: certificate.public_key().fingerprint().to_hex(),
            used: digest.to_hex(),
        });
    }
    let mut between = Vec::with_capacity(chain.len());
    for der in chain {
        between.push(Certificate::from_der(der).map_err(IdentityRejection::EkCertificate)?);
    }
    let found = verify_chain(
        &certificate,
        &between,
        policy.roots,
        Purpose::TpmEk,
        policy.now,
        policy.revoked,
    )
    .map_err(IdentityRejection::EkCertificate)?;
    let tpm = if policy.software_roots.contains(&found.root) {
        TpmKind::Software
    } else {
        TpmKind::Hardware
    };
    let trust = EkTrust::Chain {
        root: found.root,
        subject: found.root_subject,
    };
    Ok(Verified::seal(Endorsement {
        public,
        key,
        digest,
        tpm,
        trust,
        quirks,
    }))
}

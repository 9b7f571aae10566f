//! Keyless bundles: a certificate for a moment, a log entry, timestamps; judged by sigstore-verify, offline.
//!
//! Refuses any signer that is not on the list, and to fetch anything: the trusted root is given. Invariant: the artefact
//! that sigstore binds is the statement's subject, whose digest the statement parser recomputes over the file list.

use freehold_trust::digest::Sha256Digest;
use serde::{Deserialize, Serialize};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Bundle as SigstoreBundle, Sha256Hash};
use sigstore_verify::{VerificationPolicy, Verifier};

use super::bundle::Bundle;
use super::rejection::ModelRejection;
use super::signer::Signer;
use crate::json;
use crate::text::shown;

/// Bounds a trusted root document; the public one has about 10 KiB.
const MAX_TRUSTED_ROOT: usize = 1024 * 1024;

/// One signer: who, and who vouches for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeylessIdentity {
    /// The subject alternative name, exactly: an address or a workflow's URI.
    pub identity: String,
    /// The OpenID Connect issuer, exactly.
    pub issuer: String,
}

/// Under which sigstore trusted root which identities count.
#[derive(Debug, Clone)]
pub struct KeylessTrust {
    root: TrustedRoot,
    identities: Vec<KeylessIdentity>,
}

impl KeylessTrust {
    /// Reads a sigstore `trusted_root.json`; only `identities` will count under it.
    ///
    /// # Errors
    /// [`ModelRejection::Keyless`] when the document cannot be used.
    pub fn new(trusted_root: &[u8], identities: Vec<KeylessIdentity>) -> Result<Self, ModelRejection> {
        let fault = |detail: String| ModelRejection::Keyless { detail: shown(&detail) };
        json::parse(trusted_root, MAX_TRUSTED_ROOT).map_err(|error| fault(format!("trusted root: {error}")))?;
        let text = std::str::from_utf8(trusted_root).map_err(|error| fault(error.to_string()))?;
        let root = TrustedRoot::from_json(text).map_err(|error| fault(format!("trusted root: {error}")))?;
        Verifier::new(&root).map_err(|error| fault(format!("trusted root: {error}")))?;
        Ok(Self { root, identities })
    }
}

#[derive(Deserialize)]
struct SubjectOnly {
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    sha256: Sha256Digest,
}

pub(super) fn authenticate(bytes: &[u8], bundle: &Bundle, trust: &KeylessTrust) -> Result<Signer, ModelRejection> {
    let fault = |detail: String| ModelRejection::Keyless { detail: shown(&detail) };
    let text = std::str::from_utf8(bytes).map_err(|error| fault(error.to_string()))?;
    let parsed = SigstoreBundle::from_json(text).map_err(|error| fault(error.to_string()))?;
    let statement: SubjectOnly =
        json::typed(&bundle.payload, super::bundle::MAX_BUNDLE).map_err(|error| fault(error.to_string()))?;
    let [subject] = statement.subject.as_slice() else {
        return Err(fault(format!("{} subjects", statement.subject.len())));
    };
    let artefact = Sha256Hash::new(*subject.digest.sha256.as_bytes());
    let verifier = Verifier::new(&trust.root).map_err(|error| fault(error.to_string()))?;
    // Cryptography first, with anybody's identity; who it is decides afterwards.
    let verified = verifier
        .verify(artefact, &parsed, &VerificationPolicy::any_identity())
        .map_err(|error| fault(error.to_string()))?;
    if !(verified.certificate_verified() && verified.tlog_verified() && verified.sct_verified()) {
        return Err(fault("a part of the proof was not checked".to_owned()));
    }
    let identity = verified
        .identity()
        .map(|name| name.as_str().to_owned())
        .unwrap_or_default();
    let issuer = verified.issuer().unwrap_or_default().to_owned();
    let known = trust
        .identities
        .iter()
        .any(|one| one.identity == identity && one.issuer == issuer);
    if !known {
        return Err(ModelRejection::SignerUnknown {
            found: shown(&identity),
        });
    }
    Ok(Signer::Keyless { identity, issuer })
}

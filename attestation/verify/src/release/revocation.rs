//! What the publisher took back, and the floors below which nothing is installed any more.
//!
//! Refuses a list older than the last one seen. Invariant: the list is a signed target like any other; a repository without
//! one is refused rather than taken for "nothing is revoked".

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::rejection::ReleaseRejection;
use super::target::Targets;
use crate::json::{self, JsonFault};
use crate::model::{ModelManifest, Signer};
use crate::verified::Verified;

/// Target name of the revocation list.
pub const REVOCATIONS_NAME: &str = "revocations.json";
/// Bounds the list: about 50,000 digests.
const MAX_REVOCATIONS: usize = 4 * 1024 * 1024;

/// The list as it is written; not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationList {
    /// Major version, 1.
    pub v: u32,
    /// Rises with each list.
    pub counter: u64,
    /// Root digests of models.
    pub models: BTreeSet<Sha256Digest>,
    /// Fingerprints of signers' keys (hexadecimal), or keyless identities.
    pub signers: BTreeSet<String>,
    /// Releases by `kind/name/version`, for example `models/guide/1.0.0`.
    pub releases: BTreeSet<String>,
    /// Smallest counter that may still be installed, by `kind/name`, for example `models/guide`.
    pub floors: BTreeMap<String, u64>,
}

impl RevocationList {
    /// An empty list.
    #[must_use]
    pub fn empty(counter: u64) -> Self {
        Self {
            v: 1,
            counter,
            models: BTreeSet::new(),
            signers: BTreeSet::new(),
            releases: BTreeSet::new(),
            floors: BTreeMap::new(),
        }
    }

    /// Reads a list, without asking who signed it.
    ///
    /// # Errors
    /// [`ReleaseRejection::Malformed`] or [`ReleaseRejection::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseRejection> {
        let list: Self = json::typed(bytes, MAX_REVOCATIONS).map_err(|fault| match fault {
            JsonFault::TooLong { limit } => ReleaseRejection::TooLarge {
                what: REVOCATIONS_NAME.to_owned(),
                limit,
            },
            JsonFault::Form(detail) => ReleaseRejection::malformed(REVOCATIONS_NAME, detail),
        })?;
        if list.v != 1 {
            return Err(ReleaseRejection::malformed(
                REVOCATIONS_NAME,
                format!("version {}", list.v),
            ));
        }
        Ok(list)
    }
}

/// A verified revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revocations {
    /// What it says.
    pub list: RevocationList,
}

impl Revocations {
    /// Whether a model, or its signer, was revoked; asked before admission and of running models whenever a new list comes.
    ///
    /// # Errors
    /// [`ReleaseRejection::Revoked`].
    pub fn check_model(&self, manifest: &Verified<ModelManifest>) -> Result<(), ReleaseRejection> {
        self.check_root(manifest.root)?;
        self.check_signer(&manifest.signer)
    }

    /// Whether the model of that root digest was revoked.
    ///
    /// # Errors
    /// [`ReleaseRejection::Revoked`].
    pub fn check_root(&self, root: Sha256Digest) -> Result<(), ReleaseRejection> {
        if self.list.models.contains(&root) {
            return Err(ReleaseRejection::Revoked {
                what: format!("model {root}"),
            });
        }
        Ok(())
    }

    /// Whether that signer was revoked.
    ///
    /// # Errors
    /// [`ReleaseRejection::Revoked`].
    pub fn check_signer(&self, signer: &Signer) -> Result<(), ReleaseRejection> {
        if self.list.signers.contains(&signer.id()) {
            return Err(ReleaseRejection::Revoked {
                what: format!("signer {}", crate::text::shown(&signer.id())),
            });
        }
        Ok(())
    }

    /// Revoked signers' fingerprints, for [`crate::model::SignerTrust::revoked_keys`].
    #[must_use]
    pub fn revoked_keys(&self) -> BTreeSet<Sha256Digest> {
        self.list.signers.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

/// Verifies the revocation list against the signed targets; `last` is the counter of the last list that was seen. Expiry is
/// not asked: an old list still revokes.
///
/// # Errors
/// [`ReleaseRejection`]; [`ReleaseRejection::UnknownTarget`] when the repository has no list.
pub fn verify_revocations(
    targets: &Verified<Targets>,
    bytes: &[u8],
    last: Option<u64>,
) -> Result<Verified<Revocations>, ReleaseRejection> {
    targets.get().check(REVOCATIONS_NAME, bytes)?;
    let list = RevocationList::parse(bytes)?;
    match last {
        Some(last) if list.counter < last => Err(ReleaseRejection::Rollback {
            what: REVOCATIONS_NAME.to_owned(),
            last,
            found: list.counter,
        }),
        _ => Ok(Verified::seal(Revocations { list })),
    }
}

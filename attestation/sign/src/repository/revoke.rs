//! Takes back models, signers and releases, and raises floors.
//!
//! Refuses to lower a floor. Invariant: the list only grows, and its counter rises with every change.

use freehold_trust::digest::Sha256Digest;
use freehold_verify::release::{REVOCATIONS_NAME, RevocationList};

use super::{Expiry, Publisher, RepositoryError};

/// What is added to the list.
#[derive(Debug, Clone, Default)]
pub struct RevocationChange {
    /// Root digests of models.
    pub models: Vec<Sha256Digest>,
    /// Fingerprints of signers' keys, or keyless identities.
    pub signers: Vec<String>,
    /// Releases as `models/<name>/<version>`.
    pub releases: Vec<String>,
    /// Smallest counters that may still be installed, by `models/<name>`.
    pub floors: Vec<(String, u64)>,
}

/// Adds to the revocation list and signs everything anew. Answers the new list.
///
/// # Errors
/// [`RepositoryError`]; [`RepositoryError::Counter`] for a floor below the present one.
pub fn revoke(
    publisher: &Publisher,
    change: RevocationChange,
    expiry: &Expiry,
    now: i64,
) -> Result<RevocationList, RepositoryError> {
    let published = publisher.published()?;
    let mut list = published.revocations;
    list.counter = list.counter.saturating_add(1);
    list.models.extend(change.models);
    list.signers.extend(change.signers);
    list.releases.extend(change.releases);
    for (line, floor) in change.floors {
        let last = list.floors.get(&line).copied().unwrap_or(0);
        if floor < last {
            return Err(RepositoryError::Counter {
                line,
                last,
                found: floor,
            });
        }
        list.floors.insert(line, floor);
    }
    let bytes = serde_json::to_vec_pretty(&list).map_err(RepositoryError::Json)?;
    let info = publisher.put(REVOCATIONS_NAME, &bytes)?;
    let mut targets = published.targets;
    targets.insert(REVOCATIONS_NAME.to_owned(), info);
    publisher.commit(&targets, expiry, now)?;
    Ok(list)
}

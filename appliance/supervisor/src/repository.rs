//! The publisher's repository as this box trusts it: updated from the console, kept across restarts.
//!
//! Refuses what the TUF client refuses, and keeps what it had then. Invariant: metadata, its versions and the revocations are
//! written as one document, so that a restart finds one consistent state.

use freehold_trust::sha256;
use freehold_verify::Verified;
use freehold_verify::release::{
    MetadataPin, REVOCATIONS_NAME, ReleaseRejection, RepositoryState, Revocations, StoredMetadata, Targets,
    TrustedRepository, verify_revocations,
};
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::fault::Fault;
use crate::state::State;
use freehold_protocol::routes;

const FILE: &str = "tuf/repository.json";
/// Bounds one metadata file before its role is known; each role has a tighter bound of its own.
const MAX_METADATA: usize = 24 << 20;
/// Bounds the revocation list.
const MAX_REVOCATIONS: usize = 4 << 20;
/// Most root versions taken in one go: bounds a console that sends roots without end.
const MAX_ROOTS: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    v: u32,
    state: RepositoryState,
    timestamp: String,
    snapshot: String,
    targets: String,
    revocations: String,
}

/// Metadata that is trusted now, with what it lists.
#[derive(Debug)]
pub(crate) struct Repository {
    trusted: TrustedRepository,
    files: Option<StoredMetadata>,
    pub(crate) listing: Option<Listing>,
}

/// What verified metadata lists.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) targets: Verified<Targets>,
    pub(crate) revocations: Verified<Revocations>,
}

/// Verified metadata that is newer than what is kept.
#[derive(Debug)]
pub(crate) struct Newer {
    trusted: TrustedRepository,
    files: StoredMetadata,
    revocations: Vec<u8>,
    pub(crate) listing: Listing,
}

/// Whether an update brought something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Updated {
    Same,
    New,
}

impl Repository {
    /// Starts from the pinned root and what earlier runs have kept.
    pub(crate) fn open(state: &State, pinned: &[u8]) -> Result<Self, Fault> {
        let Some(stored) = state.json::<Stored>(FILE)? else {
            return Ok(Self {
                trusted: TrustedRepository::new(pinned, None)?,
                files: None,
                listing: None,
            });
        };
        if stored.v != 1 {
            return Err(Fault::State {
                path: state.path(FILE),
                detail: format!("version {}", stored.v),
            });
        }
        let mut trusted = TrustedRepository::new(pinned, Some(stored.state))?;
        let files = StoredMetadata {
            timestamp: stored.timestamp.into_bytes(),
            snapshot: stored.snapshot.into_bytes(),
            targets: stored.targets.into_bytes(),
        };
        let targets = trusted.reload(&files)?;
        let revocations = verify_revocations(&targets, stored.revocations.as_bytes(), None)?;
        Ok(Self {
            trusted,
            files: Some(files),
            listing: Some(Listing { targets, revocations }),
        })
    }

    /// Fetches what is newer, and keeps it. `last` is the counter of the newest revocation list that was ever seen.
    pub(crate) async fn update(
        &mut self,
        console: &Console,
        state: &State,
        now: i64,
        last: u64,
    ) -> Result<Updated, Fault> {
        let Some(newer) = self.newer(console, now, last).await? else {
            return Ok(Updated::Same);
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        state.put_json(
            FILE,
            &Stored {
                v: 1,
                state: newer.trusted.state().clone(),
                timestamp: text(&newer.files.timestamp),
                snapshot: text(&newer.files.snapshot),
                targets: text(&newer.files.targets),
                revocations: text(&newer.revocations),
            },
        )?;
        self.trusted = newer.trusted;
        self.files = Some(newer.files);
        self.listing = Some(newer.listing);
        Ok(Updated::New)
    }

    /// Fetches and verifies what is newer, and changes nothing; `None` when there is nothing newer.
    pub(crate) async fn newer(&self, console: &Console, now: i64, last: u64) -> Result<Option<Newer>, Fault> {
        let timestamp = metadata(console, "timestamp.json").await?;
        if let (Some(files), Some(listing)) = (&self.files, &self.listing)
            && files.timestamp == timestamp
            && listing.targets.valid_until >= now
        {
            return Ok(None);
        }
        let mut next = self.trusted.clone();
        for _ in 0..MAX_ROOTS {
            let file = format!("{}.root.json", next.root_version().saturating_add(1));
            match console
                .get(&format!("{}{file}", routes::REPOSITORY_METADATA), MAX_METADATA)
                .await?
            {
                Some(bytes) => next.update_root(&bytes)?,
                None => break,
            }
        }
        let snapshot_pin = next.update_timestamp(&timestamp, now)?;
        let kept = self.files.as_ref();
        let snapshot = pinned(console, &snapshot_pin, kept.map(|files| &files.snapshot)).await?;
        let targets_pin = next.update_snapshot(&snapshot, now)?;
        let targets_bytes = pinned(console, &targets_pin, kept.map(|files| &files.targets)).await?;
        let targets = next.update_targets(&targets_bytes, now)?;
        let revocations = target(console, &targets, REVOCATIONS_NAME, MAX_REVOCATIONS).await?;
        let verified = verify_revocations(&targets, &revocations, Some(last))?;
        let files = StoredMetadata {
            timestamp,
            snapshot,
            targets: targets_bytes,
        };
        Ok(Some(Newer {
            trusted: next,
            files,
            revocations,
            listing: Listing {
                targets,
                revocations: verified,
            },
        }))
    }
}

async fn metadata(console: &Console, file: &str) -> Result<Vec<u8>, Fault> {
    let path = format!("{}{file}", routes::REPOSITORY_METADATA);
    match console.get(&path, MAX_METADATA).await? {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(Fault::of("console.answer", format!("the console has no `{file}`"))),
    }
}

/// A pinned metadata file: the one at hand when it is the same, else fetched.
async fn pinned(console: &Console, pin: &MetadataPin, kept: Option<&Vec<u8>>) -> Result<Vec<u8>, Fault> {
    if let Some(bytes) = kept.filter(|bytes| sha256(bytes) == pin.sha256) {
        return Ok(bytes.clone());
    }
    metadata(console, &pin.file).await
}

/// A small target, whole, checked against the verified targets.
pub(crate) async fn target(
    console: &Console,
    targets: &Verified<Targets>,
    name: &str,
    limit: usize,
) -> Result<Vec<u8>, Fault> {
    let info = targets.target(name)?;
    let too_large = || ReleaseRejection::TooLarge {
        what: name.to_owned(),
        limit,
    };
    if usize::try_from(info.length).map_err(|_| too_large())? > limit {
        return Err(too_large().into());
    }
    let path = format!("{}{name}", routes::REPOSITORY_TARGETS);
    let bytes = console.get(&path, limit).await?;
    let bytes = bytes.ok_or_else(|| Fault::of("console.answer", format!("the console has no `{name}`")))?;
    targets.check(name, &bytes)?;
    Ok(bytes.to_vec())
}

//! The TUF client: root, timestamp, snapshot, targets, each as bytes, in that order. No I/O; a caller fetches.
//!
//! Refuses what sigstore-tuf refuses and some more: duplicate JSON keys, one key under two names, delegations, pins without
//! digests, and any version below the ones that were accepted before a restart. Invariant: a refused step changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_trust::key::PublicKey;
use serde::{Deserialize, Serialize};
use sigstore_tuf::{Error as TufError, MetaFile, Role, Root, TrustedMetadataSet};

use super::rejection::ReleaseRejection;
use super::target::{TargetInfo, Targets, check_target_name};
use crate::json::{self, JsonFault};
use crate::text::shown;
use crate::verified::Verified;

/// Bounds a root (a few keys and their signatures).
const MAX_ROOT: usize = 256 * 1024;
/// Bounds a timestamp (one pin).
const MAX_TIMESTAMP: usize = 32 * 1024;
/// Bounds a snapshot (one pin, too, since nothing is delegated).
const MAX_SNAPSHOT: usize = 256 * 1024;
/// Bounds the targets: about 80,000 entries.
const MAX_TARGETS: usize = 24 * 1024 * 1024;

/// What is kept between runs, so that nothing accepted once can be taken back to an older version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryState {
    /// Major version, 1.
    pub v: u32,
    /// The trusted root as it was verified, JSON text.
    pub root: String,
    /// Last accepted version of the timestamp.
    pub timestamp: u64,
    /// Last accepted version of the snapshot.
    pub snapshot: u64,
    /// Last accepted version of the targets.
    pub targets: u64,
}

/// The last accepted metadata as bytes, which a box keeps beside its [`RepositoryState`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMetadata {
    /// `timestamp.json`.
    pub timestamp: Vec<u8>,
    /// The snapshot.
    pub snapshot: Vec<u8>,
    /// The targets.
    pub targets: Vec<u8>,
}

/// What is to be fetched next, as the step before pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataPin {
    /// File name in the repository's `metadata/`, for example `7.snapshot.json`.
    pub file: String,
    /// Its version.
    pub version: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// The metadata that is trusted now.
#[derive(Debug, Clone)]
pub struct TrustedRepository {
    set: TrustedMetadataSet,
    state: RepositoryState,
}

impl TrustedRepository {
    /// Starts from the root that was pinned when the box met its fleet, and what earlier runs have kept.
    ///
    /// # Errors
    /// [`ReleaseRejection::State`] when the state is of another version, older than the pin or about another root.
    pub fn new(pinned: &[u8], state: Option<RepositoryState>) -> Result<Self, ReleaseRejection> {
        let pin = trusted_root(pinned)?;
        let Some(state) = state else {
            let root = String::from_utf8_lossy(pinned).into_owned();
            let state = RepositoryState {
                v: 1,
                root,
                timestamp: 0,
                snapshot: 0,
                targets: 0,
            };
            return Ok(Self { set: pin, state });
        };
        let fault = |detail: &str| ReleaseRejection::State {
            detail: detail.to_owned(),
        };
        if state.v != 1 {
            return Err(fault("another version"));
        }
        let set = trusted_root(state.root.as_bytes())?;
        let (kept, pinned_version) = (set.root().version, pin.root().version);
        if kept < pinned_version || (kept == pinned_version && set.root_bytes() != pinned) {
            return Err(fault("it does not descend from the pinned root"));
        }
        Ok(Self { set, state })
    }

    /// What to keep for the next run.
    #[must_use]
    pub fn state(&self) -> &RepositoryState {
        &self.state
    }

    /// Version of the trusted root; the next one to ask for is one more, as `<version>.root.json`.
    #[must_use]
    pub fn root_version(&self) -> u64 {
        self.set.root().version
    }

    /// SHA-256 of the trusted root's bytes: what a person compares when a box meets its fleet.
    #[must_use]
    pub fn root_fingerprint(&self) -> Sha256Digest {
        sha256(self.set.root_bytes())
    }

    /// Takes the next root: version plus one, signed by the trusted root's keys and by its own.
    ///
    /// When the keys of timestamp or snapshot change, the versions known of them are forgotten: that is how a publisher
    /// recovers from stolen keys that were used to run ahead (TUF specification 5.3.11).
    ///
    /// # Errors
    /// [`ReleaseRejection`].
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<(), ReleaseRejection> {
        well_formed("root", bytes, MAX_ROOT)?;
        let mut next = self.set.clone();
        next.update_root(bytes).map_err(|error| refused("root", error))?;
        check_keys(next.root())?;
        let rotated = |role: &str| role_keys(self.set.root(), role) != role_keys(next.root(), role);
        let forget = rotated("timestamp") || rotated("snapshot");
        self.state.root = String::from_utf8_lossy(bytes).into_owned();
        if forget {
            (self.state.timestamp, self.state.snapshot, self.state.targets) = (0, 0, 0);
        }
        self.set = next;
        Ok(())
    }

    /// Takes a timestamp at `now` (unix seconds) and answers which snapshot it pins.
    ///
    /// # Errors
    /// [`ReleaseRejection`].
    pub fn update_timestamp(&mut self, bytes: &[u8], now: i64) -> Result<MetadataPin, ReleaseRejection> {
        self.timestamp_at(bytes, moment(now)?)
    }

    fn timestamp_at(&mut self, bytes: &[u8], now: jiff::Timestamp) -> Result<MetadataPin, ReleaseRejection> {
        well_formed("timestamp", bytes, MAX_TIMESTAMP)?;
        // From the root anew: a timestamp of the version at hand is checked again, its expiry included.
        let mut next = trusted_root(self.set.root_bytes())?;
        next.check_root_expired(now).map_err(|error| refused("root", error))?;
        next.update_timestamp(bytes, now)
            .map_err(|error| refused("timestamp", error))?;
        let timestamp = next
            .timestamp()
            .ok_or(ReleaseRejection::Order { missing: "timestamp" })?;
        let version = timestamp.version;
        let pin = pin("timestamp", "snapshot.json", timestamp.snapshot_meta())?;
        not_older("timestamp", self.state.timestamp, version)?;
        not_older("snapshot", self.state.snapshot, pin.version)?;
        self.set = next;
        self.state.timestamp = version;
        Ok(pin)
    }

    /// Takes the snapshot that the timestamp pins and answers which targets it pins.
    ///
    /// # Errors
    /// [`ReleaseRejection`].
    pub fn update_snapshot(&mut self, bytes: &[u8], now: i64) -> Result<MetadataPin, ReleaseRejection> {
        self.snapshot_at(bytes, moment(now)?)
    }

    fn snapshot_at(&mut self, bytes: &[u8], now: jiff::Timestamp) -> Result<MetadataPin, ReleaseRejection> {
        well_formed("snapshot", bytes, MAX_SNAPSHOT)?;
        if self.set.timestamp().is_none() {
            return Err(ReleaseRejection::Order { missing: "timestamp" });
        }
        let mut next = self.set.clone();
        next.update_snapshot(bytes, now)
            .map_err(|error| refused("snapshot", error))?;
        let snapshot = next.snapshot().ok_or(ReleaseRejection::Order { missing: "snapshot" })?;
        let version = snapshot.version;
        let pin = pin("snapshot", "targets.json", snapshot.meta.get("targets.json"))?;
        not_older("snapshot", self.state.snapshot, version)?;
        not_older("targets", self.state.targets, pin.version)?;
        self.set = next;
        self.state.snapshot = version;
        Ok(pin)
    }

    /// Takes the targets that the snapshot pins.
    ///
    /// # Errors
    /// [`ReleaseRejection`].
    pub fn update_targets(&mut self, bytes: &[u8], now: i64) -> Result<Verified<Targets>, ReleaseRejection> {
        self.targets_at(bytes, moment(now)?)
    }

    fn targets_at(&mut self, bytes: &[u8], now: jiff::Timestamp) -> Result<Verified<Targets>, ReleaseRejection> {
        well_formed("targets", bytes, MAX_TARGETS)?;
        if self.set.snapshot().is_none() {
            return Err(ReleaseRejection::Order { missing: "snapshot" });
        }
        let mut next = self.set.clone();
        let role = next
            .update_targets(bytes, now)
            .map_err(|error| refused("targets", error))?;
        if role
            .delegations
            .as_ref()
            .is_some_and(|delegations| !delegations.roles.is_empty())
        {
            return Err(ReleaseRejection::Delegation);
        }
        not_older("targets", self.state.targets, role.version)?;
        let mut targets = BTreeMap::new();
        for (name, file) in &role.targets {
            check_target_name(name)?;
            let sha256 = file.hashes.get("sha256").and_then(|hex| hex.parse().ok());
            let sha256 = sha256.ok_or_else(|| ReleaseRejection::malformed(shown(name), "no sha256 digest"))?;
            targets.insert(
                name.clone(),
                TargetInfo {
                    length: file.length,
                    sha256,
                },
            );
        }
        let mut valid_until = role.expires().as_second();
        let version = role.version;
        valid_until = valid_until.min(next.root().expires().as_second());
        for expires in [next.timestamp().map(Role::expires), next.snapshot().map(Role::expires)]
            .into_iter()
            .flatten()
        {
            valid_until = valid_until.min(expires.as_second());
        }
        self.set = next;
        self.state.targets = version;
        Ok(Verified::seal(Targets {
            version,
            valid_until,
            targets,
        }))
    }

    /// Takes up again what an earlier run had accepted, whatever its expiry: signatures, pins and versions are checked,
    /// time is not. The result still says until when it was valid, and nothing new is selected from it after that.
    ///
    /// # Errors
    /// [`ReleaseRejection`].
    pub fn reload(&mut self, stored: &StoredMetadata) -> Result<Verified<Targets>, ReleaseRejection> {
        let mut next = self.clone();
        // Before anything can have expired.
        let never = jiff::Timestamp::UNIX_EPOCH;
        next.timestamp_at(&stored.timestamp, never)?;
        next.snapshot_at(&stored.snapshot, never)?;
        let targets = next.targets_at(&stored.targets, never)?;
        *self = next;
        Ok(targets)
    }
}

fn trusted_root(bytes: &[u8]) -> Result<TrustedMetadataSet, ReleaseRejection> {
    well_formed("root", bytes, MAX_ROOT)?;
    let set = TrustedMetadataSet::from_root(bytes).map_err(|error| refused("root", error))?;
    check_keys(set.root())?;
    Ok(set)
}

fn well_formed(role: &str, bytes: &[u8], limit: usize) -> Result<(), ReleaseRejection> {
    match json::parse(bytes, limit) {
        Ok(_) => Ok(()),
        Err(JsonFault::TooLong { limit }) => Err(ReleaseRejection::TooLarge {
            what: role.to_owned(),
            limit,
        }),
        Err(JsonFault::Form(detail)) => Err(ReleaseRejection::malformed(role, detail)),
    }
}

fn moment(now: i64) -> Result<jiff::Timestamp, ReleaseRejection> {
    jiff::Timestamp::from_second(now).map_err(|error| ReleaseRejection::malformed("time", error.to_string()))
}

/// The keys of a role by fingerprint, with its threshold; a key that cannot be read counts by its text.
fn role_keys(root: &Root, role: &str) -> (BTreeSet<String>, usize) {
    let Some(declared) = root.role(role) else {
        return (BTreeSet::new(), 0);
    };
    let keys = declared.keyids.iter().filter_map(|id| root.keys.get(id));
    (
        keys.map(|key| identity(&key.keyval.public)).collect(),
        declared.threshold,
    )
}

/// What a key is, however it is written.
fn identity(public: &str) -> String {
    match PublicKey::from_spki_pem(public) {
        Ok(key) => key.fingerprint().to_hex(),
        Err(_) => public.trim().to_ascii_lowercase(),
    }
}

/// Thresholds count key ids; a key under two ids would count twice (CVE-2026-6966).
fn check_keys(root: &Root) -> Result<(), ReleaseRejection> {
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let Some(declared) = root.role(role) else {
            return Err(ReleaseRejection::malformed("root", format!("no role `{role}`")));
        };
        let ids: BTreeSet<&String> = declared.keyids.iter().collect();
        let (keys, threshold) = role_keys(root, role);
        if keys.len() != ids.len() || ids.len() != declared.keyids.len() {
            return Err(ReleaseRejection::DuplicateKey { role: role.to_owned() });
        }
        if threshold == 0 || threshold > keys.len() {
            return Err(ReleaseRejection::Threshold {
                role: role.to_owned(),
                threshold,
                found: keys.len(),
            });
        }
    }
    if !root.consistent_snapshot {
        return Err(ReleaseRejection::malformed("root", "consistent snapshots are off"));
    }
    Ok(())
}

fn pin(role: &str, file: &str, meta: Option<&MetaFile>) -> Result<MetadataPin, ReleaseRejection> {
    let fault = || ReleaseRejection::malformed(role, format!("no version, length and sha256 of `{file}`"));
    let meta = meta.ok_or_else(fault)?;
    let sha256 = meta
        .hashes
        .as_ref()
        .and_then(|hashes| hashes.get("sha256"))
        .and_then(|hex| hex.parse().ok());
    Ok(MetadataPin {
        file: format!("{}.{file}", meta.version),
        version: meta.version,
        length: meta.length.ok_or_else(fault)?,
        sha256: sha256.ok_or_else(fault)?,
    })
}

fn not_older(role: &str, last: u64, found: u64) -> Result<(), ReleaseRejection> {
    if found < last {
        return Err(ReleaseRejection::Rollback {
            what: role.to_owned(),
            last,
            found,
        });
    }
    Ok(())
}

fn refused(role: &str, error: TufError) -> ReleaseRejection {
    match error {
        TufError::ThresholdNotMet { role, found: 0, .. } => ReleaseRejection::Signature { role: shown(&role) },
        TufError::ThresholdNotMet { role, found, threshold } => ReleaseRejection::Threshold {
            role: shown(&role),
            threshold,
            found,
        },
        TufError::DuplicateSignature { role, .. } => ReleaseRejection::DuplicateKey { role: shown(&role) },
        TufError::Rollback { role, trusted, new } => ReleaseRejection::Rollback {
            what: shown(&role),
            last: trusted,
            found: new,
        },
        TufError::BadRootVersion { trusted, new } => ReleaseRejection::RootVersion { trusted, found: new },
        TufError::Expired { role, expires } => ReleaseRejection::Expired {
            what: shown(&role),
            expires: expires.as_second(),
        },
        TufError::IntegrityMismatch(_) => ReleaseRejection::Hash {
            name: role.to_owned(),
            expected: None,
            found: None,
        },
        other => ReleaseRejection::malformed(role, other.to_string()),
    }
}

//! The releases that this console knows: a verified copy of the publisher's TUF repository.
//!
//! Refuses to keep, list or serve what the offline keys did not sign. Invariant: a [`Shelf`] is made from files that were
//! verified when it was made, and is replaced as a whole.

pub mod card;
pub mod import;
pub mod timestamp;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use freehold_decide::PolicySet;
use freehold_trust::SigningKey;
use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_verify::approval::Approvers;
use freehold_verify::boot::Manifest;
use freehold_verify::release::{
    InstalledReleases, REVOCATIONS_NAME, Release, ReleaseDescriptor, ReleaseKind, ReleaseRejection, RepositoryState,
    Revocations, StoredMetadata, Targets, TrustedRepository, consistent_name, select_release, verify_revocations,
};
use freehold_verify::{Refusal, RefusalReport, Verified};

use crate::state::{StateDir, StateFault};
use crate::supply::Supply;

/// File of the pinned root, in the state folder.
pub const PINNED_ROOT: &str = "tuf-root.json";
/// File of what was accepted so far, in the state folder.
const ACCEPTED: &str = "tuf-state.json";
/// Largest metadata file that is read (the verifier has tighter bounds per role).
const MAX_METADATA: u64 = 24 * 1024 * 1024;
/// Largest set of advisories that is read into memory.
const MAX_ADVISORIES: u64 = 512 * 1024 * 1024;
/// Largest descriptor, manifest or list that is read into memory.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;

/// Releases could not be read, verified or kept.
#[derive(Debug, thiserror::Error)]
pub enum ShelfFault {
    /// The verifier's refusal.
    #[error("the repository is refused")]
    Refused(#[source] ReleaseRejection),
    /// The root's fingerprint is not the one that was confirmed.
    #[error("the root has fingerprint `{found}`")]
    OtherRoot {
        /// What was confirmed, hex.
        expected: String,
        /// What is there, hex.
        found: String,
    },
    /// No root is pinned and none was confirmed.
    #[error("no publisher is pinned yet; hint: --root-sha256 {found}, when the publisher reads the same to you")]
    NoRoot {
        /// The fingerprint of the root that is there, hex.
        found: String,
    },
    /// A file that should be there is not.
    #[error("`{0}` is not there")]
    Missing(String),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The timestamp could not be made.
    #[error("the timestamp could not be signed")]
    Timestamp(#[source] freehold_verify::release::MetadataError),
}

impl ShelfFault {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(rejection) => rejection.code(),
            Self::OtherRoot { .. } => "release.other_root",
            Self::NoRoot { .. } => "release.no_root",
            Self::Missing(_) => "release.incomplete",
            Self::State(_) | Self::Timestamp(_) => "console.inside",
        }
    }
}

impl From<ReleaseRejection> for ShelfFault {
    fn from(rejection: ReleaseRejection) -> Self {
        Self::Refused(rejection)
    }
}

/// A boot manifest that the publisher signed: what boot is accepted.
#[derive(Debug, Clone)]
pub struct BootManifest {
    /// Target name, `systems/<name>/<version>/manifest.json`: a file of an operating system release.
    pub target: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of them.
    pub sha256: Sha256Digest,
}

/// A policy release that may not be used, and what is in force instead.
#[derive(Debug, Clone)]
pub struct PolicyFault {
    /// Target name of the release.
    pub target: String,
    /// Why.
    pub report: RefusalReport,
}

/// The verified releases.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// SHA-256 of the pinned root, when there is one.
    pub pinned: Option<Sha256Digest>,
    /// The pinned root, as bytes for boxes.
    pub pinned_bytes: Vec<u8>,
    /// Version of the trusted root.
    pub root_version: u64,
    /// Version of the timestamp.
    pub timestamp_version: u64,
    /// When the timestamp runs out, Unix seconds (the earliest of all roles).
    pub valid_until: i64,
    /// When the timestamp itself runs out, Unix seconds.
    pub timestamp_until: i64,
    /// The verified targets.
    pub targets: Option<Verified<Targets>>,
    /// The verified revocation list.
    pub revocations: Option<Verified<Revocations>>,
    /// The descriptors by target name.
    pub descriptors: BTreeMap<String, ReleaseDescriptor>,
    /// The boot manifests.
    pub boots: Vec<BootManifest>,
    /// Those of them that can be read: what evidence is compared with.
    pub manifests: Vec<Manifest>,
    /// What the models' own signatures and bills say, by target name.
    pub cards: BTreeMap<String, card::ModelCard>,
    /// Why the newest policy release is not in force, when it is not.
    pub policy_fault: Option<PolicyFault>,
    /// When the releases were read by this console, Unix seconds.
    pub read_at: i64,
    /// Bills, advisories and statements on exploitability.
    pub supply: Arc<Supply>,
    /// The timestamp as boxes fetch it each round.
    pub timestamp: Bytes,
    /// The publisher's policies, when there is a usable release of them.
    pub policy: Option<Arc<PolicySet>>,
    /// Who has to approve what, when that policy says so.
    pub approvers: Option<Arc<Approvers>>,
    /// Threshold, key fingerprints and expiry of each role, as the trusted root says.
    pub roles: BTreeMap<String, (u32, Vec<String>, Option<i64>)>,
    /// What may be served: path below `targets/` as boxes ask for it, plain or with its digest in front.
    served: BTreeMap<String, (String, u64)>,
}

impl Shelf {
    /// Reads what the state folder holds.
    ///
    /// # Errors
    /// When it does not verify any more.
    pub fn open(dir: &StateDir) -> Result<Self, ShelfFault> {
        let Ok(pinned) = fs::read(dir.path(PINNED_ROOT)) else {
            return Ok(Self::default());
        };
        let accepted = fs::read(dir.path(ACCEPTED)).ok();
        let state: Option<RepositoryState> = accepted
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .map_err(|_| StateFault::Form {
                path: dir.path(ACCEPTED),
                what: "the state of a repository",
            })?;
        let Some(state) = state.filter(|state| state.targets > 0) else {
            let root = TrustedRepository::new(&pinned, None)?;
            return Ok(Self {
                pinned: Some(sha256(&pinned)),
                root_version: root.root_version(),
                pinned_bytes: pinned,
                ..Self::default()
            });
        };
        let (snapshot, targets) = (state.snapshot, state.targets);
        let mut trusted = TrustedRepository::new(&pinned, Some(state))?;
        let metadata = dir.path("repository/metadata");
        let stored = StoredMetadata {
            timestamp: read(&metadata.join("timestamp.json"), MAX_METADATA)?,
            snapshot: read(&metadata.join(format!("{snapshot}.snapshot.json")), MAX_METADATA)?,
            targets: read(&metadata.join(format!("{targets}.targets.json")), MAX_METADATA)?,
        };
        let targets = trusted.reload(&stored)?;
        Self::fill(dir, &pinned, &trusted, targets)
    }

    fn fill(
        dir: &StateDir,
        pinned: &[u8],
        trusted: &TrustedRepository,
        targets: Verified<Targets>,
    ) -> Result<Self, ShelfFault> {
        let files = dir.path("repository/targets");
        let document = |name: &str| -> Result<Vec<u8>, ShelfFault> {
            let bytes = read(&files.join(targets.file_name(name)?), MAX_DOCUMENT)?;
            targets.check(name, &bytes)?;
            Ok(bytes)
        };
        let revocations = verify_revocations(&targets, &document(REVOCATIONS_NAME)?, None)?;
        let mut shelf = Self {
            pinned: Some(sha256(pinned)),
            pinned_bytes: pinned.to_vec(),
            root_version: trusted.root_version(),
            timestamp_version: trusted.state().timestamp,
            valid_until: targets.valid_until,
            timestamp_until: expiry(&dir.path("repository/metadata/timestamp.json")),
            revocations: Some(revocations),
            ..Self::default()
        };
        for (name, info) in &targets.targets {
            let file = consistent_name(name, info.sha256);
            shelf.served.insert(name.clone(), (file.clone(), info.length));
            shelf.served.insert(file.clone(), (file, info.length));
            if name.starts_with("systems/") && name.ends_with("/manifest.json") {
                shelf.boots.push(BootManifest {
                    target: name.clone(),
                    bytes: document(name)?,
                    sha256: info.sha256,
                });
            }
        }
        let names: Vec<String> = targets.releases().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let descriptor = ReleaseDescriptor::parse(&document(&name)?)?;
            shelf.descriptors.insert(name, descriptor);
        }
        shelf.manifests = shelf
            .boots
            .iter()
            .filter_map(|boot| Manifest::parse(&boot.bytes).ok())
            .collect();
        // Not there yet while a repository is taken in: then its maker puts the new one here.
        shelf.timestamp = read(&dir.path("repository/metadata/timestamp.json"), MAX_METADATA)
            .unwrap_or_default()
            .into();
        match policy(&shelf, &document) {
            Ok(None) => {}
            Ok(Some(found)) => {
                shelf.policy = Some(Arc::new(found.set));
                shelf.approvers = found.approvers.map(Arc::new);
            }
            Err(fault) => {
                tracing::error!(target = %fault.target, code = %fault.report.code, error = %fault.report.message,
                    "the publisher's policies cannot be used; the shipped ones stay in force");
                shelf.policy_fault = Some(fault);
            }
        }
        shelf.read_at = time::OffsetDateTime::now_utc().unix_timestamp();
        shelf.cards = cards(&shelf, &document);
        shelf.supply = Arc::new(Supply::read(&shelf, &|name| {
            let bytes = read(&files.join(targets.file_name(name).ok()?), MAX_ADVISORIES).ok()?;
            targets.check(name, &bytes).ok()?;
            Some(bytes)
        }));
        shelf.roles = roles(&trusted.state().root);
        shelf.targets = Some(targets);
        Ok(shelf)
    }

    /// The file below `repository/targets` that a box may have for this path, with its length.
    #[must_use]
    pub fn served(&self, path: &str) -> Option<(&str, u64)> {
        self.served.get(path).map(|(file, length)| (file.as_str(), *length))
    }

    /// Judges a release as a box would, before it is assigned.
    ///
    /// # Errors
    /// The verifier's refusal: unknown, revoked, below its floor, expired.
    pub fn judge(&self, dir: &StateDir, name: &str, now: i64) -> Result<Verified<Release>, ShelfFault> {
        let (Some(targets), Some(revocations)) = (&self.targets, &self.revocations) else {
            return Err(ShelfFault::Missing("a repository".to_owned()));
        };
        let file = dir.path("repository/targets").join(targets.file_name(name)?);
        let bytes = read(&file, MAX_DOCUMENT)?;
        Ok(select_release(
            targets,
            name,
            &bytes,
            revocations,
            &InstalledReleases::default(),
            now,
        )?)
    }

    /// Why a release may not be assigned any more, as a code; `None` when it may.
    #[must_use]
    pub fn barred(&self, descriptor: &ReleaseDescriptor) -> Option<&'static str> {
        let list = &self.revocations.as_ref()?.list;
        let line = format!("{}/{}", descriptor.kind.folder(), descriptor.name);
        let revoked = list.releases.contains(&format!("{line}/{}", descriptor.version))
            || descriptor.root.is_some_and(|root| list.models.contains(&root));
        if revoked {
            return Some("release.revoked");
        }
        list.floors
            .get(&line)
            .is_some_and(|floor| descriptor.counter < *floor)
            .then_some("release.rollback")
    }

    /// How the OS release of that name and version stands: `None` when nothing says that it exists.
    #[must_use]
    pub fn os_release(&self, name: &str, version: &str) -> Option<Option<&'static str>> {
        let of_it = |descriptor: &&ReleaseDescriptor| {
            descriptor.kind == ReleaseKind::Os && descriptor.name == name && descriptor.version == version
        };
        if let Some(descriptor) = self.descriptors.values().find(of_it) {
            return Some(self.barred(descriptor));
        }
        let alone = format!("boot/{name}/{version}/manifest.json");
        self.boots.iter().any(|boot| boot.target == alone).then_some(None)
    }

    /// Everything revoked, as text.
    #[must_use]
    pub fn revoked(&self) -> BTreeSet<String> {
        let Some(revocations) = &self.revocations else {
            return BTreeSet::new();
        };
        let list = &revocations.list;
        let models = list.models.iter().map(|digest| format!("model {digest}"));
        let signers = list.signers.iter().map(|signer| format!("signer {signer}"));
        list.releases.iter().cloned().chain(models).chain(signers).collect()
    }
}

/// The newest policy release that is not barred. One that cannot be used leaves the shipped policies in force, and the overview
/// says so until there is a better one.
fn policy(shelf: &Shelf, document: &Document<'_>) -> Result<Option<FoundPolicy>, PolicyFault> {
    let Some((target, newest)) = newest_policy(shelf) else {
        return Ok(None);
    };
    let fault = |report: RefusalReport| PolicyFault {
        target: target.clone(),
        report,
    };
    let missing = |message: String| RefusalReport {
        code: "policy.unusable".to_owned(),
        message,
        expected: None,
        found: None,
    };
    // Beside the bundle a policy release holds the keys of model signers, as `.pem` files for the boxes, and the approvers.
    let bundle = |path: &str| path.ends_with(".json") && path != Approvers::FILE;
    let Some(file) = newest.files.iter().find(|file| bundle(&file.path)) else {
        return Err(fault(missing(format!("`{target}` holds no bundle"))));
    };
    let read = |path: &str| document(&newest.target_of(path)).map_err(|error| fault(missing(error.to_string())));
    let listed = newest.files.iter().any(|file| file.path == Approvers::FILE);
    let approvers = if listed {
        let list = Approvers::parse(&read(Approvers::FILE)?).map_err(|error| fault(error.report()))?;
        Some(list)
    } else {
        None
    };
    match PolicySet::from_bundle(&read(&file.path)?) {
        Ok(set) => Ok(Some(FoundPolicy { set, approvers })),
        Err(error) => Err(fault(error.report())),
    }
}

/// What a policy release holds.
struct FoundPolicy {
    set: PolicySet,
    approvers: Option<Approvers>,
}

fn newest_policy(shelf: &Shelf) -> Option<(&String, &ReleaseDescriptor)> {
    shelf
        .descriptors
        .iter()
        .filter(|(_, descriptor)| descriptor.kind == ReleaseKind::Policy && shelf.barred(descriptor).is_none())
        .max_by_key(|(_, descriptor)| descriptor.counter)
}

/// The models' cards, verified with the keys of the newest policy release.
fn cards(shelf: &Shelf, document: &Document<'_>) -> BTreeMap<String, card::ModelCard> {
    let mut signers = card::Signers::default();
    if let Some((_, policy)) = newest_policy(shelf) {
        for file in policy.files.iter().filter(|file| file.path.ends_with(".pem")) {
            if let Ok(pem) = document(&policy.target_of(&file.path)) {
                signers.add(&file.path, &pem);
            }
        }
    }
    let now = shelf.read_at;
    let models = shelf
        .descriptors
        .iter()
        .filter(|(_, descriptor)| descriptor.kind == ReleaseKind::Model);
    models
        .map(|(target, descriptor)| (target.clone(), card::read(descriptor, &signers, document, now)))
        .collect()
}

/// Reads a small target of the verified repository.
type Document<'a> = dyn Fn(&str) -> Result<Vec<u8>, ShelfFault> + 'a;

/// What the verified root says about its roles; a TUF file that was verified is read here for showing only.
fn roles(root: &str) -> BTreeMap<String, (u32, Vec<String>, Option<i64>)> {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(root) else {
        return BTreeMap::new();
    };
    let signed = value.get("signed");
    let listed = signed
        .and_then(|signed| signed.get("roles"))
        .and_then(serde_json::Value::as_object);
    let expires = signed
        .and_then(|signed| signed.get("expires"))
        .and_then(serde_json::Value::as_str)
        .and_then(|text| {
            let format = &time::format_description::well_known::Rfc3339;
            Some(time::OffsetDateTime::parse(text, format).ok()?.unix_timestamp())
        });
    listed
        .into_iter()
        .flatten()
        .map(|(name, role)| {
            let threshold = role.get("threshold").and_then(serde_json::Value::as_u64).unwrap_or(0);
            let ids = role.get("keyids").and_then(serde_json::Value::as_array);
            let ids = ids
                .into_iter()
                .flatten()
                .filter_map(serde_json::Value::as_str)
                .map(str::to_owned)
                .collect();
            let until = if name == "root" { expires } else { None };
            (name.clone(), (u32::try_from(threshold).unwrap_or(u32::MAX), ids, until))
        })
        .collect()
}

/// Reads a regular file of at most `limit` bytes, never through a link.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ShelfFault> {
    let fault = |source| StateFault::File {
        path: path.to_owned(),
        source,
    };
    let about = fs::symlink_metadata(path).map_err(|_| ShelfFault::Missing(short(path)))?;
    if !about.is_file() || about.len() > limit {
        return Err(StateFault::Form {
            path: path.to_owned(),
            what: "a file of a size that is read",
        }
        .into());
    }
    Ok(fs::read(path).map_err(fault)?)
}

fn short(path: &Path) -> String {
    let name: PathBuf = path
        .iter()
        .rev()
        .take(2)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    name.display().to_string()
}

/// When a metadata file says that it runs out; 0 when it does not say.
fn expiry(path: &Path) -> i64 {
    let text = fs::read(path).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let said = value
        .pointer("/signed/expires")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(said, format).map_or(0, time::OffsetDateTime::unix_timestamp)
}

/// Writes what was accepted, for the next start.
pub(crate) fn remember(dir: &StateDir, trusted: &TrustedRepository) -> Result<(), ShelfFault> {
    let bytes = serde_json::to_vec(trusted.state()).unwrap_or_default();
    Ok(dir.replace(ACCEPTED, &bytes)?)
}

/// The state as it was kept, with the pinned root.
pub(crate) fn trusted(dir: &StateDir, pinned: &[u8]) -> Result<TrustedRepository, ShelfFault> {
    let state = match fs::read(dir.path(ACCEPTED)) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|_| StateFault::Form {
            path: dir.path(ACCEPTED),
            what: "the state of a repository",
        })?),
        Err(_) => None,
    };
    Ok(TrustedRepository::new(pinned, state)?)
}

/// What signs timestamps, and for how long.
pub(crate) struct Stamp<'a> {
    pub(crate) key: &'a SigningKey,
    pub(crate) now: i64,
}

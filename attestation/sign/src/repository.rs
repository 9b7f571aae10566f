//! The publisher's folder: TUF keys, releases and revocations, and the export that the console copies.
//!
//! Refuses to publish what was not verified (the types ask for it), a counter that does not rise, and names that no box
//! would take. Keys stay in `keys/`; an export has none. Invariant: the newest snapshot always names targets that are
//! completely there: files first, then targets, then the snapshot.

mod export;
mod init;
mod publish;
mod revoke;

pub use export::export;
pub use init::{Expiry, InitOptions, init, rotate_timestamp};
pub use publish::{ModelPublication, OtherPublication, PublishedRelease, publish_model, publish_other};
pub use revoke::{RevocationChange, revoke};

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use freehold_trust::signing::SigningKey;
use freehold_verify::release::{
    MetadataError, REVOCATIONS_NAME, ReleaseDescriptor, ReleaseRejection, RevocationList, TargetInfo, consistent_name,
    metadata_version, snapshot_metadata, targets_metadata, unverified_targets,
};

use crate::files::{FileError, read_bounded, read_signing_key, write_atomic};

/// Longest metadata file or descriptor that is read.
const MAX_DOCUMENT: u64 = 32 * 1024 * 1024;

/// The publisher's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Metadata could not be made.
    #[error("cannot make the metadata")]
    Metadata(#[source] MetadataError),
    /// The folder is not a publisher's, or was made by another version.
    #[error("`{path}` is not a publisher's folder")]
    NotPublisher {
        /// The folder.
        path: PathBuf,
    },
    /// There is one already.
    #[error("`{path}` already is a publisher's folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another program is publishing.
    #[error("`{path}` is in use by another program")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A descriptor or a list that boxes would refuse.
    #[error("boxes would refuse this release")]
    Refused(#[source] ReleaseRejection),
    /// The counter does not rise.
    #[error("the counter {found} of `{line}` is not above {last}")]
    Counter {
        /// `kind/name`.
        line: String,
        /// Highest published counter.
        last: u64,
        /// The one that was asked for.
        found: u64,
    },
    /// That version is published already.
    #[error("`{target}` is published already")]
    Published {
        /// Target name of the descriptor.
        target: String,
    },
    /// A file changed between its check and its publication.
    #[error("`{path}` changed while it was published")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Fewer keys are here than the threshold needs.
    #[error("`{role}` needs {threshold} keys, {found} are in the folder")]
    Keys {
        /// The role.
        role: &'static str,
        /// How many must sign.
        threshold: usize,
        /// How many are here.
        found: usize,
    },
    /// JSON could not be written.
    #[error("cannot write json")]
    Json(#[source] serde_json::Error),
}

/// A publisher's folder, held for this program alone while the value lives.
#[derive(Debug)]
pub struct Publisher {
    folder: PathBuf,
    _lock: File,
}

/// What is published now.
#[derive(Debug)]
pub struct Published {
    /// Version of the newest snapshot.
    pub snapshot: u64,
    /// Version of the targets that it pins.
    pub version: u64,
    /// The targets by name.
    pub targets: BTreeMap<String, TargetInfo>,
    /// The revocation list.
    pub revocations: RevocationList,
    /// The descriptors by target name.
    pub releases: BTreeMap<String, ReleaseDescriptor>,
}

impl Publisher {
    /// Opens a folder made by [`init`].
    ///
    /// # Errors
    /// [`RepositoryError::NotPublisher`] or [`RepositoryError::Busy`].
    pub fn open(folder: &Path) -> Result<Self, RepositoryError> {
        if !folder.join("metadata/1.root.json").is_file() {
            return Err(RepositoryError::NotPublisher {
                path: folder.to_owned(),
            });
        }
        Self::lock(folder)
    }

    fn lock(folder: &Path) -> Result<Self, RepositoryError> {
        let path = folder.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(FileError::write(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(_) => Err(RepositoryError::Busy {
                path: folder.to_owned(),
            }),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn metadata(&self, file: &str) -> PathBuf {
        self.folder.join("metadata").join(file)
    }

    fn target_path(&self, name: &str, info: &TargetInfo) -> PathBuf {
        self.folder.join("targets").join(consistent_name(name, info.sha256))
    }

    /// The highest version of a role's metadata in the folder, 0 when there is none.
    fn newest(&self, role: &str) -> Result<u64, RepositoryError> {
        let folder = self.folder.join("metadata");
        let ending = format!(".{role}.json");
        let mut newest = 0;
        for entry in fs::read_dir(&folder).map_err(FileError::read(&folder))? {
            let name = entry.map_err(FileError::read(&folder))?.file_name();
            let version = name
                .to_str()
                .and_then(|name| name.strip_suffix(&ending))
                .and_then(|text| text.parse().ok());
            newest = newest.max(version.unwrap_or(0));
        }
        Ok(newest)
    }

    /// The newest root file and its version.
    ///
    /// # Errors
    /// [`RepositoryError::File`].
    pub fn root(&self) -> Result<(u64, Vec<u8>), RepositoryError> {
        let version = self.newest("root")?;
        Ok((
            version,
            read_bounded(&self.metadata(&format!("{version}.root.json")), MAX_DOCUMENT)?,
        ))
    }

    /// All keys of a role that are in the folder, in the order of their names.
    fn keys(&self, role: &str) -> Result<Vec<SigningKey>, RepositoryError> {
        let folder = self.folder.join("keys");
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(FileError::read(&folder))? {
            let path = entry.map_err(FileError::read(&folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name
                .strip_prefix(role)
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.strip_suffix(".pem"));
            if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
                paths.push(path);
            }
        }
        paths.sort();
        paths
            .iter()
            .map(|path| read_signing_key(path).map_err(RepositoryError::from))
            .collect()
    }

    /// The bytes of a published target.
    fn target_bytes(&self, name: &str, info: &TargetInfo) -> Result<Vec<u8>, RepositoryError> {
        Ok(read_bounded(&self.target_path(name, info), MAX_DOCUMENT)?)
    }

    /// What is published now.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn published(&self) -> Result<Published, RepositoryError> {
        let snapshot = self.newest("snapshot")?;
        let bytes = read_bounded(&self.metadata(&format!("{snapshot}.snapshot.json")), MAX_DOCUMENT)?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(RepositoryError::Json)?;
        let version = value
            .pointer("/signed/meta/targets.json/version")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        let bytes = read_bounded(&self.metadata(&format!("{version}.targets.json")), MAX_DOCUMENT)?;
        let targets = unverified_targets(&bytes).map_err(RepositoryError::Metadata)?;
        let mut releases = BTreeMap::new();
        for (name, info) in targets.iter().filter(|(name, _)| name.ends_with("/release.json")) {
            let descriptor =
                ReleaseDescriptor::parse(&self.target_bytes(name, info)?).map_err(RepositoryError::Refused)?;
            releases.insert(name.clone(), descriptor);
        }
        let revocations = match targets.get(REVOCATIONS_NAME) {
            Some(info) => {
                RevocationList::parse(&self.target_bytes(REVOCATIONS_NAME, info)?).map_err(RepositoryError::Refused)?
            }
            None => RevocationList::empty(0),
        };
        Ok(Published {
            snapshot,
            version,
            targets,
            revocations,
            releases,
        })
    }

    /// Writes a target whose bytes are at hand.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<TargetInfo, RepositoryError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let info = TargetInfo {
            length,
            sha256: freehold_trust::digest::sha256(bytes),
        };
        let path = self.target_path(name, &info);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(FileError::write(parent))?;
        }
        write_atomic(&path, bytes)?;
        Ok(info)
    }

    /// Signs and writes targets, then the snapshot that makes them current. Answers the snapshot's version.
    fn commit(
        &self,
        targets: &BTreeMap<String, TargetInfo>,
        expiry: &Expiry,
        now: i64,
    ) -> Result<u64, RepositoryError> {
        let sign = |role: &'static str, unsigned: freehold_verify::release::UnsignedMetadata| {
            let keys = self.keys(role)?;
            let threshold = self.threshold(role)?;
            if keys.len() < threshold {
                return Err(RepositoryError::Keys {
                    role,
                    threshold,
                    found: keys.len(),
                });
            }
            unsigned
                .sign(&keys.iter().collect::<Vec<_>>())
                .map_err(RepositoryError::Metadata)
        };
        let version = self.newest("targets")?.saturating_add(1);
        let until = now.saturating_add(expiry.targets);
        let unsigned = targets_metadata(version, until, targets).map_err(RepositoryError::Metadata)?;
        let targets_file = sign("targets", unsigned)?;
        let snapshot = self.newest("snapshot")?.saturating_add(1);
        let until = now.saturating_add(expiry.snapshot);
        let unsigned = snapshot_metadata(snapshot, until, &targets_file).map_err(RepositoryError::Metadata)?;
        let snapshot_file = sign("snapshot", unsigned)?;
        write_atomic(&self.metadata(&format!("{version}.targets.json")), &targets_file)?;
        write_atomic(&self.metadata(&format!("{snapshot}.snapshot.json")), &snapshot_file)?;
        Ok(snapshot)
    }

    /// The threshold of a role in the newest root.
    fn threshold(&self, role: &str) -> Result<usize, RepositoryError> {
        let (_, root) = self.root()?;
        metadata_version(&root).map_err(RepositoryError::Metadata)?;
        let value: serde_json::Value = serde_json::from_slice(&root).map_err(RepositoryError::Json)?;
        let threshold = value
            .pointer(&format!("/signed/roles/{role}/threshold"))
            .and_then(serde_json::Value::as_u64);
        Ok(threshold
            .and_then(|threshold| usize::try_from(threshold).ok())
            .unwrap_or(1))
    }
}

/// Signs what is published once more with fresh expiries, for a publisher that has nothing new to say.
///
/// # Errors
/// [`RepositoryError`].
pub fn refresh(publisher: &Publisher, expiry: &Expiry, now: i64) -> Result<u64, RepositoryError> {
    let published = publisher.published()?;
    publisher.commit(&published.targets, expiry, now)
}

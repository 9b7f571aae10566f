//! Makes a publisher's folder: keys, the first root, an empty revocation list; and later roots.
//!
//! Refuses a folder that has one, and a threshold above the number of keys. Invariant: `keys/` has mode 0700 before the
//! first key is written.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use freehold_trust::key::{KeyKind, PublicKey};
use freehold_trust::signing::SigningKey;
use freehold_verify::release::{REVOCATIONS_NAME, RevocationList, RoleSigners, RootDescription, root_metadata};

use super::{Publisher, RepositoryError};
use crate::files::{FileError, write_atomic, write_new_key};

const DAY: i64 = 24 * 60 * 60;

/// How long metadata is valid from its signing, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    /// The root.
    pub root: i64,
    /// The targets.
    pub targets: i64,
    /// The snapshot.
    pub snapshot: i64,
}

impl Default for Expiry {
    /// A year, 90 days, 30 days: what people renew by hand, with room for holidays.
    fn default() -> Self {
        Self {
            root: 365 * DAY,
            targets: 90 * DAY,
            snapshot: 30 * DAY,
        }
    }
}

/// What a new publisher's folder gets.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The console's public timestamp key.
    pub timestamp: PublicKey,
    /// How many root keys are made.
    pub root_keys: usize,
    /// How many of them must sign a root.
    pub root_threshold: usize,
    /// How many targets keys are made.
    pub targets_keys: usize,
    /// How many of them must sign the targets.
    pub targets_threshold: usize,
    /// Validity.
    pub expiry: Expiry,
}

impl InitOptions {
    /// Two of two root keys, one targets key, the usual validity.
    #[must_use]
    pub fn new(timestamp: PublicKey) -> Self {
        Self {
            timestamp,
            root_keys: 2,
            root_threshold: 2,
            targets_keys: 1,
            targets_threshold: 1,
            expiry: Expiry::default(),
        }
    }
}

fn private_folder(path: &Path) -> Result<(), RepositoryError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::write(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(FileError::write(path))?;
    Ok(())
}

/// Makes the folder. Keys: `root-N`, `targets-N`, `snapshot-1`, and `model-1` for signing models. `now` in unix seconds.
///
/// # Errors
/// [`RepositoryError`].
pub fn init(folder: &Path, options: &InitOptions, now: i64) -> Result<Publisher, RepositoryError> {
    if folder.join("metadata").exists() || folder.join("keys").exists() {
        return Err(RepositoryError::Exists {
            path: folder.to_owned(),
        });
    }
    for (role, keys, threshold) in [
        ("root", options.root_keys, options.root_threshold),
        ("targets", options.targets_keys, options.targets_threshold),
    ] {
        if threshold == 0 || threshold > keys || keys > 16 {
            return Err(RepositoryError::Keys {
                role,
                threshold,
                found: keys,
            });
        }
    }
    private_folder(folder)?;
    private_folder(&folder.join("keys"))?;
    for name in ["metadata", "targets"] {
        fs::create_dir_all(folder.join(name)).map_err(FileError::write(folder.join(name)))?;
    }
    let publisher = Publisher::lock(folder)?;
    let wanted = [
        ("root", options.root_keys),
        ("targets", options.targets_keys),
        ("snapshot", 1),
        ("model", 1),
    ];
    for (role, count) in wanted {
        for number in 1..=count {
            let path = folder.join("keys").join(format!("{role}-{number}.pem"));
            let key = SigningKey::generate(KeyKind::P256);
            let key = key.map_err(|source| FileError::PrivateKey {
                path: path.clone(),
                source,
            })?;
            write_new_key(&path, &key)?;
        }
    }
    let thresholds = (options.root_threshold, options.targets_threshold);
    write_root(
        &publisher,
        1,
        &options.timestamp,
        thresholds,
        now.saturating_add(options.expiry.root),
    )?;
    let list = serde_json::to_vec_pretty(&RevocationList::empty(1)).map_err(RepositoryError::Json)?;
    let info = publisher.put(REVOCATIONS_NAME, &list)?;
    publisher.commit(
        &BTreeMap::from([(REVOCATIONS_NAME.to_owned(), info)]),
        &options.expiry,
        now,
    )?;
    Ok(publisher)
}

/// Writes the next root, over another timestamp key: when the console was replaced, or its key stolen. Boxes forget the
/// timestamp and snapshot versions that the old key may have run ahead with.
///
/// # Errors
/// [`RepositoryError`].
pub fn rotate_timestamp(
    publisher: &Publisher,
    timestamp: &PublicKey,
    expiry: &Expiry,
    now: i64,
) -> Result<u64, RepositoryError> {
    let (version, _) = publisher.root()?;
    let next = version.saturating_add(1);
    let thresholds = (publisher.threshold("root")?, publisher.threshold("targets")?);
    write_root(publisher, next, timestamp, thresholds, now.saturating_add(expiry.root))?;
    Ok(next)
}

fn write_root(
    publisher: &Publisher,
    version: u64,
    timestamp: &PublicKey,
    (root_threshold, targets_threshold): (usize, usize),
    until: i64,
) -> Result<(), RepositoryError> {
    let (root, targets, snapshot) = (
        publisher.keys("root")?,
        publisher.keys("targets")?,
        publisher.keys("snapshot")?,
    );
    fn signers(keys: &[SigningKey], threshold: usize) -> RoleSigners<'_> {
        RoleSigners {
            keys: keys.iter().map(SigningKey::public).collect(),
            threshold,
        }
    }
    let description = RootDescription {
        version,
        expires: until,
        root: signers(&root, root_threshold),
        targets: signers(&targets, targets_threshold),
        snapshot: signers(&snapshot, 1),
        timestamp: RoleSigners {
            keys: vec![timestamp],
            threshold: 1,
        },
    };
    let unsigned = root_metadata(&description).map_err(RepositoryError::Metadata)?;
    let file = unsigned
        .sign(&root.iter().collect::<Vec<_>>())
        .map_err(RepositoryError::Metadata)?;
    write_atomic(&publisher.metadata(&format!("{version}.root.json")), &file)?;
    Ok(())
}

//! The store: models by the digest of their signature, unfinished downloads by the digest of their release.
//!
//! Refuses to show a model that was not moved in whole. Invariant: a model appears and disappears by one rename.
//!
//! ```text
//! models/ROOT/files/…        what an engine may see
//! models/ROOT/about/…        signature and bill of materials
//! models/ROOT/admitted.json  when, under which release and policy it was admitted
//! staging/RELEASE/…          the same, unfinished
//! staging/gone-ROOT/         on its way out
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use freehold_plan::Place;
use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::durable::{sync_folder, write_atomic};
use crate::fault::StoreError;

/// Bytes that models never take: room for the record and for the box's own documents.
const RESERVED: u64 = 64 << 20;

/// Largest `admitted.json` that is read.
const MAX_ADMITTED: u64 = 1 << 20;

/// Why a model is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// Version of this form, 1.
    pub v: u32,
    /// The release that it came with (SHA-256 of the descriptor).
    pub release: Sha256Digest,
    /// Target name of the descriptor.
    pub target: String,
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The release's counter.
    pub counter: u64,
    /// Root digest of the signature.
    pub root: Sha256Digest,
    /// Who signed the model: a fingerprint or an identity.
    pub signer: String,
    /// Whether it may be asked for embeddings.
    pub embeddings: bool,
    /// The model's files: path, length, SHA-256.
    pub files: Vec<AdmittedFile>,
    /// When it was admitted, unix seconds.
    pub at: i64,
    /// The policies that allowed it.
    pub because: Vec<String>,
}

/// One file of an admitted model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmittedFile {
    /// Path below `files/`.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256.
    pub sha256: Sha256Digest,
}

/// The store in a box's state folder.
#[derive(Debug, Clone)]
pub struct Store {
    models: PathBuf,
    staging: PathBuf,
}

impl Store {
    /// Opens the store below `state`, making its folders and finishing removals that were cut off.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let store = Self {
            models: state.join("models"),
            staging: state.join("staging"),
        };
        for folder in [&store.models, &store.staging] {
            fs::create_dir_all(folder).map_err(StoreError::io("make", folder))?;
        }
        for name in names(&store.staging)? {
            if name.starts_with("gone-") {
                remove_all(&store.staging.join(name))?;
            }
        }
        Ok(store)
    }

    /// The folder of a stored model.
    #[must_use]
    pub fn model(&self, root: &Sha256Digest) -> PathBuf {
        self.models.join(root.to_hex())
    }

    /// The folder of an unfinished download.
    #[must_use]
    pub fn staged(&self, release: &Sha256Digest) -> PathBuf {
        self.staging.join(release.to_hex())
    }

    /// Where a file of an unfinished download lies.
    #[must_use]
    pub fn staged_file(&self, release: &Sha256Digest, place: Place, path: &str) -> PathBuf {
        self.staged(release).join(place_name(place)).join(path)
    }

    /// The models that are there.
    ///
    /// # Errors
    /// [`StoreError`] when the folder cannot be read. A model without a readable `admitted.json` is none.
    pub fn stored(&self) -> Result<BTreeMap<Sha256Digest, Admitted>, StoreError> {
        let mut all = BTreeMap::new();
        for name in names(&self.models)? {
            let Ok(root) = name.parse::<Sha256Digest>() else {
                continue;
            };
            match self.admitted(&root) {
                Ok(admitted) => {
                    all.insert(root, admitted);
                }
                Err(StoreError::Malformed { path, detail }) => {
                    tracing::warn!(path = %path.display(), detail, "a stored model cannot be read and does not count");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn admitted(&self, root: &Sha256Digest) -> Result<Admitted, StoreError> {
        let path = self.model(root).join("admitted.json");
        let malformed = |detail: String| StoreError::Malformed {
            path: path.clone(),
            detail,
        };
        let length = fs::metadata(&path).map_err(|error| malformed(error.to_string()))?.len();
        if length > MAX_ADMITTED {
            return Err(malformed(format!("{length} bytes")));
        }
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let admitted: Admitted = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if admitted.v != 1 || admitted.root != *root {
            return Err(malformed("about another model".to_owned()));
        }
        Ok(admitted)
    }

    /// The releases with unfinished downloads.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unfinished(&self) -> Result<Vec<Sha256Digest>, StoreError> {
        Ok(names(&self.staging)?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect())
    }

    /// Bytes that models may still take.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let room = rustix::fs::statvfs(&self.models)
            .map_err(|error| StoreError::io("look at the room of", &self.models)(error.into()))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize).saturating_sub(RESERVED))
    }

    /// Moves a verified and admitted download into the store: closes its files to writing, makes all of it durable, renames.
    /// A model that is there already stays, and the download goes.
    ///
    /// # Errors
    /// [`StoreError`]; the download is still there then.
    pub fn take(&self, admitted: &Admitted) -> Result<(), StoreError> {
        let staged = self.staged(&admitted.release);
        let model = self.model(&admitted.root);
        if self.admitted(&admitted.root).is_ok() {
            return remove_all(&staged);
        }
        if model.exists() {
            // Without its `admitted.json` it does not count; it makes room for the whole one.
            self.remove(&admitted.root)?;
        }
        close(&staged)?;
        let text = serde_json::to_vec_pretty(admitted).map_err(|error| StoreError::Malformed {
            path: staged.clone(),
            detail: error.to_string(),
        })?;
        write_atomic(&staged.join("admitted.json"), &text, 0o444)?;
        fs::rename(&staged, &model).map_err(StoreError::io("move", &staged))?;
        sync_folder(&self.models)?;
        sync_folder(&self.staging)
    }

    /// Takes a model out of the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, root: &Sha256Digest) -> Result<(), StoreError> {
        let model = self.model(root);
        let gone = self.staging.join(format!("gone-{root}"));
        remove_all(&gone)?;
        match fs::rename(&model, &gone) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(StoreError::io("move", &model))?,
        }
        sync_folder(&self.models)?;
        remove_all(&gone)
    }

    /// Throws an unfinished download away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn discard(&self, release: &Sha256Digest) -> Result<(), StoreError> {
        remove_all(&self.staged(release))
    }
}

const fn place_name(place: Place) -> &'static str {
    match place {
        Place::Files => "files",
        Place::About => "about",
    }
}

fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreError::io("list", folder))? {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn remove_all(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::io("remove", folder)),
    }
}

/// Files read-only for everybody, folders passable, everything synced: files before the folders that name them.
fn close(folder: &Path) -> Result<(), StoreError> {
    for name in names(folder)? {
        let path = folder.join(name);
        let kind = fs::symlink_metadata(&path)
            .map_err(StoreError::io("look at", &path))?
            .file_type();
        if kind.is_dir() {
            close(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).map_err(StoreError::io("close", &path))?;
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(StoreError::io("sync", &path))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(StoreError::io("open", folder))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_verify::Refusal as _;

    #[test]
    fn a_model_without_a_document_that_is_its_own_does_not_count() {
        let world = tempfile::tempdir().unwrap();
        let store = Store::open(world.path()).unwrap();
        let root = freehold_trust::sha256(b"model");
        let document = store.model(&root).join("admitted.json");
        fs::create_dir_all(store.model(&root)).unwrap();
        assert_eq!(store.admitted(&root).unwrap_err().code(), "store.malformed");
        for bad in ["", "{}", "[]"] {
            fs::write(&document, bad).unwrap();
            assert_eq!(store.admitted(&root).unwrap_err().code(), "store.malformed", "{bad}");
            assert!(store.stored().unwrap().is_empty());
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let path = Path::new("/somewhere");
        assert_eq!(
            StoreError::io("write", path)(std::io::ErrorKind::StorageFull.into()).code(),
            "store.full"
        );
        let missing = tempfile::tempdir().unwrap().path().join("no/such/folder/file");
        assert_eq!(write_atomic(&missing, b"x", 0o600).unwrap_err().code(), "store.io");
        // The device that is always full says it like a disk does.
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = std::io::Write::write_all(&mut &full, b"x").unwrap_err();
        assert_eq!(StoreError::io("write", path)(error).code(), "store.full");
    }
}

//! The store: admitted releases by the digest of their content, unfinished downloads by the digest of their release.
//!
//! Refuses to show a release that was not moved in whole. Invariant: a release appears and disappears by one rename.
//!
//! ```text
//! models/ROOT/RELEASE/files/…        what an engine may see
//! models/ROOT/RELEASE/about/…        signature and bill of materials
//! models/ROOT/RELEASE/admitted.json  when and under which policy it was admitted
//! staging/RELEASE/…                  the same, unfinished
//! staging/gone-RELEASE/              on its way out
//! ```
//!
//! ROOT is the digest of the model's signature, RELEASE that of the descriptor. Releases with the same files share them as
//! links: content lies on the disk once, and each release was verified and admitted for itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use freehold_plan::Place;
use freehold_trust::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::durable::{sync_folder, write_atomic};
use crate::fault::StoreError;
use crate::verity::{self, Held};

/// Bytes that models never take: room for the record and for the box's own documents.
const RESERVED: u64 = 64 << 20;

/// Largest `admitted.json` that is read.
const MAX_ADMITTED: u64 = 1 << 20;

/// Why a release is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct AdmittedFile {
    /// Path below `files/`.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256.
    pub sha256: Sha256Digest,
    /// What fs-verity holds it to, where its release says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_verity: Option<Sha256Digest>,
}

/// Whether a store without fs-verity is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerityUse {
    /// Files are held by fs-verity where kernel and file system have it, and hashed before each use where they do not.
    #[default]
    WherePossible,
    /// Nothing is stored where they do not: the OS, whose disk has it.
    Required,
}

/// The store in a box's state folder.
#[derive(Debug, Clone)]
pub struct Store {
    models: PathBuf,
    staging: PathBuf,
    verity: VerityUse,
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
            verity: VerityUse::default(),
        };
        for folder in [&store.models, &store.staging] {
            fs::create_dir_all(folder).map_err(StoreError::io("make", folder))?;
        }
        for name in names(&store.staging)? {
            if name.starts_with("gone-") {
                remove_all(&store.staging.join(name))?;
            }
        }
        // The content's folder is made before its first release is moved in, and goes after its last.
        for name in names(&store.models)? {
            let _ = fs::remove_dir(store.models.join(name));
        }
        Ok(store)
    }

    /// The same store, with another demand on fs-verity.
    #[must_use]
    pub fn with_verity(self, verity: VerityUse) -> Self {
        Self { verity, ..self }
    }

    /// What is demanded of fs-verity.
    #[must_use]
    pub const fn verity(&self) -> VerityUse {
        self.verity
    }

    /// Whether kernel and file system hold files by fs-verity: tried with a file of its own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn holds_files(&self) -> Result<bool, StoreError> {
        let probe = self.staging.join(".verity-probe");
        let _ = fs::remove_file(&probe);
        fs::write(&probe, b"whether this file system has fs-verity").map_err(StoreError::io("write", &probe))?;
        let held = verity::enable(&probe);
        let _ = fs::remove_file(&probe);
        Ok(matches!(held, Ok(Held::To(_))))
    }

    /// Has the kernel hold each file of a download to what its release says, before it is closed to writing. The kernel reads each
    /// file once for that; a file that it holds already costs nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn hold(&self, release: &Sha256Digest, files: &[AdmittedFile]) -> Result<(), StoreError> {
        let folder = self.staged(release).join(place_name(Place::Files));
        for file in files {
            let path = folder.join(&file.path);
            match (verity::enable(&path), file.fs_verity) {
                (Ok(Held::To(found)), Some(expected)) if found != expected => {
                    return Err(StoreError::OtherVerity { path, expected, found });
                }
                (Ok(Held::To(_)), _) => {}
                (Ok(Held::Unsupported | Held::NotYet), _) if self.verity == VerityUse::Required => {
                    return Err(StoreError::NoVerity { path });
                }
                (Ok(Held::Unsupported | Held::NotYet), _) => {}
                (Err(error), _) => return Err(StoreError::io("hold by fs-verity", &path)(error)),
            }
        }
        Ok(())
    }

    /// The folder of an admitted release.
    #[must_use]
    pub fn folder(&self, root: &Sha256Digest, release: &Sha256Digest) -> PathBuf {
        self.models.join(root.to_hex()).join(release.to_hex())
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

    /// The releases that are there, by the digest of their descriptor.
    ///
    /// # Errors
    /// [`StoreError`] when a folder cannot be read. A release without a readable `admitted.json` is none.
    pub fn stored(&self) -> Result<BTreeMap<Sha256Digest, Admitted>, StoreError> {
        let mut all = BTreeMap::new();
        for root in digests(&self.models)? {
            for release in digests(&self.models.join(root.to_hex()))? {
                match self.admitted(&root, &release) {
                    Ok(admitted) => {
                        all.insert(release, admitted);
                    }
                    Err(StoreError::Malformed { path, detail }) => {
                        tracing::warn!(path = %path.display(), detail, "a stored release cannot be read and does not count");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(all)
    }

    fn admitted(&self, root: &Sha256Digest, release: &Sha256Digest) -> Result<Admitted, StoreError> {
        let path = self.folder(root, release).join("admitted.json");
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
        if admitted.v != 1 || admitted.root != *root || admitted.release != *release {
            return Err(malformed("about another release".to_owned()));
        }
        Ok(admitted)
    }

    /// The releases with unfinished downloads.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unfinished(&self) -> Result<Vec<Sha256Digest>, StoreError> {
        digests(&self.staging)
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
    /// A release that is there already stays, and the download goes.
    ///
    /// # Errors
    /// [`StoreError`]; the download is still there then.
    pub fn take(&self, admitted: &Admitted) -> Result<(), StoreError> {
        let staged = self.staged(&admitted.release);
        let folder = self.folder(&admitted.root, &admitted.release);
        if self.admitted(&admitted.root, &admitted.release).is_ok() {
            return remove_all(&staged);
        }
        if folder.exists() {
            // Without its `admitted.json` it does not count; it makes room for the whole one.
            self.remove(&admitted.root, &admitted.release)?;
        }
        self.hold(&admitted.release, &admitted.files)?;
        close(&staged)?;
        let text = serde_json::to_vec_pretty(admitted).map_err(|error| StoreError::Malformed {
            path: staged.clone(),
            detail: error.to_string(),
        })?;
        write_atomic(&staged.join("admitted.json"), &text, 0o444)?;
        let content = self.models.join(admitted.root.to_hex());
        fs::create_dir_all(&content).map_err(StoreError::io("make", &content))?;
        fs::rename(&staged, &folder).map_err(StoreError::io("move", &staged))?;
        sync_folder(&content)?;
        sync_folder(&self.models)?;
        sync_folder(&self.staging)
    }

    /// Takes a release out of the store; the content goes with the last release that has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, root: &Sha256Digest, release: &Sha256Digest) -> Result<(), StoreError> {
        let folder = self.folder(root, release);
        let gone = self.staging.join(format!("gone-{release}"));
        remove_all(&gone)?;
        match fs::rename(&folder, &gone) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(StoreError::io("move", &folder))?,
        }
        let content = self.models.join(root.to_hex());
        sync_folder(&content)?;
        // Not empty while another release has the same content.
        let _ = fs::remove_dir(&content);
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

fn digests(folder: &Path) -> Result<Vec<Sha256Digest>, StoreError> {
    Ok(names(folder)?.iter().filter_map(|name| name.parse().ok()).collect())
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
    fn a_release_without_a_document_that_is_its_own_does_not_count() {
        let world = tempfile::tempdir().unwrap();
        let store = Store::open(world.path()).unwrap();
        let (root, release) = (freehold_trust::sha256(b"model"), freehold_trust::sha256(b"release"));
        let document = store.folder(&root, &release).join("admitted.json");
        fs::create_dir_all(store.folder(&root, &release)).unwrap();
        assert_eq!(store.admitted(&root, &release).unwrap_err().code(), "store.malformed");
        for bad in ["", "{}", "[]"] {
            fs::write(&document, bad).unwrap();
            assert_eq!(
                store.admitted(&root, &release).unwrap_err().code(),
                "store.malformed",
                "{bad}"
            );
            assert!(store.stored().unwrap().is_empty());
        }
    }

    // promise S-145
    #[test]
    fn a_store_that_must_hold_its_files_takes_none_where_it_cannot() {
        let world = tempfile::tempdir().unwrap();
        let store = Store::open(world.path()).unwrap();
        let release = freehold_trust::sha256(b"release");
        let staged = store.staged_file(&release, Place::Files, "weights");
        let bytes = vec![9_u8; 10_000];
        let mut computed = freehold_verify::fs_verity::FsVerity::new();
        computed.update(&bytes);
        let mut admitted = Admitted {
            v: 1,
            release,
            target: "models/guide/1.0.0/release.json".to_owned(),
            name: "guide".to_owned(),
            version: "1.0.0".to_owned(),
            counter: 1,
            root: freehold_trust::sha256(b"model"),
            signer: "key".to_owned(),
            embeddings: false,
            files: vec![AdmittedFile {
                path: "weights".to_owned(),
                length: 10_000,
                sha256: freehold_trust::sha256(&bytes),
                fs_verity: Some(computed.finish()),
            }],
            at: 0,
            because: Vec::new(),
        };
        let stage = || {
            fs::create_dir_all(staged.parent().unwrap()).unwrap();
            fs::write(&staged, &bytes).unwrap();
        };
        stage();
        let strict = store.clone().with_verity(VerityUse::Required);
        if store.holds_files().unwrap() {
            // The release says something else than the kernel: its two digests are not of one file.
            let right = admitted.files[0].fs_verity.replace(freehold_trust::sha256(b"other"));
            assert_eq!(strict.take(&admitted).unwrap_err().code(), "store.other_verity");
            admitted.files[0].fs_verity = right;
            strict.take(&admitted).unwrap();
            let stored = strict.folder(&admitted.root, &release).join("files/weights");
            assert_eq!(verity::measure(&stored).unwrap(), Held::To(right.unwrap()));
        } else {
            println!("skipped: no fs-verity here, so only its absence is shown");
            assert_eq!(strict.take(&admitted).unwrap_err().code(), "store.no_verity");
            assert!(strict.stored().unwrap().is_empty());
            // Elsewhere the same is stored, and hashed before each use.
            store.take(&admitted).unwrap();
            assert_eq!(store.stored().unwrap().len(), 1);
        }
        let (expected, found) = (freehold_trust::sha256(b"a"), freehold_trust::sha256(b"b"));
        let other = StoreError::OtherVerity {
            path: staged.clone(),
            expected,
            found,
        };
        assert_eq!(other.code(), "store.other_verity");
        assert!(matches!(crate::StepFailed::from(other), crate::StepFailed::Refused(_)));
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

//! Is this folder the signed one? The comparison; walking and hashing are done elsewhere and answered here.
//!
//! Refuses unlisted files and folders, links, pipes, devices, second hard links and mount points: only regular files with
//! one name are read. Invariant: [`CheckedFiles`] exists only when every listed file was hashed and matched.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::digest::Sha256Digest;
use serde::Serialize;

use super::ModelManifest;
use super::rejection::ModelRejection;
use super::statement::is_below;
use crate::text::shown;
use crate::verified::Verified;

/// What an entry of a folder is, without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder on the same file system.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
    /// A file or folder on another file system than the model's folder.
    MountPoint,
}

impl EntryKind {
    /// In words, for a message: `a symbolic link`.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Folder => "a folder",
            Self::Symlink => "a symbolic link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::MountPoint => "a mount point",
        }
    }
}

/// One entry of a folder, as a walker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the folder, `/` between parts.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Length in bytes; of a file.
    pub length: u64,
    /// Number of hard links; of a file.
    pub links: u64,
}

/// A file whose bytes are the signed ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedFile {
    /// Path below the model's folder.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub length: u64,
}

/// A folder that is exactly what was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedFiles {
    /// The model's root digest.
    pub root: Sha256Digest,
    /// The files, in the order of their paths.
    pub files: Vec<CheckedFile>,
    /// Sum of the lengths in bytes.
    pub total: u64,
}

/// The comparison of a folder with a verified manifest: first the listing, then each file's digest, then [`finish`].
///
/// [`finish`]: ModelCheck::finish
#[derive(Debug, Clone)]
pub struct ModelCheck {
    root: Sha256Digest,
    ignored: Vec<String>,
    expected: BTreeMap<String, Sha256Digest>,
    lengths: BTreeMap<String, u64>,
    done: BTreeMap<String, CheckedFile>,
}

impl ModelCheck {
    /// Starts a comparison with a verified manifest.
    #[must_use]
    pub fn new(manifest: &Verified<ModelManifest>) -> Self {
        let manifest = manifest.get();
        Self {
            root: manifest.root,
            ignored: manifest.ignored.clone(),
            expected: manifest
                .files
                .iter()
                .map(|file| (file.path.clone(), file.sha256))
                .collect(),
            lengths: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Takes the whole listing of the folder (its own entry not included) and answers which files are to be hashed.
    /// What lies at or below an ignored path is passed over: it is never hashed, stored or shown.
    ///
    /// # Errors
    /// The first fault in the order of the paths: [`ModelRejection::FileKind`], [`ModelRejection::HardLink`],
    /// [`ModelRejection::FileUnlisted`]; then [`ModelRejection::FileMissing`].
    pub fn listing(&mut self, entries: &[Entry]) -> Result<Vec<CheckedFile>, ModelRejection> {
        let mut folders = BTreeSet::new();
        for path in self.expected.keys() {
            let mut path = path.as_str();
            while let Some((parent, _)) = path.rsplit_once('/') {
                folders.insert(parent);
                path = parent;
            }
        }
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by(|left, right| left.path.cmp(&right.path));
        let mut lengths = BTreeMap::new();
        for entry in sorted {
            if self.ignored.iter().any(|ignored| is_below(&entry.path, ignored)) {
                continue;
            }
            match entry.kind {
                EntryKind::Folder if folders.contains(entry.path.as_str()) => {}
                EntryKind::File if self.expected.contains_key(&entry.path) => {
                    if entry.links != 1 {
                        return Err(ModelRejection::HardLink {
                            path: shown(&entry.path),
                            links: entry.links,
                        });
                    }
                    lengths.insert(entry.path.clone(), entry.length);
                }
                EntryKind::File | EntryKind::Folder => {
                    return Err(ModelRejection::FileUnlisted {
                        path: shown(&entry.path),
                    });
                }
                other => {
                    return Err(ModelRejection::FileKind {
                        path: shown(&entry.path),
                        found: other.described(),
                    });
                }
            }
        }
        if let Some(path) = self.expected.keys().find(|path| !lengths.contains_key(*path)) {
            return Err(ModelRejection::FileMissing { path: shown(path) });
        }
        self.lengths = lengths;
        let expected = self.expected.iter();
        Ok(expected
            .filter_map(|(path, sha256)| {
                let length = *self.lengths.get(path)?;
                Some(CheckedFile {
                    path: path.clone(),
                    sha256: *sha256,
                    length,
                })
            })
            .collect())
    }

    /// Takes the digest of one file that was hashed, and the number of bytes that were read.
    ///
    /// # Errors
    /// [`ModelRejection::FileUnlisted`], [`ModelRejection::FileChanged`] or [`ModelRejection::FileDigest`].
    pub fn digest(&mut self, path: &str, length: u64, sha256: Sha256Digest) -> Result<(), ModelRejection> {
        let Some(expected) = self.expected.get(path) else {
            return Err(ModelRejection::FileUnlisted { path: shown(path) });
        };
        if *expected != sha256 {
            return Err(ModelRejection::FileDigest {
                path: shown(path),
                expected: *expected,
                found: sha256,
            });
        }
        if self.lengths.get(path).is_some_and(|listed| *listed != length) {
            return Err(ModelRejection::FileChanged { path: shown(path) });
        }
        self.done.insert(
            path.to_owned(),
            CheckedFile {
                path: path.to_owned(),
                sha256,
                length,
            },
        );
        Ok(())
    }

    /// Answers when every listed file has matched.
    ///
    /// # Errors
    /// [`ModelRejection::Incomplete`].
    pub fn finish(self) -> Result<Verified<CheckedFiles>, ModelRejection> {
        if let Some(path) = self.expected.keys().find(|path| !self.done.contains_key(*path)) {
            return Err(ModelRejection::Incomplete { path: shown(path) });
        }
        let total = self
            .done
            .values()
            .fold(0_u64, |sum, file| sum.saturating_add(file.length));
        Ok(Verified::seal(CheckedFiles {
            root: self.root,
            files: self.done.into_values().collect(),
            total,
        }))
    }
}

//! The package cache: a folder of .deb files under their own names, each checked whenever it is used.
//!
//! Refuses a file whose size or digest is not the locked one. Invariant: what [`Cache::look`] calls locked held the
//! locked bytes a moment ago; a file gets its final name only after it was checked.

use crate::lock::Package;
use freehold_trust::digest::{Sha256Digest, Sha256Hasher};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A folder with packages.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// What lies in the cache under a package's name.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// The locked bytes.
    Locked,
    /// Something else.
    Other {
        /// Its size in bytes.
        size: u64,
        /// Its digest.
        sha256: Sha256Digest,
    },
}

/// Why the cache could not be used.
#[derive(Debug, Error)]
#[error("`{path}`")]
pub struct CacheError {
    /// The file or folder.
    path: PathBuf,
    /// The reason.
    #[source]
    source: std::io::Error,
}

impl Cache {
    /// Opens the folder, making it where it is not there.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        std::fs::create_dir_all(folder).map_err(|source| CacheError {
            path: folder.to_owned(),
            source,
        })?;
        let folder = folder.canonicalize().map_err(|source| CacheError {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self { folder })
    }

    /// The folder itself, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a package's file lies or would lie.
    pub fn path_of(&self, package: &Package) -> PathBuf {
        self.folder.join(package.file_name())
    }

    /// Hashes what is there.
    pub fn look(&self, package: &Package) -> Result<Found, CacheError> {
        look_at(&self.path_of(package), package)
    }
}

/// Compares a file with what the lock says of a package.
pub fn look_at(path: &Path, package: &Package) -> Result<Found, CacheError> {
    let wrap = |source| CacheError {
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(wrap(error)),
    };
    let mut hasher = Sha256Hasher::new();
    let mut size = 0u64;
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(wrap)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            break;
        };
        hasher.update(part);
        size = size.saturating_add(read as u64);
    }
    let sha256 = hasher.finish();
    Ok(if size == package.size && sha256 == package.sha256 {
        Found::Locked
    } else {
        Found::Other { size, sha256 }
    })
}

//! All inputs of the image together: bring them, hash them, carry them on a stick, and put them into the Nix store.
//!
//! Refuses a file that is not the locked one, by name. Invariant: after [`Inputs::found`] every file was hashed.

use crate::cache::{Cache, CacheError, Found};
use crate::crates::{self, CratesError};
use crate::lock::Lock;
use crate::seed::{self, SeedError};
use crate::store::{self, StoreError};
use freehold_trust::Sha256Digest;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the inputs are not complete.
#[derive(Debug, Error)]
pub enum InputsError {
    /// The cache cannot be used.
    #[error("the package cache cannot be used")]
    Cache(#[from] CacheError),
    /// Crates are missing or differ.
    #[error("the crates are not complete")]
    Crates(#[from] CratesError),
    /// The seed cannot be made.
    #[error("the seed cannot be made")]
    Seed(#[from] SeedError),
    /// The store refused.
    #[error("the Nix store cannot be filled")]
    Store(#[from] StoreError),
    /// Packages that are not there.
    #[error("not in the cache: {}", names.join(", "))]
    Missing {
        /// Their names.
        names: Vec<String>,
    },
    /// A package with other bytes.
    #[error("package `{name}`: not the locked bytes (expected {expected}, found {found})")]
    Differs {
        /// The package.
        name: String,
        /// The locked digest.
        expected: Sha256Digest,
        /// The digest found.
        found: Sha256Digest,
    },
    /// The seed is another one than the lock's.
    #[error("the seed is not the locked one (expected {expected}, found {found})")]
    OtherSeed {
        /// The locked digest.
        expected: String,
        /// The digest found.
        found: Sha256Digest,
    },
    /// A file cannot be copied.
    #[error("`{path}` cannot be copied")]
    Copy {
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

impl InputsError {
    /// 1 where bytes were refused, 2 where something could not be done.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Differs { .. } | Self::OtherSeed { .. } => 1,
            Self::Crates(error) => error.exit_code(),
            _ => 2,
        }
    }
}

/// Every file of the lock, hashed.
#[derive(Debug)]
pub struct Inputs {
    packages: Vec<PathBuf>,
    crates: Vec<PathBuf>,
    seed: PathBuf,
}

impl Inputs {
    /// Finds and hashes all of them.
    pub fn found(lock: &Lock, workspace: &Path, cache: &Cache) -> Result<Self, InputsError> {
        let mut packages = Vec::new();
        let mut missing = Vec::new();
        let mut seed = PathBuf::new();
        for package in lock.packages() {
            let path = cache.path_of(package);
            match cache.look(package)? {
                Found::Locked if package.sets.iter().any(|set| set == seed::SET) => {
                    seed.clone_from(&path);
                    packages.push(path);
                }
                Found::Locked => packages.push(path),
                Found::Missing => missing.push(package.name.clone()),
                Found::Other { sha256, .. } => {
                    return Err(InputsError::Differs {
                        name: package.name.clone(),
                        expected: package.sha256,
                        found: sha256,
                    });
                }
            }
        }
        if !missing.is_empty() {
            return Err(InputsError::Missing { names: missing });
        }
        let crates = crates::find(workspace, &cache.folder().join("crates"))?
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        Ok(Self { packages, crates, seed })
    }

    /// How many packages and crates.
    pub fn count(&self) -> (usize, usize) {
        (self.packages.len(), self.crates.len())
    }

    /// Puts all of them into the Nix store.
    pub fn store(&self, lock: &Lock, progress: &dyn Fn(u64)) -> Result<(), InputsError> {
        let below = tempfile::tempdir().map_err(SeedError::Io)?;
        let (folder, digest) = seed::unpack(&self.seed, below.path())?;
        if lock.seed() != Some(digest) {
            return Err(InputsError::OtherSeed {
                expected: lock.seed().map_or_else(|| "none".to_owned(), |seed| seed.to_string()),
                found: digest,
            });
        }
        store::add_folder(&folder)?;
        let files: Vec<PathBuf> = self.packages.iter().chain(&self.crates).cloned().collect();
        store::add_files(&files, progress)?;
        Ok(())
    }

    /// Copies all of them into `folder` (`*.deb`) and `folder/crates` (`*.crate`): what [`import`] reads.
    pub fn export(&self, folder: &Path) -> Result<(), InputsError> {
        copy(&self.packages, folder)?;
        copy(&self.crates, &folder.join("crates"))
    }
}

/// Takes what an export holds into the cache. Nothing is believed: the next use hashes every file.
pub fn import(folder: &Path, cache: &Cache) -> Result<usize, InputsError> {
    let mut count = 0usize;
    for (from, to, ending) in [
        (folder.to_owned(), cache.folder().to_owned(), "deb"),
        (folder.join("crates"), cache.folder().join("crates"), "crate"),
    ] {
        let entries = std::fs::read_dir(&from).map_err(failed(&from))?;
        let files: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect();
        copy(&files, &to)?;
        count = count.saturating_add(files.len());
    }
    Ok(count)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> InputsError {
    let path = path.to_owned();
    move |source| InputsError::Copy { path, source }
}

fn copy(files: &[PathBuf], folder: &Path) -> Result<(), InputsError> {
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    for file in files {
        let to = folder.join(file.file_name().unwrap_or_default());
        if to != *file {
            std::fs::copy(file, &to).map_err(failed(file))?;
        }
    }
    Ok(())
}

//! The crates of `Cargo.lock`: the very `.crate` files that cargo keeps, known by the lock's checksums.
//!
//! Refuses a file with another digest, by name. Invariant: cargo alone talks to a registry, by its own configuration; here
//! files are only found and hashed.

use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// One crate of the lock that comes from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the `.crate` file.
    pub sha256: Sha256Digest,
}

impl Crate {
    /// The file's name, as cargo writes it.
    pub fn file_name(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }
}

/// Why the crates are not all there.
#[derive(Debug, Error)]
pub enum CratesError {
    /// `Cargo.lock` or a folder cannot be read.
    #[error("`{path}` cannot be read")]
    Io {
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Not a lock of cargo.
    #[error("`Cargo.lock` is not readable")]
    Format(#[source] toml::de::Error),
    /// A checksum that is none.
    #[error("crate `{name}`: `{checksum}` is no SHA-256")]
    Checksum {
        /// The crate.
        name: String,
        /// What stands there.
        checksum: String,
    },
    /// Cargo could not bring them.
    #[error("not in the cache, and cargo brought nothing: {}", names.join(", "))]
    Gone {
        /// The files.
        names: Vec<String>,
    },
    /// A file has other bytes.
    #[error("crate `{name}`: not the locked bytes (expected {expected}, found {found})")]
    Differs {
        /// The crate.
        name: String,
        /// Locked digest.
        expected: Sha256Digest,
        /// What is there.
        found: Sha256Digest,
    },
}

impl CratesError {
    /// 1 where the bytes were refused, 2 where the crates could not be brought.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Differs { .. } => 1,
            _ => 2,
        }
    }
}

#[derive(Deserialize)]
struct CargoLock {
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Reads the registry crates of a `Cargo.lock`.
pub fn locked(text: &str) -> Result<Vec<Crate>, CratesError> {
    let lock: CargoLock = toml::from_str(text).map_err(CratesError::Format)?;
    lock.package
        .into_iter()
        .filter_map(|entry| entry.checksum.map(|checksum| (entry.name, entry.version, checksum)))
        .map(|(name, version, checksum)| match checksum.parse() {
            Ok(sha256) => Ok(Crate { name, version, sha256 }),
            Err(_) => Err(CratesError::Checksum { name, checksum }),
        })
        .collect()
}

/// Finds every crate in `own` or in cargo's cache; where one is missing, cargo is asked once to fetch.
pub fn find(workspace: &Path, own: &Path) -> Result<Vec<(Crate, PathBuf)>, CratesError> {
    let path = workspace.join("Cargo.lock");
    let text = std::fs::read_to_string(&path).map_err(|source| CratesError::Io { path, source })?;
    let crates = locked(&text)?;
    match look(&crates, own) {
        Err(CratesError::Gone { .. }) => {
            let fetched = Command::new("cargo")
                .args(["fetch", "--locked", "--quiet", "--manifest-path"])
                .arg(workspace.join("Cargo.toml"))
                .status();
            // A failure shows as what is still missing.
            drop(fetched);
            look(&crates, own)
        }
        found => found,
    }
}

fn look(crates: &[Crate], own: &Path) -> Result<Vec<(Crate, PathBuf)>, CratesError> {
    let mut folders = vec![own.to_owned()];
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .unwrap_or_default();
    if let Ok(entries) = std::fs::read_dir(home.join("registry/cache")) {
        let mut registries: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        registries.sort();
        folders.extend(registries);
    }
    let mut found = Vec::new();
    let mut gone = Vec::new();
    for one in crates {
        let file = folders
            .iter()
            .map(|folder| folder.join(one.file_name()))
            .find(|path| path.is_file());
        match file {
            Some(path) => {
                check(one, &path)?;
                found.push((one.clone(), path));
            }
            None => gone.push(one.file_name()),
        }
    }
    if gone.is_empty() {
        Ok(found)
    } else {
        Err(CratesError::Gone { names: gone })
    }
}

/// Hashes one file.
fn check(one: &Crate, path: &Path) -> Result<(), CratesError> {
    let bytes = std::fs::read(path).map_err(|source| CratesError::Io {
        path: path.to_owned(),
        source,
    })?;
    let found = sha256(&bytes);
    if found == one.sha256 {
        return Ok(());
    }
    Err(CratesError::Differs {
        name: one.file_name(),
        expected: one.sha256,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n[[package]]\nname = \"a\"\n\
        version = \"1.2.3+b\"\nsource = \"registry+x\"\n\
        checksum = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";

    #[test]
    fn only_crates_of_a_registry_are_locked() {
        let crates = locked(LOCK).unwrap();
        assert_eq!(crates.len(), 1);
        assert_eq!(crates[0].file_name(), "a-1.2.3+b.crate");
    }

    #[test]
    fn a_crate_with_other_bytes_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let crates = locked(LOCK).unwrap();
        let path = folder.path().join("a-1.2.3+b.crate");
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!(look(&crates, folder.path()).unwrap().len(), 1);
        std::fs::write(&path, b"abd").unwrap();
        let error = look(&crates, folder.path()).unwrap_err();
        assert!(matches!(&error, CratesError::Differs { name, .. } if name == "a-1.2.3+b.crate"));
        assert_eq!(error.exit_code(), 1);
    }
}

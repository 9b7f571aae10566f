//! The state folder: every document that must survive a restart, each written whole or not at all.
//!
//! Refuses to guess when one cannot be read: a box with a broken state stops with its name rather than starting over.
//! Invariant: the folder is 0700, keys are 0600, and each document has a version.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use freehold_execute::write_atomic;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// Largest document that is read back: the targets metadata has 24 MiB at most.
const MAX_DOCUMENT: u64 = 32 << 20;

/// The state folder.
#[derive(Debug, Clone)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// Opens the folder, making it and its parts.
    pub(crate) fn open(folder: &Path) -> Result<Self, Fault> {
        let state = Self {
            folder: folder.to_owned(),
        };
        for part in ["", "keys", "tuf", "releases"] {
            let path = folder.join(part);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|error| fault(&path, &error))?;
        }
        // The auditor's copy, the status and the gateway's group go through this folder; what is secret has a mode of its own.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(|error| fault(folder, &error))?;
        Ok(state)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a document.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A document's bytes; `None` when it was never written.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.path(name);
        match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(&path, &error)),
            Ok(file) if file.len() > MAX_DOCUMENT => {
                return Err(Fault::State {
                    path,
                    detail: format!("{} bytes", file.len()),
                });
            }
            Ok(_) => {}
        }
        fs::read(&path).map(Some).map_err(|error| fault(&path, &error))
    }

    /// A JSON document; `None` when it was never written.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.bytes(name)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Fault::State {
            path: self.path(name),
            detail: error.to_string(),
        })
    }

    /// Writes a document that anybody may read.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        Ok(write_atomic(&self.path(name), bytes, 0o644)?)
    }

    /// Writes a JSON document that anybody may read.
    pub(crate) fn put_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Fault> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|error| Fault::State {
            path: self.path(name),
            detail: error.to_string(),
        })?;
        self.put(name, &bytes)
    }

    /// Writes a secret: mode 0600 from its first byte.
    pub(crate) fn put_secret(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        Ok(write_atomic(&self.path(name), bytes, 0o600)?)
    }
}

fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::State {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}

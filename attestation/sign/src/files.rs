//! Files that matter: keys written once with mode 0600, documents replaced in one step.
//!
//! Refuses to overwrite a key, and to read a key that others may read. Invariant: a reader of a document sees the old or
//! the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use freehold_trust::key::{KeyRejected, PublicKey};
use freehold_trust::signing::{SigningKey, SigningKeyError};

/// Longest key or certificate file that is read (bounds a wrong path).
const MAX_TEXT: u64 = 256 * 1024;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write `{path}`")]
    Write {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A private key that others may read.
    #[error("`{path}` can be read by others")]
    Permissions {
        /// The path.
        path: PathBuf,
    },
    /// Not a private key.
    #[error("`{path}` is not a private key")]
    PrivateKey {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: SigningKeyError,
    },
    /// Not a public key.
    #[error("`{path}` is not a public key")]
    PublicKey {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyRejected,
    },
}

impl FileError {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError::Read`], also when it is longer.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(FileError::read(path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes"));
        return Err(FileError::Read {
            path: path.to_owned(),
            source,
        });
    }
    Ok(bytes)
}

fn read_text(path: &Path) -> Result<String, FileError> {
    let bytes = read_bounded(path, MAX_TEXT)?;
    String::from_utf8(bytes).map_err(|_| FileError::read(path)(io::ErrorKind::InvalidData.into()))
}

/// Reads a private key (PKCS#8 PEM) that only its owner may read.
///
/// # Errors
/// [`FileError`].
pub fn read_signing_key(path: &Path) -> Result<SigningKey, FileError> {
    let mode = fs::metadata(path).map_err(FileError::read(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(FileError::Permissions { path: path.to_owned() });
    }
    let text = read_text(path)?;
    SigningKey::from_pkcs8_pem(&text).map_err(|source| FileError::PrivateKey {
        path: path.to_owned(),
        source,
    })
}

/// Reads a public key (SubjectPublicKeyInfo PEM).
///
/// # Errors
/// [`FileError`].
pub fn read_public_key(path: &Path) -> Result<PublicKey, FileError> {
    let text = read_text(path)?;
    PublicKey::from_spki_pem(&text).map_err(|source| FileError::PublicKey {
        path: path.to_owned(),
        source,
    })
}

/// Writes a new private key with mode 0600, and its public half beside it as `<stem>.pub.pem`. Never overwrites.
///
/// # Errors
/// [`FileError`].
pub fn write_new_key(path: &Path, key: &SigningKey) -> Result<(), FileError> {
    let pem = key.to_pkcs8_pem().map_err(|source| FileError::PrivateKey {
        path: path.to_owned(),
        source,
    })?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(FileError::write(path))?;
    write_atomic(&path.with_extension("pub.pem"), key.public().to_spki_pem().as_bytes())
}

/// Replaces a document in one step: temporary file beside it, made durable, renamed.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut name = std::ffi::OsString::from(".partial-");
    name.push(path.file_name().unwrap_or_default());
    let partial = path.with_file_name(name);
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::create(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path))
        .and_then(|()| File::open(folder).and_then(|folder| folder.sync_all()))
        .map_err(FileError::write(path))
}

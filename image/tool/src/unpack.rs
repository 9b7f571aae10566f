//! Unpacks a locked set into a root folder: files only, no maintainer script ever runs.
//!
//! Refuses a package whose bytes in the cache are not the locked ones. Invariant: the root appears whole, under its final
//! name, by one rename; a root that says it is a set is that set, completely.

use crate::cache::{Cache, CacheError, Found};
use crate::lock::{Lock, LockError, Package};
use freehold_trust::digest::Sha256Digest;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use thiserror::Error;

/// Where a root says which set it is, below the root.
const STATEMENT: &str = "usr/share/freehold/set";

/// Top-level names that Debian's merged /usr has as links (file-system hierarchy since Debian 12).
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Folders over which something is mounted when the root is entered, and nothing else is in them.
const MOUNT_POINTS: [&str; 7] = ["proc", "dev", "tmp", "run", "sys", "models", "sockets"];

/// What no engine or service opens: left out, so that the root is smaller to hash and to read. Licences stay.
const LEFT_OUT: [&str; 5] = [
    "./usr/share/man/*",
    "./usr/share/info/*",
    "./usr/share/lintian/*",
    "./usr/share/bug/*",
    "./usr/share/locale/*",
];

/// Why a root was not made.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The lock does not know the set.
    #[error("the set cannot be read from the lock")]
    Lock(#[from] LockError),
    /// The cache cannot be read.
    #[error("the package cache cannot be used")]
    Cache(#[from] CacheError),
    /// A package is not in the cache.
    #[error("package `{name}` is not in the cache (`{file}`)")]
    Missing {
        /// The package.
        name: String,
        /// Its file.
        file: String,
    },
    /// A package in the cache has other bytes.
    #[error("package `{name}` in the cache is not the locked one (expected {expected}, found {found})")]
    Differs {
        /// The package.
        name: String,
        /// The locked digest.
        expected: Sha256Digest,
        /// The digest found.
        found: Sha256Digest,
    },
    /// dpkg-deb or tar failed.
    #[error("package `{name}` could not be unpacked: {message}")]
    Archive {
        /// The package.
        name: String,
        /// What the program said.
        message: String,
    },
    /// A folder could not be written.
    #[error("`{path}` cannot be written")]
    Io {
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

impl UnpackError {
    /// 1 where bytes were refused, 2 where it could not be done.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Differs { .. } => 1,
            _ => 2,
        }
    }
}

/// Which set a root says it is; `None` where it says nothing readable.
pub fn unpacked_digest(root: &Path) -> Option<Sha256Digest> {
    std::fs::read_to_string(root.join(STATEMENT))
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Makes `root` from the set and answers the set's digest.
pub fn unpack(lock: &Lock, set: &str, cache: &Cache, root: &Path) -> Result<Sha256Digest, UnpackError> {
    let packages = lock.packages_of(set)?;
    let digest = lock.set_digest(set)?;
    let parent = root
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    make(parent)?;
    let new = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(parent)
        .map_err(|source| UnpackError::Io {
            path: parent.to_owned(),
            source,
        })?;
    prepare(new.path())?;
    for package in packages {
        unpack_package(package, cache, new.path())?;
    }
    let statement = new.path().join(STATEMENT);
    make(statement.parent().unwrap_or(new.path()))?;
    std::fs::write(&statement, format!("{digest} {set}\n")).map_err(|source| UnpackError::Io {
        path: statement,
        source,
    })?;
    put_in_place(new, root)?;
    Ok(digest)
}

fn make(path: &Path) -> Result<(), UnpackError> {
    std::fs::create_dir_all(path).map_err(|source| UnpackError::Io {
        path: path.to_owned(),
        source,
    })
}

fn prepare(root: &Path) -> Result<(), UnpackError> {
    use std::os::unix::fs::PermissionsExt as _;
    let wrap = |path: &Path| {
        let path = path.to_owned();
        move |source| UnpackError::Io { path, source }
    };
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).map_err(wrap(root))?;
    for name in MERGED {
        make(&root.join("usr").join(name))?;
        let link = root.join(name);
        symlink(format!("usr/{name}"), &link).map_err(wrap(&link))?;
    }
    for name in MOUNT_POINTS {
        make(&root.join(name))?;
    }
    Ok(())
}

fn unpack_package(package: &Package, cache: &Cache, root: &Path) -> Result<(), UnpackError> {
    match cache.look(package)? {
        Found::Locked => {}
        Found::Missing => {
            return Err(UnpackError::Missing {
                name: package.name.clone(),
                file: package.file_name().to_owned(),
            });
        }
        Found::Other { sha256, .. } => {
            return Err(UnpackError::Differs {
                name: package.name.clone(),
                expected: package.sha256,
                found: sha256,
            });
        }
    }
    let failed = |message: String| UnpackError::Archive {
        name: package.name.clone(),
        message,
    };
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(cache.path_of(package))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("dpkg-deb: {error}")))?;
    let archive = reader
        .stdout
        .take()
        .ok_or_else(|| failed("dpkg-deb gave nothing".to_owned()))?;
    let tar = Command::new("tar")
        .args([
            "--extract",
            "--keep-directory-symlink",
            "--no-same-owner",
            "--directory",
        ])
        .arg(root)
        .args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")))
        .stdin(archive)
        .output()
        .map_err(|error| failed(format!("tar: {error}")))?;
    let read = reader
        .wait_with_output()
        .map_err(|error| failed(format!("dpkg-deb: {error}")))?;
    for (program, status, stderr) in [
        ("dpkg-deb", read.status, &read.stderr),
        ("tar", tar.status, &tar.stderr),
    ] {
        if !status.success() {
            return Err(failed(format!("{program}: {}", String::from_utf8_lossy(stderr).trim())));
        }
    }
    Ok(())
}

/// Two renames where a root was there before: for a moment there is none, never half of one.
fn put_in_place(new: tempfile::TempDir, root: &Path) -> Result<(), UnpackError> {
    let wrap = |source| UnpackError::Io {
        path: root.to_owned(),
        source,
    };
    let new = new.keep();
    if root.exists() {
        let mut name = root.file_name().unwrap_or_default().to_owned();
        name.push(format!(".old-{}", std::process::id()));
        let old = root.with_file_name(name);
        std::fs::rename(root, &old).map_err(wrap)?;
        std::fs::rename(&new, root).map_err(wrap)?;
        std::fs::remove_dir_all(&old).map_err(wrap)
    } else {
        std::fs::rename(&new, root).map_err(wrap)
    }
}

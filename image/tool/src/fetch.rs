//! Brings locked packages into the cache, with apt's own downloader and so by apt's own settings (proxy, credentials, hosts).
//!
//! Refuses bytes that are not the locked ones, by name. Invariant: nothing is asked for that the cache already has, and
//! nobody is asked but the archives that apt is configured with and a dated archive that a person named.

use crate::cache::{Cache, CacheError, Found, look_at};
use crate::lock::{Lock, Package};
use crate::mirror;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use thiserror::Error;

/// apt's downloader; part of the package `apt` itself.
pub(crate) const HELPER: &str = "/usr/lib/apt/apt-helper";

/// How often the bar looks at what has arrived.
const TICK: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// Packages that the cache had.
    pub already: usize,
    /// Packages that were fetched.
    pub fetched: usize,
}

/// Why the set is not complete.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The cache cannot be read or written.
    #[error("the package cache cannot be used")]
    Cache(#[from] CacheError),
    /// A folder or process of ours failed.
    #[error("apt's downloader cannot be run")]
    Io(#[from] std::io::Error),
    /// The archives' names cannot be had.
    #[error("no archive to ask")]
    Mirror(#[from] mirror::MirrorError),
    /// No archive has these packages any more.
    #[error("not on the configured mirror and not in the cache: {}", names.join(", "))]
    Gone {
        /// `name version (file)` of each.
        names: Vec<String>,
        /// What apt said last.
        message: String,
    },
    /// An archive answered with other bytes.
    #[error("package `{name}`: not the locked bytes (expected {expected}, found {found})")]
    Differs {
        /// The package.
        name: String,
        /// Locked size and digest.
        expected: String,
        /// What came.
        found: String,
    },
}

impl FetchError {
    /// 1 where the bytes were refused, 2 where the set could not be brought.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Differs { .. } => 1,
            _ => 2,
        }
    }

    /// What a person can do.
    pub fn hint(&self, set: &str) -> Option<String> {
        match self {
            Self::Gone { message, .. } => Some(format!(
                "testing suites drop old files: put the files into the cache, name a dated archive with --snapshot, or resolve \
                 anew with `freehold-image lock --set {set}` (apt said: {message})"
            )),
            Self::Mirror(_) | Self::Io(_) => {
                Some("without apt, put the locked .deb files into the cache folder yourself".to_owned())
            }
            Self::Differs { .. } => {
                Some("the lock, the mirror, or something between is wrong; nothing was kept".to_owned())
            }
            Self::Cache(_) => None,
        }
    }
}

/// Completes `wanted` in the cache. `progress` is told how many bytes of the whole are there.
pub fn fetch(
    lock: &Lock,
    wanted: &[&Package],
    cache: &Cache,
    snapshot: Option<&str>,
    progress: &dyn Fn(u64),
) -> Result<Brought, FetchError> {
    let mut missing = Vec::new();
    let mut there = 0u64;
    for package in wanted {
        match cache.look(package)? {
            Found::Locked => there = there.saturating_add(package.size),
            Found::Missing | Found::Other { .. } => missing.push(*package),
        }
        progress(there);
    }
    let brought = Brought {
        already: wanted.len().saturating_sub(missing.len()),
        fetched: missing.len(),
    };
    if missing.is_empty() {
        return Ok(brought);
    }
    let mut message = String::new();
    let mut bases: Vec<Base> = mirror::configured_bases()?.into_iter().map(Base::Mirror).collect();
    bases.extend(snapshot.map(|base| Base::Dated(base.trim_end_matches('/').to_owned())));
    for base in bases {
        if missing.is_empty() {
            break;
        }
        let arriving = tempfile::Builder::new()
            .prefix(".arriving-")
            .tempdir_in(cache.folder())?;
        message = download(lock, &base, &missing, arriving.path(), there, progress)?.unwrap_or(message);
        missing = keep_what_came(missing, arriving.path(), cache, &mut there)?;
    }
    if missing.is_empty() {
        return Ok(brought);
    }
    let names = missing
        .iter()
        .map(|one| format!("{} {} ({})", one.name, one.version, one.file_name()))
        .collect();
    Err(FetchError::Gone { names, message })
}

enum Base {
    Mirror(String),
    Dated(String),
}

impl Base {
    /// `+` and `~` may stand in a path as they are (RFC 3986, 3.3), but some stores take `+` for a space.
    fn uri(&self, lock: &Lock, package: &Package) -> String {
        let path = package.path.replace('+', "%2b");
        match self {
            Self::Mirror(base) => format!("{base}/{path}"),
            Self::Dated(base) => format!("{base}/{}/{path}", lock.suite_date(&package.suite).unwrap_or_default()),
        }
    }
}

/// Runs one downloader over all files; it goes on after a file that failed. Answers its complaint, if it had one.
fn download(
    lock: &Lock,
    base: &Base,
    missing: &[&Package],
    arriving: &Path,
    there: u64,
    progress: &dyn Fn(u64),
) -> Result<Option<String>, FetchError> {
    let mut command = Command::new(HELPER);
    command.args(["-o", "APT::Sandbox::User=root", "download-file"]);
    for package in missing {
        command.arg(base.uri(lock, package));
        command.arg(arriving.join(package.file_name()));
        command.arg(format!("SHA256:{}", package.sha256));
    }
    let complaints = tempfile::NamedTempFile::new_in(arriving)?;
    let mut child = command
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints.reopen()?)
        .spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        progress(there.saturating_add(bytes_below(arriving)));
        std::thread::sleep(TICK);
    };
    if status.success() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(complaints.path())?;
    Ok(text
        .lines()
        .rfind(|line| line.starts_with("E:"))
        .map(|line| line.trim_start_matches("E:").trim().to_owned()))
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

/// Moves checked files to their final names and answers what is still missing.
fn keep_what_came<'a>(
    missing: Vec<&'a Package>,
    arriving: &Path,
    cache: &Cache,
    there: &mut u64,
) -> Result<Vec<&'a Package>, FetchError> {
    let mut still = Vec::new();
    for package in missing {
        let came: PathBuf = arriving.join(package.file_name());
        match look_at(&came, package)? {
            Found::Locked => {
                std::fs::rename(&came, cache.path_of(package))?;
                *there = there.saturating_add(package.size);
            }
            Found::Missing => still.push(package),
            Found::Other { size, sha256 } => {
                return Err(FetchError::Differs {
                    name: package.name.clone(),
                    expected: format!("{} bytes, {}", package.size, package.sha256),
                    found: format!("{size} bytes, {sha256}"),
                });
            }
        }
    }
    Ok(still)
}

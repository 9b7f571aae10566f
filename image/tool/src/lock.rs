//! The lock: for each package its version, where it lies in the pool, its size and SHA-256.
//!
//! Refuses names and pool paths that could leave a folder, and packages without a digest. Invariant: what the lock names is
//! one exact sequence of bytes; two machines with the same lock use the same bytes or none.

use freehold_trust::digest::{Sha256Digest, sha256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A lock file is read whole: this bounds a file that was swapped for something huge. A whole OS is below 1 MB.
const MAX_LOCK_BYTES: usize = 8 << 20;

/// The version of the lock format that is written.
const VERSION: u32 = 1;

/// One Debian suite as it was when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The code name, for example `forky`.
    pub name: String,
    /// The `Date` of its signed release file, as `YYYYMMDDTHHMMSSZ`: names the day in a dated archive.
    pub date: String,
}

/// One locked package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The Debian name.
    pub name: String,
    /// The Debian version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The suite it was resolved from.
    pub suite: String,
    /// The sets that need it.
    pub sets: Vec<String>,
    /// Below the archive's base, `pool/…`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Over the whole file.
    pub sha256: Sha256Digest,
}

impl Package {
    /// The file's own name, the last part of its pool path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// What a solver answered for one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The suites that were asked.
    pub suites: Vec<Suite>,
    /// The closure, in any order.
    pub packages: Vec<Package>,
}

/// The whole lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    v: u32,
    /// SHA-256 of the seed's Nix archive: the one static program that every build starts with (see [`crate::seed`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<Sha256Digest>,
    suites: Vec<Suite>,
    packages: Vec<Package>,
}

/// Why a lock is not used.
#[derive(Debug, Error)]
pub enum LockError {
    /// Too many bytes.
    #[error("the lock has {found} bytes, more than {MAX_LOCK_BYTES}")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// Not the format.
    #[error("the lock is not readable")]
    Format(#[source] serde_json::Error),
    /// A later format.
    #[error("the lock has format {found}, this program knows {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A path that is not below `pool/`.
    #[error("package `{name}`: `{path}` is not a path below pool/")]
    Path {
        /// The package.
        name: String,
        /// Its path.
        path: String,
    },
    /// No package belongs to the set.
    #[error("the lock knows no set `{set}`")]
    NoSuchSet {
        /// The set asked for.
        set: String,
    },
}

impl Lock {
    /// A lock with nothing in it.
    pub fn empty() -> Self {
        Self {
            v: VERSION,
            seed: None,
            suites: Vec::new(),
            packages: Vec::new(),
        }
    }

    /// Parses and checks a lock file.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        if bytes.len() > MAX_LOCK_BYTES {
            return Err(LockError::TooLarge { found: bytes.len() });
        }
        let lock: Self = serde_json::from_slice(bytes).map_err(LockError::Format)?;
        if lock.v != VERSION {
            return Err(LockError::Version { found: lock.v });
        }
        for package in &lock.packages {
            let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
            let fits = |c: char| c.is_ascii_alphanumeric() || "+-._~/".contains(c);
            if !(package.path.starts_with("pool/")
                && package.path.split('/').all(plain)
                && package.path.chars().all(fits))
            {
                return Err(LockError::Path {
                    name: package.name.clone(),
                    path: package.path.clone(),
                });
            }
        }
        Ok(lock)
    }

    /// The file's text: JSON with one package per line, sorted, so that a difference reads as a difference.
    pub fn to_text(&self) -> String {
        let suites = self.suites.iter().map(line).collect::<Vec<_>>().join(",\n");
        let packages = self.packages.iter().map(line).collect::<Vec<_>>().join(",\n");
        let seed = self
            .seed
            .map(|seed| format!("\"seed\": \"{seed}\",\n"))
            .unwrap_or_default();
        format!(
            "{{\"v\": {},\n{seed}\"suites\": [\n{suites}\n],\n\"packages\": [\n{packages}\n]}}\n",
            self.v
        )
    }

    /// SHA-256 of the seed's Nix archive, once the seed's set was locked.
    pub fn seed(&self) -> Option<Sha256Digest> {
        self.seed
    }

    /// Records the seed.
    pub fn set_seed(&mut self, seed: Sha256Digest) {
        self.seed = Some(seed);
    }

    /// The names of all sets, sorted.
    pub fn sets(&self) -> Vec<&str> {
        let mut sets: Vec<&str> = self
            .packages
            .iter()
            .flat_map(|package| package.sets.iter().map(String::as_str))
            .collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// Every package, sorted by name and version.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The packages of a set, sorted by name.
    pub fn packages_of(&self, set: &str) -> Result<Vec<&Package>, LockError> {
        let mut found: Vec<&Package> = self
            .packages
            .iter()
            .filter(|package| package.sets.iter().any(|one| one == set))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if found.is_empty() {
            Err(LockError::NoSuchSet { set: set.to_owned() })
        } else {
            Ok(found)
        }
    }

    /// One digest for a set: SHA-256 over its packages' sorted `sha256 name version` lines. Names an unpacked root.
    pub fn set_digest(&self, set: &str) -> Result<Sha256Digest, LockError> {
        let lines: String = self
            .packages_of(set)?
            .iter()
            .map(|package| format!("{} {} {}\n", package.sha256, package.name, package.version))
            .collect();
        Ok(sha256(lines.as_bytes()))
    }

    /// The date of a suite, `YYYYMMDDTHHMMSSZ`.
    pub fn suite_date(&self, suite: &str) -> Option<&str> {
        self.suites
            .iter()
            .find(|one| one.name == suite)
            .map(|one| one.date.as_str())
    }

    /// Puts a newly resolved set in place of the old one; other sets keep theirs.
    pub fn replace_set(&mut self, set: &str, resolved: Resolved) {
        for package in &mut self.packages {
            package.sets.retain(|one| one != set);
        }
        for new in resolved.packages {
            match self
                .packages
                .iter_mut()
                .find(|old| old.sha256 == new.sha256 && old.path == new.path)
            {
                Some(old) => {
                    old.sets.extend(new.sets);
                    old.sets.sort();
                }
                None => self.packages.push(new),
            }
        }
        self.packages.retain(|package| !package.sets.is_empty());
        self.packages
            .sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        self.suites
            .retain(|suite| !resolved.suites.iter().any(|new| new.name == suite.name));
        self.suites.extend(resolved.suites);
        self.suites
            .retain(|suite| self.packages.iter().any(|package| package.suite == suite.name));
        self.suites.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// One entry as one line of JSON; plain data, so it always is one.
fn line<T: Serialize>(entry: &T) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, sets: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: "1:2~3+b1".to_owned(),
            architecture: "amd64".to_owned(),
            suite: "forky".to_owned(),
            sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            path: format!("pool/main/{name}.deb"),
            size: 3,
            sha256: sha256(name.as_bytes()),
        }
    }

    fn resolved(packages: Vec<Package>) -> Resolved {
        Resolved {
            suites: vec![Suite {
                name: "forky".to_owned(),
                date: "20261030T080801Z".to_owned(),
            }],
            packages,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lock = Lock::empty();
        lock.replace_set("a", resolved(vec![package("y", &["a"]), package("x", &["a"])]));
        lock.replace_set("b", resolved(vec![package("x", &["b"])]));
        let read = Lock::parse(lock.to_text().as_bytes()).unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.packages_of("b").unwrap().len(), 1);
        lock.replace_set("a", resolved(vec![package("z", &["a"])]));
        assert_eq!(
            lock.packages.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            ["x", "z"]
        );
    }

    #[test]
    fn a_path_that_leaves_the_pool_is_refused() {
        for path in ["pool/../../etc/x", "etc/x", "/pool/x", "pool//x", "pool/x?y"] {
            let mut lock = Lock::empty();
            let mut bad = package("x", &["a"]);
            bad.path = path.to_owned();
            lock.replace_set("a", resolved(vec![bad]));
            assert!(
                matches!(Lock::parse(lock.to_text().as_bytes()), Err(LockError::Path { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn an_unknown_set_and_an_unknown_version_are_refused() {
        assert!(matches!(
            Lock::empty().packages_of("a"),
            Err(LockError::NoSuchSet { .. })
        ));
        let text = Lock::empty().to_text().replace("\"v\": 1", "\"v\": 2");
        assert!(matches!(
            Lock::parse(text.as_bytes()),
            Err(LockError::Version { found: 2 })
        ));
    }
}

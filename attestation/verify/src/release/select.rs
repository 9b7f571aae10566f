//! May this release be installed here and now?
//!
//! Refuses releases that are not in the signed targets with every one of their files, revoked ones, ones older than what is
//! installed or than the floor, and all of them when the metadata has expired. Invariant: the console's wish is not asked
//! here; it can only choose among what passes.

use std::collections::BTreeMap;

use freehold_trust::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::descriptor::{ReleaseDescriptor, ReleaseKind};
use super::rejection::ReleaseRejection;
use super::revocation::Revocations;
use super::target::Targets;
use crate::text::shown;
use crate::verified::Verified;

/// A release that may be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// What the publisher says about it.
    pub descriptor: ReleaseDescriptor,
    /// The descriptor's target name.
    pub target: String,
    /// SHA-256 of the descriptor.
    pub digest: Sha256Digest,
}

impl Release {
    /// `kind/name`, for example `models/guide`: what counters and floors are kept by.
    #[must_use]
    pub fn line(&self) -> String {
        line(self.descriptor.kind, &self.descriptor.name)
    }
}

/// The highest counters that were ever installed here; kept across restarts. A field of the version after this one is passed
/// over: a system that was gone back from may have written it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledReleases {
    /// Major version, 1.
    pub v: u32,
    /// Highest installed counter by `kind/name`.
    pub counters: BTreeMap<String, u64>,
    /// Counter of the newest revocation list that was seen.
    pub revocations: u64,
}

impl Default for InstalledReleases {
    fn default() -> Self {
        Self {
            v: 1,
            counters: BTreeMap::new(),
            revocations: 0,
        }
    }
}

impl InstalledReleases {
    /// Remembers that a release was installed; a counter never falls.
    pub fn installed(&mut self, release: &Verified<Release>) {
        let counter = self.counters.entry(release.line()).or_default();
        *counter = (*counter).max(release.descriptor.counter);
    }

    /// Remembers a revocation list; the counter never falls.
    pub fn saw(&mut self, revocations: &Verified<Revocations>) {
        self.revocations = self.revocations.max(revocations.list.counter);
    }
}

fn line(kind: ReleaseKind, name: &str) -> String {
    format!("{}/{name}", kind.folder())
}

/// Judges the descriptor of target `name` at `now` (unix seconds).
///
/// # Errors
/// [`ReleaseRejection`]: target and digest first, then expiry, the descriptor's own consistency, revocation, rollback.
pub fn select_release(
    targets: &Verified<Targets>,
    name: &str,
    descriptor: &[u8],
    revocations: &Verified<Revocations>,
    installed: &InstalledReleases,
    now: i64,
) -> Result<Verified<Release>, ReleaseRejection> {
    if installed.v != 1 {
        return Err(ReleaseRejection::State {
            detail: format!("version {} of what is installed", installed.v),
        });
    }
    let targets = targets.get();
    let info = targets.check(name, descriptor)?;
    if targets.valid_until < now {
        return Err(ReleaseRejection::Expired {
            what: "targets".to_owned(),
            expires: targets.valid_until,
        });
    }
    let descriptor = ReleaseDescriptor::parse(descriptor)?;
    if descriptor.target_name() != name {
        let place = ReleaseKind::of_target(name);
        if let Some(expected) = place.filter(|kind| *kind != descriptor.kind) {
            let (expected, found) = (expected.word().to_owned(), descriptor.kind.word().to_owned());
            return Err(ReleaseRejection::Kind { expected, found });
        }
        let detail = format!("it calls itself `{}`", descriptor.target_name());
        return Err(ReleaseRejection::malformed(shown(name), detail));
    }
    for file in descriptor.all_files() {
        let target = descriptor.target_of(&file.path);
        let signed = targets.target(&target)?;
        if signed.length != file.length {
            let (expected, found) = (signed.length, file.length);
            return Err(ReleaseRejection::Length {
                name: shown(&target),
                expected,
                found,
            });
        }
        if signed.sha256 != file.sha256 {
            let (expected, found) = (Some(signed.sha256), Some(file.sha256));
            return Err(ReleaseRejection::Hash {
                name: shown(&target),
                expected,
                found,
            });
        }
    }
    let release = Release {
        target: name.to_owned(),
        digest: info.sha256,
        descriptor,
    };
    check_revoked(&release, revocations.get())?;
    check_counter(&release, revocations.get(), installed)?;
    Ok(Verified::seal(release))
}

fn check_revoked(release: &Release, revocations: &Revocations) -> Result<(), ReleaseRejection> {
    let full = format!("{}/{}", release.line(), release.descriptor.version);
    if revocations.list.releases.contains(&full) {
        return Err(ReleaseRejection::Revoked { what: full });
    }
    release
        .descriptor
        .root
        .map_or(Ok(()), |root| revocations.check_root(root))
}

fn check_counter(
    release: &Release,
    revocations: &Revocations,
    installed: &InstalledReleases,
) -> Result<(), ReleaseRejection> {
    let line = release.line();
    let floor = revocations.list.floors.get(&line).copied().unwrap_or(0);
    let last = installed.counters.get(&line).copied().unwrap_or(0).max(floor);
    let found = release.descriptor.counter;
    if found < last {
        return Err(ReleaseRejection::Rollback {
            what: line,
            last,
            found,
        });
    }
    Ok(())
}

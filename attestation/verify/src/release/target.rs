//! TUF targets: names, lengths and digests that the offline keys signed.
//!
//! Refuses names that climb, start at the root, hide, or mean a device on another system (the same names travel on sticks).
//! Invariant: every name in [`Targets`] can be joined to a folder and stays below it.

use std::collections::BTreeMap;

use freehold_trust::digest::{Sha256Digest, sha256};
use serde::Serialize;

use super::rejection::ReleaseRejection;
use crate::text::shown;

/// Longest target name in bytes (a 4 KiB name is an attack on path buffers).
const MAX_NAME: usize = 512;
/// Longest part of a name in bytes, the digest prefix of consistent snapshots (65) not counted: NAME_MAX is 255.
const MAX_PART: usize = 180;

/// Length and digest of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TargetInfo {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
}

/// The verified top-level targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Targets {
    /// Version of the targets metadata.
    pub version: u64,
    /// The earliest expiry among root, timestamp, snapshot and targets, unix seconds: nothing new after it.
    pub valid_until: i64,
    /// The targets by name.
    pub targets: BTreeMap<String, TargetInfo>,
}

impl Targets {
    /// The target of that name.
    ///
    /// # Errors
    /// [`ReleaseRejection::UnknownTarget`].
    pub fn target(&self, name: &str) -> Result<TargetInfo, ReleaseRejection> {
        self.targets
            .get(name)
            .copied()
            .ok_or_else(|| ReleaseRejection::UnknownTarget { name: shown(name) })
    }

    /// Whether `bytes` are the target of that name: length, then digest.
    ///
    /// # Errors
    /// [`ReleaseRejection::UnknownTarget`], [`ReleaseRejection::Length`] or [`ReleaseRejection::Hash`].
    pub fn check(&self, name: &str, bytes: &[u8]) -> Result<TargetInfo, ReleaseRejection> {
        let info = self.target(name)?;
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found != info.length {
            return Err(ReleaseRejection::Length {
                name: shown(name),
                expected: info.length,
                found,
            });
        }
        let digest = sha256(bytes);
        if digest != info.sha256 {
            let (expected, found) = (Some(info.sha256), Some(digest));
            return Err(ReleaseRejection::Hash {
                name: shown(name),
                expected,
                found,
            });
        }
        Ok(info)
    }

    /// The file in a repository (below `targets/`) that holds the target of that name: `dir/<sha256>.<file>`.
    ///
    /// # Errors
    /// [`ReleaseRejection::UnknownTarget`].
    pub fn file_name(&self, name: &str) -> Result<String, ReleaseRejection> {
        Ok(consistent_name(name, self.target(name)?.sha256))
    }

    /// The descriptors of all releases, by target name.
    pub fn releases(&self) -> impl Iterator<Item = (&str, &TargetInfo)> {
        let ending = format!("/{}", super::descriptor::DESCRIPTOR_NAME);
        self.targets
            .iter()
            .filter(move |(name, _)| name.ends_with(&ending))
            .map(|(name, info)| (name.as_str(), info))
    }
}

/// `dir/file` with its digest in front of the file, as TUF's consistent snapshots name it (specification, section 6.2).
#[must_use]
pub fn consistent_name(name: &str, digest: Sha256Digest) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/{digest}.{file}"),
        None => format!("{digest}.{name}"),
    }
}

/// Whether a name may be a target: ASCII parts of letters, digits and `._+-`, none hidden, none a device of another system.
///
/// # Errors
/// [`ReleaseRejection::TargetName`].
pub fn check_target_name(name: &str) -> Result<(), ReleaseRejection> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name.split('/').all(part_fits);
    if fits {
        Ok(())
    } else {
        Err(ReleaseRejection::TargetName { name: shown(name) })
    }
}

fn part_fits(part: &str) -> bool {
    const DEVICES: &[&str] = &["con", "prn", "aux", "nul"];
    let plain = part
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
    if part.is_empty() || part.len() > MAX_PART || !plain || part.starts_with('.') || part.ends_with('.') {
        return false;
    }
    let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.len() == 4 && (stem.starts_with("com") || stem.starts_with("lpt"));
    let device = DEVICES.contains(&stem.as_str()) || (numbered && stem.ends_with(|last: char| last.is_ascii_digit()));
    !device
}

//! The release descriptor (`release.json`): one release, its files and the digests of their chunks.
//!
//! Refuses unknown fields, file names that the place could not hold, and chunk lists that do not cover the file exactly.
//! Invariant: name, version and kind are part of the descriptor's own target name, so that no two can be exchanged.

use std::collections::BTreeSet;

use freehold_trust::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::rejection::ReleaseRejection;
use super::target::check_target_name;
use crate::json::{self, JsonFault};
use crate::text::shown;

/// File name of a descriptor within its release.
pub const DESCRIPTOR_NAME: &str = "release.json";
/// The file of a model release that holds the questions of its self-test, at its top.
pub const SELF_TEST: &str = "selftest.json";
/// Bounds a descriptor: the chunks of a terabyte fit.
pub const MAX_DESCRIPTOR: usize = 24 * 1024 * 1024;
/// Chunk size that the publisher writes: small enough to hold in memory twice, large enough that 40 GB make 10,000.
pub const CHUNK_SIZE: u64 = 4 * 1024 * 1024;
/// Smallest and largest chunk size that is accepted (bounds the list, and the memory for one chunk).
const CHUNK_SIZES: std::ops::RangeInclusive<u64> = 64 * 1024..=64 * 1024 * 1024;
/// Most files of one release (bounds the work per descriptor).
const MAX_FILES: usize = 65_536;
/// Longest free text (licence, hardware class).
const MAX_TEXT: usize = 200;

/// What a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseKind {
    /// A model with its signature and its bill of materials.
    Model,
    /// An inference engine.
    Engine,
    /// A policy bundle.
    Policy,
    /// An operating system image.
    Os,
    /// Advisories and statements on exploitability: nothing that runs.
    Advisories,
}

impl ReleaseKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Model, Self::Engine, Self::Policy, Self::Os, Self::Advisories];

    /// The kind that a target's name says. A descriptor is bound to its target's name, so this is its kind.
    #[must_use]
    pub fn of_target(name: &str) -> Option<Self> {
        let (folder, _) = name.split_once('/')?;
        Self::ALL.into_iter().find(|kind| kind.folder() == folder)
    }

    /// The first part of the kind's target names.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Engine => "engines",
            Self::Policy => "policies",
            Self::Os => "systems",
            Self::Advisories => "advisories",
        }
    }

    /// The word in descriptors: `model`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Engine => "engine",
            Self::Policy => "policy",
            Self::Os => "os",
            Self::Advisories => "advisories",
        }
    }
}

impl std::fmt::Display for ReleaseKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.word())
    }
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// Path below the release's folder, `/` between parts; for a model's files the path in the signed manifest.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// Length of every chunk but the last, in bytes.
    pub chunk_size: u64,
    /// SHA-256 of each chunk, in order.
    pub chunks: Vec<Sha256Digest>,
    /// What Linux's fs-verity calls the file: as good as `sha256`, and held by the kernel page by page ([`crate::fs_verity`]). A
    /// release of the version before has none: its files are hashed before each use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_verity: Option<Sha256Digest>,
}

/// A descriptor as it is written; not verified. What is verified is a [`super::Release`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseDescriptor {
    /// Major version, 1.
    pub v: u32,
    /// What it is.
    pub kind: ReleaseKind,
    /// Name within its kind: lower case, digits, `._-`.
    pub name: String,
    /// Version, for people; order is by `counter`.
    pub version: String,
    /// Rises with each release of that kind and name.
    pub counter: u64,
    /// The files; of a model exactly the signed ones.
    pub files: Vec<ReleaseFile>,
    /// The model signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<ReleaseFile>,
    /// The bill of materials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bom: Option<ReleaseFile>,
    /// The model's root digest, as in its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Sha256Digest>,
    /// Whether the model may be asked for embeddings.
    #[serde(default)]
    pub embeddings: bool,
    /// SPDX licence expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Hardware classes that it is meant for; empty means any.
    #[serde(default)]
    pub hardware: Vec<String>,
}

impl ReleaseDescriptor {
    /// Target name of this descriptor: `models/<name>/<version>/release.json`.
    #[must_use]
    pub fn target_name(&self) -> String {
        self.target_of(DESCRIPTOR_NAME)
    }

    /// Target name of one of the release's files.
    #[must_use]
    pub fn target_of(&self, path: &str) -> String {
        format!("{}/{}/{}/{path}", self.kind.folder(), self.name, self.version)
    }

    /// All files: the release's own, then signature and bill of materials.
    pub fn all_files(&self) -> impl Iterator<Item = &ReleaseFile> {
        self.files.iter().chain(&self.bundle).chain(&self.bom)
    }

    /// Reads a descriptor and checks its inner consistency.
    ///
    /// # Errors
    /// [`ReleaseRejection::Malformed`], [`ReleaseRejection::TooLarge`] or [`ReleaseRejection::TargetName`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseRejection> {
        let descriptor: Self = json::typed(bytes, MAX_DESCRIPTOR).map_err(|fault| match fault {
            JsonFault::TooLong { limit } => ReleaseRejection::TooLarge {
                what: DESCRIPTOR_NAME.to_owned(),
                limit,
            },
            JsonFault::Form(detail) => ReleaseRejection::malformed(DESCRIPTOR_NAME, detail),
        })?;
        descriptor.check()?;
        Ok(descriptor)
    }

    /// Checks the inner consistency; what [`Self::parse`] does, and what a publisher does before it signs.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn check(&self) -> Result<(), ReleaseRejection> {
        let fault = |detail: &str| Err(ReleaseRejection::malformed(DESCRIPTOR_NAME, detail));
        if self.v != 1 {
            return fault(&format!("version {}", self.v));
        }
        if !word_fits(&self.name) || !word_fits(&self.version) {
            return fault("name and version take lower case letters, digits and `._-`, at most 64");
        }
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return fault(&format!("{} files", self.files.len()));
        }
        let texts = self.hardware.iter().chain(&self.licence);
        if self.hardware.len() > 64
            || texts
                .clone()
                .any(|text| text.len() > MAX_TEXT || text.chars().any(char::is_control))
        {
            return fault("licence or hardware text");
        }
        if self.kind == ReleaseKind::Model && (self.bundle.is_none() || self.root.is_none()) {
            return fault("a model without signature or root digest");
        }
        let mut seen = BTreeSet::from([DESCRIPTOR_NAME.to_owned()]);
        for file in self.all_files() {
            check_target_name(&self.target_of(&file.path))?;
            if !seen.insert(file.path.to_ascii_lowercase()) {
                return fault(&format!("`{}` twice", shown(&file.path)));
            }
            if !file.chunk_size.is_power_of_two() || !CHUNK_SIZES.contains(&file.chunk_size) {
                return fault(&format!("chunk size {}", file.chunk_size));
            }
            if u64::try_from(file.chunks.len()).ok() != Some(chunk_count(file.length, file.chunk_size)) {
                return fault(&format!("`{}` has {} chunks", shown(&file.path), file.chunks.len()));
            }
        }
        Ok(())
    }
}

/// How many chunks a file of that length has; an empty file has none.
#[must_use]
pub const fn chunk_count(length: u64, chunk_size: u64) -> u64 {
    length.div_ceil(if chunk_size == 0 { 1 } else { chunk_size })
}

fn word_fits(word: &str) -> bool {
    let plain = word
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    !word.is_empty() && word.len() <= 64 && plain && word.starts_with(|first: char| first.is_ascii_alphanumeric())
}

//! The desired state: what a verified assignment asks of this box, release by release.
//!
//! Refuses to be made from anything but verified values. Invariant: a target that cannot be had is still in it, as a
//! refusal, so that a plan never passes over one in silence.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::Sha256Digest;
use freehold_verify::release::Release;
use freehold_verify::{RefusalReport, Verified};
use serde::{Deserialize, Serialize};

use crate::system::WantedSystem;

/// What the box should run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Counter of the assignment; `None` when the box has none, which asks for nothing and takes nothing away.
    pub assignment: Option<u64>,
    /// Models to have and to serve, by the descriptor's digest.
    pub models: BTreeMap<Sha256Digest, WantedModel>,
    /// The operating system to run, when the assignment names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<WantedSystem>,
    /// Releases that stay in the store after their successor is confirmed, so that the box can be sent back to them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ways_back: BTreeSet<Sha256Digest>,
    /// Targets of the assignment that cannot be had, by target name.
    pub refused: BTreeMap<String, RefusalReport>,
}

/// One model release that the box should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedModel {
    /// Target name of the descriptor.
    pub target: String,
    /// SHA-256 of the descriptor: names the release.
    pub release: Sha256Digest,
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Root digest of the model's signature: names the model in the store.
    pub root: Sha256Digest,
    /// Every file to fetch: the model's own, signature and bill of materials.
    pub files: Vec<WantedFile>,
    /// Whether a second engine serves embeddings.
    pub embeddings: bool,
    /// Hardware classes that it is meant for, by release and by assignment; an empty list means any.
    pub hardware: Vec<Vec<String>>,
}

/// Which part of a release a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// One of the model's own files: what an engine may see.
    Files,
    /// About the model: its signature, its bill of materials.
    About,
}

/// One file of a wanted release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedFile {
    /// Which part it is.
    pub place: Place,
    /// Path below the release's folder.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// Length of every chunk but the last.
    pub chunk_size: u64,
    /// How many chunks.
    pub chunks: u32,
}

impl WantedModel {
    /// A model release as verified; `None` when it is no model. `assigned` are the hardware classes in the assignment.
    #[must_use]
    pub fn new(release: &Verified<Release>, assigned: &[String]) -> Option<Self> {
        let descriptor = &release.descriptor;
        Some(Self {
            target: release.target.clone(),
            release: release.digest,
            name: descriptor.name.clone(),
            version: descriptor.version.clone(),
            root: descriptor.root?,
            files: descriptor
                .files
                .iter()
                .map(|file| (Place::Files, file))
                .chain(
                    descriptor
                        .bundle
                        .iter()
                        .chain(&descriptor.bom)
                        .map(|file| (Place::About, file)),
                )
                .map(|(place, file)| WantedFile {
                    place,
                    path: file.path.clone(),
                    length: file.length,
                    chunk_size: file.chunk_size,
                    chunks: u32::try_from(file.chunks.len()).unwrap_or(u32::MAX),
                })
                .collect(),
            embeddings: descriptor.embeddings,
            hardware: vec![descriptor.hardware.clone(), assigned.to_vec()],
        })
    }

    /// Whether a box with the given hardware classes may run it.
    #[must_use]
    pub fn fits(&self, classes: &[String]) -> bool {
        self.hardware
            .iter()
            .all(|meant| meant.is_empty() || meant.iter().any(|class| classes.contains(class)))
    }
}

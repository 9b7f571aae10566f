//! The operating system in a plan: fetched, handed on, written into the other slot, restarted into, kept or given up.
//!
//! Refuses to write a slot while the running system is still on trial, to restart while anything else is to be done, and to try
//! a system again that this box went back from. Invariant: without permission nothing is fetched, written or restarted; a
//! floor that is due rises without it, because both slots already hold what it asks for.

use freehold_trust::Sha256Digest;
use freehold_verify::Verified;
use freehold_verify::release::Release;
use serde::{Deserialize, Serialize};

use crate::desired::{Place, WantedFile};
use crate::observed::Permission;
use crate::plan::{Step, Waiting, WaitingOn};
use crate::planner::Planner;

/// An operating system release that the box should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedSystem {
    /// Target name of the descriptor.
    pub target: String,
    /// SHA-256 of the descriptor: names the release.
    pub release: Sha256Digest,
    /// The image's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Every file to fetch.
    pub files: Vec<WantedFile>,
    /// Hardware classes that it is meant for, by release and by assignment; an empty list means any.
    pub hardware: Vec<Vec<String>>,
}

/// The system of a box that is one: the image that runs, and what became of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedSystem {
    /// The running image's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it has shown that it works.
    pub standing: SystemStanding,
    /// The release whose files lie ready to be written, each verified.
    pub staged: Option<Sha256Digest>,
    /// The release in the other slot.
    pub written: Option<Sha256Digest>,
    /// The level to which the floor is to rise: both slots hold an image at or above it, and a release says so.
    pub floor_due: Option<u8>,
}

/// Whether a running image has shown that it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemStanding {
    /// It has.
    Confirmed,
    /// It was started for the first time after an update, and its health check has not ended.
    Trying,
}

impl WantedSystem {
    /// A system release as verified. `assigned` are the hardware classes in the assignment.
    #[must_use]
    pub fn new(release: &Verified<Release>, assigned: &[String]) -> Self {
        let descriptor = &release.descriptor;
        Self {
            target: release.target.clone(),
            release: release.digest,
            name: descriptor.name.clone(),
            version: descriptor.version.clone(),
            files: descriptor
                .files
                .iter()
                .map(|file| WantedFile {
                    place: Place::Files,
                    path: file.path.clone(),
                    length: file.length,
                    chunk_size: file.chunk_size,
                    chunks: u32::try_from(file.chunks.len()).unwrap_or(u32::MAX),
                })
                .collect(),
            hardware: vec![descriptor.hardware.clone(), assigned.to_vec()],
        }
    }

    /// Whether a box with the given hardware classes may run it.
    #[must_use]
    pub fn fits(&self, classes: &[String]) -> bool {
        self.hardware
            .iter()
            .all(|meant| meant.is_empty() || meant.iter().any(|class| classes.contains(class)))
    }
}

impl Planner<'_> {
    /// The steps about the operating system; they come last, because the last of them ends everything.
    pub(crate) fn system(&mut self, wanted: Option<&WantedSystem>) {
        let Some(here) = &self.observed.system else { return };
        if let Some(level) = here.floor_due {
            self.steps.push(Step::RaiseFloor { level });
        }
        let Some(wanted) = wanted.filter(|wanted| wanted.version != here.version) else {
            return;
        };
        let wait = |until| Waiting {
            what: wanted.target.clone(),
            until,
        };
        if here.standing == SystemStanding::Trying {
            self.waiting.push(wait(WaitingOn::Confirmation));
            return;
        }
        let blocked = match &self.observed.permission {
            _ if self.observed.fetching.contains_key(&wanted.release) && self.may_go_on() => Some(WaitingOn::Download),
            Permission::Keep(on) => Some(on.clone()),
            Permission::Change => None,
        };
        if let Some(until) = blocked {
            self.waiting.push(wait(until));
            return;
        }
        let (release, name, version) = (wanted.release, wanted.name.clone(), wanted.version.clone());
        if here.written != Some(release) {
            if here.staged != Some(release) {
                let (steps, needed) = self.fetches(&wanted.target, release, &wanted.files);
                let free = self.observed.free_bytes;
                if needed > free {
                    self.waiting.push(wait(WaitingOn::DiskSpace { needed, free }));
                    return;
                }
                self.steps.extend(steps);
                self.steps.push(Step::StageSystem {
                    release,
                    name: name.clone(),
                    version: version.clone(),
                });
            }
            self.steps.push(Step::WriteSystem {
                release,
                name: name.clone(),
                version: version.clone(),
            });
        }
        // It ends every engine and every download: only when nothing else is left to do.
        let last = self.steps.iter().all(|step| {
            matches!(step, Step::FetchFile { release: of, .. } if *of == release)
                || matches!(
                    step,
                    Step::StageSystem { .. } | Step::WriteSystem { .. } | Step::RaiseFloor { .. }
                )
        });
        if last && self.observed.fetching.is_empty() {
            self.steps.push(Step::RestartSystem { release, name, version });
        } else {
            self.waiting.push(wait(WaitingOn::OtherSteps));
        }
    }
}

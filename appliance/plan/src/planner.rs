//! The planner.
//!
//! Refuses to start what is revoked and to take anything new without permission. Invariant: everything that stops comes
//! before anything that starts, and stopping never needs permission.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::Sha256Digest;
use freehold_verify::{Refusal as _, RefusalReport};

use crate::desired::{Desired, WantedModel};
use crate::observed::{EngineState, Observed, Permission, Purpose, RunningEngine};
use crate::plan::{PLAN_VERSION, Plan, Step, Waiting, WaitingOn};
use crate::rejection::PlanRejection;

/// Why something stops that nobody wants any more.
const NOT_ASSIGNED: &str = "plan.not_assigned";

/// Makes the plan that leads from `observed` towards `desired`.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut planner = Planner {
        desired,
        observed,
        steps: Vec::new(),
        waiting: Vec::new(),
        refuses: false,
    };
    let wanted = planner.refuse();
    let stored = planner.obtain(&wanted);
    planner.stop(&wanted);
    planner.start(&wanted, &stored);
    planner.remove(&wanted);
    Plan {
        v: PLAN_VERSION,
        assignment: desired.assignment,
        steps: planner.steps,
        waiting: planner.waiting,
    }
}

struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    steps: Vec<Step>,
    waiting: Vec<Waiting>,
    /// Whether a target of the assignment is refused, now or before.
    refuses: bool,
}

impl<'a> Planner<'a> {
    /// Says no to what cannot be had, once each, and answers what is left.
    fn refuse(&mut self) -> Vec<&'a WantedModel> {
        let mut refusals: BTreeMap<&str, RefusalReport> = self
            .desired
            .refused
            .iter()
            .map(|(target, report)| (target.as_str(), report.clone()))
            .collect();
        let mut names: BTreeMap<&str, u32> = BTreeMap::new();
        for model in self.desired.models.values() {
            *names.entry(&model.name).or_default() += 1;
        }
        let mut wanted = Vec::new();
        for model in self.desired.models.values() {
            let refusal = if let Some(report) = self.observed.revoked.get(&model.root) {
                Some(report.clone())
            } else if let Some(report) = self.observed.failed.get(&model.release) {
                Some(report.clone())
            } else if names.get(model.name.as_str()).is_some_and(|count| *count > 1) {
                Some(
                    PlanRejection::Twice {
                        name: model.name.clone(),
                    }
                    .report(),
                )
            } else if !model.fits(&self.observed.hardware) {
                let (target, meant) = (model.target.clone(), model.hardware.concat());
                Some(
                    PlanRejection::Hardware {
                        target,
                        meant,
                        here: self.observed.hardware.clone(),
                    }
                    .report(),
                )
            } else {
                None
            };
            match refusal {
                Some(report) => {
                    refusals.insert(&model.target, report);
                }
                None => wanted.push(model),
            }
        }
        self.refuses = !refusals.is_empty();
        for (target, refusal) in refusals {
            if self.observed.told.get(target) != Some(&refusal.code) {
                self.steps.push(Step::RefuseTarget {
                    target: target.to_owned(),
                    refusal,
                });
            }
        }
        wanted
    }

    /// Fetches, verifies, admits and stores what is not there; answers the models that will be in the store.
    fn obtain(&mut self, wanted: &[&WantedModel]) -> BTreeSet<Sha256Digest> {
        let mut stored: BTreeSet<Sha256Digest> = self.observed.stored.keys().copied().collect();
        let mut free = self.observed.free_bytes;
        for model in wanted {
            if stored.contains(&model.root) {
                continue;
            }
            if let Permission::Keep(on) = &self.observed.permission {
                self.waiting.push(Waiting {
                    what: model.target.clone(),
                    until: on.clone(),
                });
                continue;
            }
            let missing: Vec<_> = model
                .files
                .iter()
                .filter_map(|file| {
                    let chunks = self.observed.missing_chunks(&model.release, &file.path, file.chunks)?;
                    Some((file, chunks))
                })
                .collect();
            let needed = missing.iter().fold(0_u64, |sum, (file, chunks)| {
                let chunks = u64::try_from(chunks.len()).unwrap_or(u64::MAX);
                sum.saturating_add(chunks.saturating_mul(file.chunk_size).min(file.length))
            });
            if needed > free {
                self.waiting.push(Waiting {
                    what: model.target.clone(),
                    until: WaitingOn::DiskSpace { needed, free },
                });
                continue;
            }
            free = free.saturating_sub(needed);
            for (file, chunks) in missing {
                self.steps.push(Step::FetchFile {
                    release: model.release,
                    target: model.target.clone(),
                    place: file.place,
                    path: file.path.clone(),
                    length: file.length,
                    chunk_size: file.chunk_size,
                    chunks,
                });
            }
            let (release, root) = (model.release, model.root);
            self.steps.push(Step::VerifyModel {
                release,
                root,
                name: model.name.clone(),
            });
            self.steps.push(Step::AdmitModel {
                release,
                root,
                name: model.name.clone(),
            });
            self.steps.push(Step::StoreModel {
                release,
                root,
                name: model.name.clone(),
            });
            stored.insert(root);
        }
        stored
    }

    /// Why a model may not be there any more; `None` when it may.
    fn unwanted(&self, root: &Sha256Digest, wanted: &[&WantedModel]) -> Option<String> {
        if let Some(report) = self.observed.revoked.get(root) {
            return Some(report.code.clone());
        }
        self.desired.assignment?;
        if wanted.iter().any(|model| model.root == *root) {
            return None;
        }
        // What the assignment still names keeps its place, and so does everything while a target of it is refused: a wrong
        // assignment takes nothing away. What a newer version of the same model replaces goes all the same.
        let name = self.observed.stored.get(root).map(|stored| &stored.name);
        let superseded = wanted
            .iter()
            .any(|model| Some(&model.name) == name && self.will_be_there(model));
        let named = self.desired.models.values().any(|model| model.root == *root);
        let waiting = wanted.iter().any(|model| Some(&model.name) == name);
        (superseded || !(named || waiting || self.refuses)).then(|| NOT_ASSIGNED.to_owned())
    }

    /// Whether a wanted model is in the store or is fetched by this plan.
    fn will_be_there(&self, model: &WantedModel) -> bool {
        self.observed.stored.contains_key(&model.root)
            || self
                .steps
                .iter()
                .any(|step| matches!(step, Step::StoreModel { root, .. } if *root == model.root))
    }

    fn stop(&mut self, wanted: &[&WantedModel]) {
        for engine in &self.observed.engines {
            let because = self.unwanted(&engine.root, wanted).or_else(|| {
                let stored = self.observed.stored.contains_key(&engine.root);
                let embeddings = wanted
                    .iter()
                    .find(|model| model.root == engine.root)
                    .is_none_or(|model| model.embeddings);
                (!stored || (engine.purpose == Purpose::Embeddings && !embeddings)).then(|| NOT_ASSIGNED.to_owned())
            });
            if let Some(because) = because {
                self.steps.push(Step::StopEngine {
                    root: engine.root,
                    purpose: engine.purpose,
                    because,
                });
            }
        }
    }

    fn start(&mut self, wanted: &[&WantedModel], stored: &BTreeSet<Sha256Digest>) {
        for model in wanted.iter().filter(|model| stored.contains(&model.root)) {
            let purposes = [Some(Purpose::Chat), model.embeddings.then_some(Purpose::Embeddings)];
            for purpose in purposes.into_iter().flatten() {
                match self.engine(model.root, purpose) {
                    None => self.steps.push(Step::StartEngine {
                        root: model.root,
                        name: model.name.clone(),
                        purpose,
                    }),
                    Some(RunningEngine {
                        state: EngineState::Resting,
                        ..
                    }) => {
                        self.waiting.push(Waiting {
                            what: model.name.clone(),
                            until: WaitingOn::EngineRest,
                        });
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn engine(&self, root: Sha256Digest, purpose: Purpose) -> Option<&'a RunningEngine> {
        self.observed
            .engines
            .iter()
            .find(|engine| engine.root == root && engine.purpose == purpose)
    }

    fn remove(&mut self, wanted: &[&WantedModel]) {
        for (root, model) in &self.observed.stored {
            if let Some(because) = self.unwanted(root, wanted) {
                self.steps.push(Step::RemoveModel {
                    root: *root,
                    name: model.name.clone(),
                    because,
                });
            }
        }
        for release in self.observed.staged.keys() {
            let goes_on = wanted
                .iter()
                .any(|model| model.release == *release && !self.observed.stored.contains_key(&model.root));
            if !goes_on && self.desired.assignment.is_some() {
                self.steps.push(Step::DiscardStaged { release: *release });
            }
        }
    }
}

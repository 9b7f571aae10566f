//! The planner.
//!
//! Refuses to start what is revoked or what policy and lease do not let run, to take anything new without permission, and to take a release on the word of another
//! one with the same content: each is verified and admitted for itself. Invariant: everything that stops comes before
//! anything that starts, what was taken back stops first of all, and stopping never needs permission.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::Sha256Digest;
use freehold_verify::{Refusal as _, RefusalReport};

use crate::desired::{Desired, Place, WantedFile, WantedModel};
use crate::observed::{EngineState, Observed, Permission, Purpose, RunningEngine, StoredModel};
use crate::plan::{PLAN_VERSION, Plan, Step, Waiting, WaitingOn};
use crate::rejection::PlanRejection;
use crate::system::WantedSystem;

/// Why something stops that nobody wants any more.
const NOT_ASSIGNED: &str = "plan.not_assigned";
/// Why a download ends that may not go on.
const NOT_PERMITTED: &str = "plan.not_permitted";
/// Why something goes early that nobody wants any more.
const ROOM: &str = "plan.room";

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
    let (wanted, system) = planner.refuse();
    planner.cancel(&wanted, system);
    planner.stop(&wanted, Because::TakenBack);
    let obtained = planner.obtain(&wanted);
    planner.stop(&wanted, Because::Anything);
    planner.start(&wanted, &obtained);
    planner.check(&wanted);
    // What served beside the newer release until that was found healthy.
    planner.stop(&wanted, Because::Anything);
    planner.remove(&wanted, system);
    planner.system(system);
    Plan {
        v: PLAN_VERSION,
        assignment: desired.assignment,
        steps: planner.steps,
        waiting: planner.waiting,
    }
}

/// Which engines are stopped: those of models that were taken back come before everything that takes time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Because {
    TakenBack,
    Anything,
}

pub(crate) struct Planner<'a> {
    desired: &'a Desired,
    pub(crate) observed: &'a Observed,
    pub(crate) steps: Vec<Step>,
    pub(crate) waiting: Vec<Waiting>,
    /// Whether a target of the assignment is refused, now or before.
    refuses: bool,
}

impl<'a> Planner<'a> {
    /// Says no to what cannot be had, once each, and answers what is left.
    fn refuse(&mut self) -> (Vec<&'a WantedModel>, Option<&'a WantedSystem>) {
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
            let refusal = if let Some(report) = self.observed.revoked.get(&model.release) {
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
        let system = self.desired.system.as_ref();
        let refusal = system.and_then(|system| self.refuse_system(system));
        let system = system.filter(|_| refusal.is_none());
        if let (Some(report), Some(wanted)) = (refusal, &self.desired.system) {
            refusals.insert(&wanted.target, report);
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
        (wanted, system)
    }

    /// Why an operating system is not pursued.
    fn refuse_system(&self, wanted: &WantedSystem) -> Option<RefusalReport> {
        let here = self.observed.system.as_ref();
        let refusal = if let Some(report) = self.observed.failed.get(&wanted.release) {
            return Some(report.clone());
        } else if here.is_none_or(|here| here.name != wanted.name) {
            PlanRejection::System {
                here: here.map(|here| here.name.clone()).unwrap_or_default(),
                found: wanted.name.clone(),
            }
        } else if !wanted.fits(&self.observed.hardware) {
            PlanRejection::Hardware {
                target: wanted.target.clone(),
                meant: wanted.hardware.concat(),
                here: self.observed.hardware.clone(),
            }
        } else {
            return None;
        };
        Some(refusal.report())
    }

    /// Ends downloads that nobody wants any more or that may not go on.
    fn cancel(&mut self, wanted: &[&WantedModel], system: Option<&WantedSystem>) {
        for release in self.observed.fetching.keys() {
            let is_wanted = wanted.iter().any(|model| model.release == *release)
                || system.is_some_and(|system| system.release == *release);
            let because = if !is_wanted {
                let model = self.desired.models.get(release);
                let refused = model.and_then(|model| self.desired.refused.get(&model.target));
                let refusal = refused.or_else(|| self.observed.failed.get(release));
                refusal.map_or_else(|| NOT_ASSIGNED.to_owned(), |report| report.code.clone())
            } else if self.may_go_on() {
                continue;
            } else {
                NOT_PERMITTED.to_owned()
            };
            self.steps.push(Step::CancelFetch {
                release: *release,
                because,
            });
        }
    }

    /// Whether a download that is under way may go on. A console that does not answer just now is no reason to end it: it
    /// may be the download itself that keeps the line busy, and without a console it ends by itself.
    pub(crate) fn may_go_on(&self) -> bool {
        matches!(
            self.observed.permission,
            Permission::Change | Permission::Keep(WaitingOn::Console)
        )
    }

    /// Fetches, verifies, admits and stores what is not there; answers the releases that this plan stores.
    fn obtain(&mut self, wanted: &[&'a WantedModel]) -> BTreeMap<Sha256Digest, StoredModel> {
        let mut obtained = BTreeMap::new();
        let under_way = (self.observed.fetching.values()).fold(0_u64, |sum, left| sum.saturating_add(*left));
        let mut free = self.observed.free_bytes.saturating_sub(under_way);
        for model in wanted {
            if self.observed.stored.contains_key(&model.release) {
                continue;
            }
            let waits = match &self.observed.permission {
                _ if self.observed.fetching.contains_key(&model.release) && self.may_go_on() => {
                    Some(WaitingOn::Download)
                }
                Permission::Keep(on) => Some(on.clone()),
                Permission::Change => None,
            };
            if let Some(until) = waits {
                self.waiting.push(Waiting {
                    what: model.target.clone(),
                    until,
                });
                continue;
            }
            let (steps, needed) = self.fetches(&model.target, model.release, &model.files);
            free = free.saturating_add(self.make_room(needed.saturating_sub(free), wanted));
            if needed > free {
                self.waiting.push(Waiting {
                    what: model.target.clone(),
                    until: WaitingOn::DiskSpace { needed, free },
                });
                continue;
            }
            free = free.saturating_sub(needed);
            self.steps.extend(steps);
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
            obtained.insert(
                release,
                StoredModel {
                    root,
                    name: model.name.clone(),
                    version: model.version.clone(),
                    embeddings: model.embeddings,
                    bytes: model.files.iter().map(|file| file.length).sum(),
                },
            );
        }
        obtained
    }

    /// Removes what nobody wants any more before its time, when that makes room for `missing` bytes; answers what it gives.
    fn make_room(&mut self, missing: u64, wanted: &[&WantedModel]) -> u64 {
        let (mut steps, mut gives) = (Vec::new(), 0_u64);
        for (release, stored) in &self.observed.stored {
            if gives >= missing {
                break;
            }
            let others = (self.observed.stored.iter()).any(|(other, one)| other != release && one.root == stored.root);
            let runs = self.observed.engines.iter().any(|engine| engine.root == stored.root);
            let goes = self.unwanted(release, wanted).as_deref() == Some(NOT_ASSIGNED)
                && (self.replaced(release) || !self.on_trial(release, wanted));
            if goes && !others && !runs && !self.removes(release) {
                gives = gives.saturating_add(stored.bytes);
                steps.push(Step::RemoveModel {
                    release: *release,
                    root: stored.root,
                    name: stored.name.clone(),
                    because: ROOM.to_owned(),
                });
            }
        }
        if missing == 0 || gives < missing {
            return 0;
        }
        self.steps.extend(steps);
        gives
    }

    /// Whether this plan removes the release.
    fn removes(&self, release: &Sha256Digest) -> bool {
        (self.steps.iter()).any(|step| matches!(step, Step::RemoveModel { release: gone, .. } if gone == release))
    }

    /// The steps that bring a release's missing files, and the bytes that they need on the disk. A file whose bytes the
    /// store has is taken from there; it is verified with its new release all the same.
    pub(crate) fn fetches(&self, target: &str, release: Sha256Digest, files: &[WantedFile]) -> (Vec<Step>, u64) {
        let (mut steps, mut needed) = (Vec::new(), 0_u64);
        let at_hand = self.observed.at_hand.get(&release);
        for file in files {
            let Some(chunks) = self.observed.missing_chunks(&release, &file.path, file.chunks) else {
                continue;
            };
            if let Some(from) = at_hand.and_then(|files| files.get(&file.path))
                && file.place == Place::Files
            {
                steps.push(Step::ReuseFile {
                    release,
                    target: target.to_owned(),
                    path: file.path.clone(),
                    length: file.length,
                    from: from.clone(),
                });
                continue;
            }
            let count = u64::try_from(chunks.len()).unwrap_or(u64::MAX);
            needed = needed.saturating_add(count.saturating_mul(file.chunk_size).min(file.length));
            steps.push(Step::FetchFile {
                release,
                target: target.to_owned(),
                place: file.place,
                path: file.path.clone(),
                length: file.length,
                chunk_size: file.chunk_size,
                chunks,
            });
        }
        (steps, needed)
    }

    /// Why a release may not be there any more; `None` when it may.
    fn unwanted(&self, release: &Sha256Digest, wanted: &[&WantedModel]) -> Option<String> {
        if let Some(report) = self.observed.revoked.get(release) {
            return Some(report.code.clone());
        }
        self.desired.assignment?;
        if wanted.iter().any(|model| model.release == *release) {
            return None;
        }
        // It was tried here, and its health check did not hold: the box goes back.
        if let Some(report) = self.observed.failed.get(release) {
            return Some(report.code.clone());
        }
        if self.rests(release, wanted) {
            return None;
        }
        // What the assignment still names keeps its place, and so does everything while a target of it is refused: a wrong
        // assignment takes nothing away. What a newer version of the same model replaces goes all the same.
        let name = self.observed.stored.get(release).map(|stored| &stored.name);
        let superseded = self.superseded(release, wanted);
        let named = self.desired.models.contains_key(release);
        let waiting = wanted.iter().any(|model| Some(&model.name) == name);
        let replaced = self.replaced(release) && !self.desired.ways_back.contains(release);
        (superseded || replaced || !(named || waiting || self.refuses)).then(|| NOT_ASSIGNED.to_owned())
    }

    /// Whether a newer release of the same model takes this one's place now. Where memory allows both, the older one serves until
    /// the newer one was found healthy; else it makes room first.
    fn superseded(&self, release: &Sha256Digest, wanted: &[&WantedModel]) -> bool {
        let Some(stored) = self.observed.stored.get(release) else {
            return false;
        };
        let serves = self.engine(stored.root, Purpose::Chat).is_some();
        let begun = |model: &WantedModel| {
            (self.engine(model.root, Purpose::Chat)).is_some_and(|engine| engine.state != EngineState::Resting)
        };
        let beside = |model: &WantedModel| serves && (begun(model) || self.observed.spare_engine);
        (wanted.iter()).any(|model| {
            model.name == stored.name
                && self.will_be_there(model)
                && (self.observed.confirmed.contains(&model.release) || self.checks(model) || !beside(model))
        })
    }

    /// Whether a newer release of the same model is there: what runs of this one may go on for a while, and nothing of it is started.
    fn makes_way(&self, release: &Sha256Digest, wanted: &[&WantedModel]) -> bool {
        let name = self.observed.stored.get(release).map(|stored| &stored.name);
        (wanted.iter()).any(|model| Some(&model.name) == name && model.release != *release && self.will_be_there(model))
    }

    /// Whether another release of the same model was confirmed after this one, and is there.
    fn replaced(&self, release: &Sha256Digest) -> bool {
        let stored = &self.observed.stored;
        let standing = (stored.get(release)).and_then(|one| self.observed.standing.get(&one.name));
        standing.is_some_and(|standing| standing != release && stored.contains_key(standing))
    }

    /// Whether a release only stays as the way back from the one that took its place: in the store, without an engine.
    fn rests(&self, release: &Sha256Digest, wanted: &[&WantedModel]) -> bool {
        self.desired.ways_back.contains(release)
            && !wanted.iter().any(|model| model.release == *release)
            && (self.superseded(release, wanted) || self.replaced(release))
    }

    /// Whether the release that takes this one's place was not found healthy yet: until then it is the way back.
    fn on_trial(&self, release: &Sha256Digest, wanted: &[&WantedModel]) -> bool {
        let name = self.observed.stored.get(release).map(|stored| &stored.name);
        (wanted.iter()).any(|model| {
            Some(&model.name) == name && !self.observed.confirmed.contains(&model.release) && !self.checks(model)
        })
    }

    /// Whether this plan has a release answer its own questions; what comes after that in the plan happens only if it does so well.
    fn checks(&self, model: &WantedModel) -> bool {
        (self.steps.iter()).any(|step| matches!(step, Step::CheckHealth { release, .. } if *release == model.release))
    }

    /// Whether a wanted release is in the store or is stored by this plan.
    fn will_be_there(&self, model: &WantedModel) -> bool {
        self.observed.stored.contains_key(&model.release)
            || self
                .steps
                .iter()
                .any(|step| matches!(step, Step::StoreModel { release, .. } if *release == model.release))
    }

    /// Why no engine may run this content for this purpose; `None` when a release that stays and may run asks for it.
    fn idle(&self, engine: &RunningEngine, wanted: &[&WantedModel]) -> Option<String> {
        let mut because: Option<String> = None;
        for (release, stored) in &self.observed.stored {
            if stored.root != engine.root || (engine.purpose == Purpose::Embeddings && !stored.embeddings) {
                continue;
            }
            let unwanted = match self.unwanted(release, wanted) {
                None if self.rests(release, wanted) => Some(NOT_ASSIGNED.to_owned()),
                unwanted => unwanted,
            };
            let code = match (unwanted, self.observed.may_not_run(&stored.name)) {
                (None, None) => return None,
                (Some(code), None) => code,
                (Some(code), Some(_)) if code != NOT_ASSIGNED => code,
                (_, Some(lost)) => lost.to_owned(),
            };
            // That it was taken back says more than that nobody assigns it.
            if because.is_none() || code != NOT_ASSIGNED {
                because = Some(code);
            }
        }
        let comes = self.steps.iter().any(|step| {
            let Step::StoreModel { release, root, .. } = step else {
                return false;
            };
            let wanted = self.desired.models.get(release);
            *root == engine.root
                && wanted.is_some_and(|model| {
                    let asks = engine.purpose == Purpose::Chat || model.embeddings;
                    asks && self.observed.may_not_run(&model.name).is_none()
                })
        });
        (!comes).then(|| because.unwrap_or_else(|| NOT_ASSIGNED.to_owned()))
    }

    fn stop(&mut self, wanted: &[&WantedModel], which: Because) {
        for engine in &self.observed.engines {
            let Some(because) = self.idle(engine, wanted) else {
                continue;
            };
            let (root, purpose) = (engine.root, engine.purpose);
            if !self.stops(engine) && (which == Because::Anything || because != NOT_ASSIGNED) {
                self.steps.push(Step::StopEngine { root, purpose, because });
            }
        }
    }

    /// Starts engines for every release that stays: what was asked for, and what keeps its place until that is there.
    fn start(&mut self, wanted: &[&WantedModel], obtained: &BTreeMap<Sha256Digest, StoredModel>) {
        if self.desired.assignment.is_none() {
            return;
        }
        let stays: Vec<(Sha256Digest, StoredModel)> = (self.observed.stored.iter().chain(obtained))
            .filter(|(release, _)| self.unwanted(release, wanted).is_none() && !self.rests(release, wanted))
            .filter(|(release, _)| !self.makes_way(release, wanted))
            .map(|(release, stored)| (*release, stored.clone()))
            .collect();
        let mut begun = BTreeSet::new();
        for (release, stored) in stays {
            if self.observed.may_not_run(&stored.name).is_some() {
                let waits = Waiting {
                    what: stored.name.clone(),
                    until: WaitingOn::Lease,
                };
                // Two releases of one model, as while one takes the other's place, wait once.
                if !self.waiting.contains(&waits) {
                    self.waiting.push(waits);
                }
                continue;
            }
            let purposes = [Some(Purpose::Chat), stored.embeddings.then_some(Purpose::Embeddings)];
            for purpose in purposes.into_iter().flatten() {
                if !begun.insert((stored.root, purpose)) {
                    continue;
                }
                match self.engine(stored.root, purpose).filter(|engine| !self.stops(engine)) {
                    None => self.steps.push(Step::StartEngine {
                        release,
                        root: stored.root,
                        name: stored.name.clone(),
                        purpose,
                    }),
                    Some(RunningEngine {
                        state: EngineState::Resting,
                        ..
                    }) => {
                        self.waiting.push(Waiting {
                            what: stored.name.clone(),
                            until: WaitingOn::EngineRest,
                        });
                    }
                    Some(RunningEngine {
                        state: EngineState::Starting,
                        ..
                    }) => {
                        self.waiting.push(Waiting {
                            what: stored.name.clone(),
                            until: WaitingOn::EngineStart,
                        });
                    }
                    Some(RunningEngine {
                        state: EngineState::Checking,
                        ..
                    }) => {
                        self.waiting.push(Waiting {
                            what: stored.name.clone(),
                            until: WaitingOn::Check,
                        });
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Has every wanted release whose engine runs answer its own questions, unless it has. What it replaces is removed after
    /// that: a plan ends at the first step that fails.
    fn check(&mut self, wanted: &[&WantedModel]) {
        for model in wanted {
            let runs = (self.engine(model.root, Purpose::Chat))
                .is_some_and(|engine| engine.state == EngineState::Running && !self.stops(engine));
            let starts = self.steps.iter().any(
                |step| matches!(step, Step::StartEngine { root, purpose: Purpose::Chat, .. } if *root == model.root),
            );
            if (runs || starts) && self.will_be_there(model) && !self.observed.confirmed.contains(&model.release) {
                self.steps.push(Step::CheckHealth {
                    release: model.release,
                    root: model.root,
                    name: model.name.clone(),
                });
            }
        }
    }

    /// Whether this plan stops the engine.
    fn stops(&self, engine: &RunningEngine) -> bool {
        self.steps.iter().any(|step| {
            matches!(step, Step::StopEngine { root, purpose, .. } if *root == engine.root && *purpose == engine.purpose)
        })
    }

    fn engine(&self, root: Sha256Digest, purpose: Purpose) -> Option<&'a RunningEngine> {
        self.observed
            .engines
            .iter()
            .find(|engine| engine.root == root && engine.purpose == purpose)
    }

    fn remove(&mut self, wanted: &[&WantedModel], system: Option<&WantedSystem>) {
        for (release, model) in &self.observed.stored {
            if let Some(because) = self.unwanted(release, wanted)
                && !self.removes(release)
                && (because != NOT_ASSIGNED || self.replaced(release) || !self.on_trial(release, wanted))
            {
                self.steps.push(Step::RemoveModel {
                    release: *release,
                    root: model.root,
                    name: model.name.clone(),
                    because,
                });
            }
        }
        for release in self.observed.staged.keys() {
            let goes_on = wanted
                .iter()
                .any(|model| model.release == *release && !self.observed.stored.contains_key(release));
            // Of a system only an unfinished download is there: what is whole was laid ready.
            let here = self.observed.system.as_ref();
            let goes_on = goes_on
                || system.is_some_and(|system| {
                    let ready = here.is_some_and(|here| [here.staged, here.written].contains(&Some(*release)));
                    system.release == *release && !ready && here.is_some_and(|here| here.version != system.version)
                });
            if !goes_on && self.desired.assignment.is_some() {
                self.steps.push(Step::DiscardStaged { release: *release });
            }
        }
    }
}

//! Made-up worlds that a plan's steps change, for the tests of the planner.

use freehold_plan::{
    Desired, EngineState, Observed, Place, Plan, RunPermission, RunningEngine, Step, StoredModel, WantedFile,
    WantedModel,
};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::RefusalReport;

pub fn digest(text: &str) -> Sha256Digest {
    sha256(text.as_bytes())
}

pub fn model(name: &str, version: u8, files: u8, embeddings: bool) -> WantedModel {
    let full = format!("{name}/{version}");
    WantedModel {
        target: format!("models/{full}/release.json"),
        release: digest(&format!("release {full}")),
        name: name.to_owned(),
        version: version.to_string(),
        root: digest(&format!("root {full}")),
        files: (0..files)
            .map(|n| WantedFile {
                place: Place::Files,
                path: format!("file-{n}.gguf"),
                length: 1000 * u64::from(n),
                chunk_size: 700,
                chunks: (1000 * u32::from(n)).div_ceil(700),
            })
            .collect(),
        embeddings,
        hardware: vec![vec![], vec![]],
    }
}

pub fn desired(models: Vec<WantedModel>) -> Desired {
    Desired {
        assignment: Some(1),
        models: models.into_iter().map(|model| (model.release, model)).collect(),
        ..Desired::default()
    }
}

pub fn kept(model: &WantedModel) -> StoredModel {
    StoredModel {
        root: model.root,
        name: model.name.clone(),
        version: model.version.clone(),
        embeddings: model.embeddings,
        bytes: model.files.iter().map(|file| file.length).sum(),
    }
}

pub fn refusal(code: &str) -> RefusalReport {
    RefusalReport {
        code: code.to_owned(),
        message: code.to_owned(),
        expected: None,
        found: None,
    }
}

/// The models that policies of these worlds speak of.
pub const NAMES: [&str; 3] = ["guide", "coder", "summer"];

/// An empty box whose policy lets every model of these tests run.
pub fn world_with(free_bytes: u64) -> Observed {
    let mut world = Observed::empty(free_bytes);
    world.runs = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), RunPermission::Run))
        .collect();
    world
}

/// What a step does to the world when it works.
pub fn apply(world: &mut Observed, desired: &Desired, step: &Step) {
    match step {
        Step::RefuseTarget { target, refusal } => {
            world.told.insert(target.clone(), refusal.code.clone());
        }
        Step::FetchFile {
            release, path, chunks, ..
        } => {
            world
                .staged
                .entry(*release)
                .or_default()
                .entry(path.clone())
                .or_default()
                .extend(chunks);
        }
        Step::ReuseFile {
            release, path, from, ..
        } => {
            assert!(world.stored.contains_key(&from.release), "reused from nowhere");
            let file = desired.models[release].files.iter().find(|file| file.path == *path);
            let all = (0..file.unwrap().chunks).collect();
            world.staged.entry(*release).or_default().insert(path.clone(), all);
        }
        Step::CancelFetch { release, .. } => {
            world.fetching.remove(release);
        }
        Step::VerifyModel { release, .. } | Step::AdmitModel { release, .. } => {
            assert!(world.staged.contains_key(release) || desired.models[release].files.is_empty());
        }
        Step::StoreModel { release, root, name } => {
            world.staged.remove(release);
            let wanted = &desired.models[release];
            assert_eq!((wanted.root, &wanted.name), (*root, name));
            world.stored.insert(*release, kept(wanted));
        }
        Step::StopEngine { root, purpose, .. } => {
            world
                .engines
                .retain(|engine| engine.root != *root || engine.purpose != *purpose);
        }
        Step::StartEngine {
            release, root, purpose, ..
        } => {
            assert_eq!(
                world.stored[release].root, *root,
                "an engine of a release that is not in the store"
            );
            assert!(!world.revoked.contains_key(release), "an engine of a revoked release");
            let name = &world.stored[release].name;
            assert_eq!(world.runs.get(name), Some(&RunPermission::Run), "an engine of {name}");
            world.engines.push(RunningEngine {
                root: *root,
                purpose: *purpose,
                state: EngineState::Running,
            });
        }
        Step::CheckHealth { release, root, .. } => {
            assert!(world.stored.contains_key(release), "checked what is not there");
            assert!(
                world.engines.iter().any(|engine| engine.root == *root),
                "checked without an engine"
            );
            world.confirmed.insert(*release);
            let name = world.stored[release].name.clone();
            world.standing.insert(name, *release);
        }
        Step::RemoveModel { release, root, .. } => {
            world.stored.remove(release);
            assert!(
                world.stored.values().any(|stored| stored.root == *root)
                    || !world.engines.iter().any(|engine| engine.root == *root),
                "removed under a running engine"
            );
        }
        Step::StageSystem { .. } | Step::WriteSystem { .. } | Step::RestartSystem { .. } | Step::RaiseFloor { .. } => {
            panic!("these worlds have no system")
        }
        Step::DiscardStaged { release } => {
            world.staged.remove(release);
        }
    }
}

pub fn carry_out(world: &mut Observed, desired: &Desired, plan: &Plan, steps: usize) {
    for step in plan.steps.iter().take(steps) {
        apply(world, desired, step);
    }
}

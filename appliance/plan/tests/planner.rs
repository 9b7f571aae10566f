//! The planner's promises, over made-up worlds: it converges, from wherever it was cut off, and never starts what is revoked.

use std::collections::{BTreeMap, BTreeSet};

use freehold_plan::{
    Desired, EngineState, Observed, Permission, Place, Plan, Purpose, RunningEngine, Step, StoredModel, WaitingOn,
    WantedFile, WantedModel, plan,
};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::RefusalReport;
use proptest::prelude::*;

fn digest(text: &str) -> Sha256Digest {
    sha256(text.as_bytes())
}

fn model(name: &str, version: u8, files: u8, embeddings: bool) -> WantedModel {
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

fn desired(models: Vec<WantedModel>) -> Desired {
    Desired {
        assignment: Some(1),
        models: models.into_iter().map(|model| (model.release, model)).collect(),
        refused: BTreeMap::new(),
    }
}

fn refusal(code: &str) -> RefusalReport {
    RefusalReport {
        code: code.to_owned(),
        message: code.to_owned(),
        expected: None,
        found: None,
    }
}

/// What a step does to the world when it works.
fn apply(world: &mut Observed, desired: &Desired, step: &Step) {
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
        Step::VerifyModel { release, .. } | Step::AdmitModel { release, .. } => {
            assert!(world.staged.contains_key(release) || desired.models[release].files.is_empty());
        }
        Step::StoreModel { release, root, name } => {
            world.staged.remove(release);
            let version = desired.models[release].version.clone();
            world.stored.insert(
                *root,
                StoredModel {
                    release: *release,
                    name: name.clone(),
                    version,
                },
            );
        }
        Step::StopEngine { root, purpose, .. } => {
            world
                .engines
                .retain(|engine| engine.root != *root || engine.purpose != *purpose);
        }
        Step::StartEngine { root, purpose, .. } => {
            assert!(
                world.stored.contains_key(root),
                "an engine of a model that is not in the store"
            );
            assert!(!world.revoked.contains_key(root), "an engine of a revoked model");
            world.engines.push(RunningEngine {
                root: *root,
                purpose: *purpose,
                state: EngineState::Running,
            });
        }
        Step::RemoveModel { root, .. } => {
            assert!(
                !world.engines.iter().any(|engine| engine.root == *root),
                "removed under a running engine"
            );
            world.stored.remove(root);
        }
        Step::DiscardStaged { release } => {
            world.staged.remove(release);
        }
    }
}

fn carry_out(world: &mut Observed, desired: &Desired, plan: &Plan, steps: usize) {
    for step in plan.steps.iter().take(steps) {
        apply(world, desired, step);
    }
}

fn worlds() -> impl Strategy<Value = (Desired, Observed)> {
    let names = ["guide", "coder", "summer"];
    let wanted = prop::collection::vec((0..3_usize, 1..4_u8, 0..4_u8, any::<bool>()), 0..4);
    let stored = prop::collection::vec((0..3_usize, 1..4_u8, any::<bool>(), any::<bool>()), 0..4);
    (wanted, stored, prop::option::of(0..3_usize), any::<bool>(), 0..3000_u64).prop_map(
        move |(wanted, stored, staged, keep, free)| {
            let desired = desired(
                wanted
                    .into_iter()
                    .map(|(n, v, f, e)| model(names[n], v, f, e))
                    .collect(),
            );
            let mut world = Observed::empty(if free > 2000 { u64::MAX } else { 0 });
            if keep {
                world.permission = Permission::Keep(WaitingOn::Verdict);
            }
            for (n, v, runs, revoked) in stored {
                let model = model(names[n], v, 1, true);
                world.stored.insert(
                    model.root,
                    StoredModel {
                        release: model.release,
                        name: model.name,
                        version: model.version,
                    },
                );
                if runs && !world.engines.iter().any(|engine| engine.root == model.root) {
                    world.engines.push(RunningEngine {
                        root: model.root,
                        purpose: Purpose::Chat,
                        state: EngineState::Running,
                    });
                }
                if revoked {
                    world.revoked.insert(model.root, refusal("release.revoked"));
                }
            }
            if let Some(n) = staged {
                let model = model(names[n], 1, 3, false);
                world.staged.insert(
                    model.release,
                    BTreeMap::from([("file-2.gguf".to_owned(), BTreeSet::from([1]))]),
                );
            }
            (desired, world)
        },
    )
}

// A failure is shown in full; no file of earlier ones is kept.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_of_an_achieved_state_is_empty((desired, mut world) in worlds()) {
        let first = plan(&desired, &world);
        carry_out(&mut world, &desired, &first, usize::MAX);
        let second = plan(&desired, &world);
        prop_assert!(second.is_empty(), "after\n{first}\nstill\n{second}");
    }

    #[test]
    fn a_plan_that_was_cut_off_is_taken_up_again((desired, world) in worlds(), cut in 0..20_usize) {
        let whole = plan(&desired, &world);
        let mut at_once = world.clone();
        carry_out(&mut at_once, &desired, &whole, usize::MAX);
        let mut in_parts = world;
        carry_out(&mut in_parts, &desired, &whole, cut);
        let rest = plan(&desired, &in_parts);
        carry_out(&mut in_parts, &desired, &rest, usize::MAX);
        prop_assert!(plan(&desired, &in_parts).is_empty());
        let engines = |world: &Observed| {
            let mut engines: Vec<_> = world.engines.iter().map(|engine| (engine.root, engine.purpose)).collect();
            engines.sort_unstable();
            engines
        };
        prop_assert_eq!(engines(&at_once), engines(&in_parts));
        prop_assert_eq!(at_once.stored, in_parts.stored);
    }

    #[test]
    fn without_permission_nothing_new_comes((desired, mut world) in worlds()) {
        world.permission = Permission::Keep(WaitingOn::Console);
        let made = plan(&desired, &world);
        let fetches = made.steps.iter().any(|step| {
            matches!(step, Step::FetchFile { .. } | Step::VerifyModel { .. } | Step::AdmitModel { .. } | Step::StoreModel { .. })
        });
        prop_assert!(!fetches, "{}", made);
    }

    #[test]
    fn a_revoked_model_is_stopped_and_removed((desired, world) in worlds()) {
        let made = plan(&desired, &world);
        for root in world.revoked.keys() {
            let started = made.steps.iter().any(|step| matches!(step, Step::StartEngine { root: r, .. } if r == root));
            prop_assert!(!started, "{}", made);
            for engine in world.engines.iter().filter(|engine| engine.root == *root) {
                let stops = made.steps.iter().any(|step| matches!(
                    step,
                    Step::StopEngine { root: r, purpose, because } if r == root && *purpose == engine.purpose && because == "release.revoked"
                ));
                prop_assert!(stops, "{}", made);
            }
            let removed = made.steps.iter().any(|step| matches!(step, Step::RemoveModel { root: r, .. } if r == root));
            prop_assert_eq!(removed, world.stored.contains_key(root));
        }
    }

    #[test]
    fn a_plan_survives_its_json_and_keeps_its_digest((desired, world) in worlds()) {
        let made = plan(&desired, &world);
        let read: Plan = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
        prop_assert_eq!(read.digest(), made.digest());
        prop_assert_eq!(read, made.clone());
        prop_assert_eq!(plan(&desired, &world).digest(), made.digest());
    }
}

#[test]
fn a_transcript_of_a_change_of_versions() {
    let old = model("guide", 1, 1, false);
    let mut world = Observed::empty(1_000_000);
    world.stored.insert(
        old.root,
        StoredModel {
            release: old.release,
            name: old.name.clone(),
            version: "1".to_owned(),
        },
    );
    world.engines.push(RunningEngine {
        root: old.root,
        purpose: Purpose::Chat,
        state: EngineState::Running,
    });
    let mut wanted = desired(vec![model("guide", 2, 3, true)]);
    wanted.refused.insert(
        "models/coder/9/release.json".to_owned(),
        refusal("release.unknown_target"),
    );
    let text = plan(&wanted, &world).to_string();
    let lines: Vec<&str> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap_or(line))
        .collect();
    let verbs: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(
        verbs,
        [
            "refuse", "fetch", "fetch", "fetch", "verify", "admit", "store", "stop", "start", "start", "remove"
        ],
        "{text}"
    );
    assert!(
        text.contains("refuse    models/coder/9/release.json: release.unknown_target"),
        "{text}"
    );
    assert!(
        text.contains("fetch     models/guide/2/file-2.gguf, 2.0 kB, 3 of 3 chunks"),
        "{text}"
    );
}

#[test]
fn a_box_without_room_waits_and_says_how_much() {
    let made = plan(&desired(vec![model("guide", 1, 3, false)]), &Observed::empty(100));
    assert!(made.is_empty());
    assert_eq!(
        made.waiting[0].until,
        WaitingOn::DiskSpace {
            needed: 3000,
            free: 100
        }
    );
}

#[test]
fn other_hardware_is_refused_by_name() {
    let mut wanted = model("guide", 1, 1, false);
    wanted.hardware = vec![vec!["gpu-80g".to_owned()], vec![]];
    let made = plan(&desired(vec![wanted]), &Observed::empty(u64::MAX));
    assert!(
        matches!(&made.steps[..], [Step::RefuseTarget { refusal, .. }] if refusal.code == "plan.hardware"),
        "{made}"
    );
}

#[test]
fn two_releases_of_one_model_are_both_refused_and_nothing_is_taken_away() {
    let old = model("guide", 1, 1, false);
    let mut world = Observed::empty(u64::MAX);
    let stored = StoredModel {
        release: old.release,
        name: old.name.clone(),
        version: "1".to_owned(),
    };
    world.stored.insert(old.root, stored);
    let made = plan(
        &desired(vec![model("guide", 2, 1, false), model("guide", 3, 1, false)]),
        &world,
    );
    assert_eq!(made.steps.len(), 2, "{made}");
    for step in &made.steps {
        assert!(
            matches!(step, Step::RefuseTarget { refusal, .. } if refusal.code == "plan.twice"),
            "{made}"
        );
    }
}

#[test]
fn what_is_no_longer_assigned_is_stopped_and_then_removed() {
    let old = model("guide", 1, 1, false);
    let mut world = Observed::empty(u64::MAX);
    let stored = StoredModel {
        release: old.release,
        name: old.name.clone(),
        version: "1".to_owned(),
    };
    world.stored.insert(old.root, stored);
    world.engines.push(RunningEngine {
        root: old.root,
        purpose: Purpose::Chat,
        state: EngineState::Running,
    });
    let made = plan(&desired(vec![model("coder", 1, 1, false)]), &world);
    let why: Vec<&str> = made
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::StopEngine { because, .. } | Step::RemoveModel { because, .. } => Some(because.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(why, ["plan.not_assigned", "plan.not_assigned"], "{made}");
    // Without any assignment a box keeps what it has.
    assert!(plan(&Desired::default(), &world).is_empty());
}

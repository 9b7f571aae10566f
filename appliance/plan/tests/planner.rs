//! The planner's promises, over made-up worlds: it converges, from wherever it was cut off, and never starts what is revoked.

#[path = "support/world.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use freehold_plan::{
    Desired, EngineState, Observed, Permission, Place, Plan, Purpose, RunPermission, RunningEngine, Step, StoredFile,
    WaitingOn, WantedFile, WantedModel, plan,
};
use proptest::prelude::*;
use support::{NAMES, carry_out, desired, digest, kept, model, refusal, world_with};

fn worlds() -> impl Strategy<Value = (Desired, Observed)> {
    let names = NAMES;
    let wanted = prop::collection::vec((0..3_usize, 1..4_u8, 0..4_u8, any::<bool>()), 0..4);
    let stored = prop::collection::vec((0..3_usize, 1..4_u8, any::<bool>(), any::<bool>()), 0..4);
    (
        wanted,
        stored,
        prop::option::of(0..3_usize),
        any::<[bool; 2]>(),
        0..3000_u64,
    )
        .prop_map(move |(wanted, stored, staged, [keep, spare], free)| {
            let desired = desired(
                wanted
                    .into_iter()
                    .map(|(n, v, f, e)| model(names[n], v, f, e))
                    .collect(),
            );
            let mut world = world_with(if free > 2000 { u64::MAX } else { 0 });
            world.spare_engine = spare;
            if keep {
                world.permission = Permission::Keep(WaitingOn::Verdict);
            }
            for (n, v, runs, revoked) in stored {
                let model = model(names[n], v, 1, true);
                let release = model.release;
                world.stored.insert(release, kept(&model));
                if runs && !world.engines.iter().any(|engine| engine.root == model.root) {
                    world.engines.push(RunningEngine {
                        root: model.root,
                        purpose: Purpose::Chat,
                        state: EngineState::Running,
                    });
                }
                if revoked {
                    world.revoked.insert(release, refusal("release.revoked"));
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
        })
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
            matches!(step, Step::FetchFile { .. } | Step::ReuseFile { .. } | Step::VerifyModel { .. } | Step::AdmitModel { .. } | Step::StoreModel { .. })
        });
        prop_assert!(!fetches, "{}", made);
    }

    #[test]
    fn a_revoked_release_is_removed_and_its_engine_stops_before_anything_is_fetched((desired, world) in worlds()) {
        let made = plan(&desired, &world);
        let first = made.steps.iter().position(|step| !matches!(step, Step::RefuseTarget { .. } | Step::StopEngine { .. }));
        for release in world.revoked.keys() {
            let started = made.steps.iter().any(|step| matches!(step, Step::StartEngine { release: r, .. } if r == release));
            prop_assert!(!started, "{}", made);
            let root = world.stored[release].root;
            let others = world.stored.iter().any(|(other, stored)| stored.root == root && !world.revoked.contains_key(other));
            for engine in world.engines.iter().filter(|engine| engine.root == root && !others) {
                let stops = made.steps.iter().position(|step| matches!(
                    step,
                    Step::StopEngine { root: r, purpose, because } if *r == root && *purpose == engine.purpose && because == "release.revoked"
                ));
                prop_assert!(stops.is_some_and(|stops| first.is_none_or(|first| stops < first)), "{}", made);
            }
            let removed = made.steps.iter().any(|step| matches!(step, Step::RemoveModel { release: r, .. } if r == release));
            prop_assert!(removed, "{}", made);
        }
    }

    // promise S-162
    #[test]
    fn without_a_lease_a_model_that_needs_one_never_starts_and_one_that_runs_stops_first(
        (desired, mut world) in worlds(), looked in prop::collection::vec(prop::option::of(any::<bool>()), 3)
    ) {
        world.runs = NAMES.iter().zip(&looked).filter_map(|(name, may)| {
            let may = if (*may)? { RunPermission::Run } else { RunPermission::Stop(refusal("lease.expired")) };
            Some(((*name).to_owned(), may))
        }).collect();
        let may = |name: &str| world.runs.get(name) == Some(&RunPermission::Run);
        let made = plan(&desired, &world);
        for step in &made.steps {
            if let Step::StartEngine { name, .. } = step {
                prop_assert!(may(name), "{}", made);
            }
        }
        let first = made.steps.iter().position(|step| !matches!(step, Step::RefuseTarget { .. } | Step::StopEngine { .. }));
        for engine in &world.engines {
            let of = world.stored.values().find(|stored| stored.root == engine.root);
            let Some(stored) = of.filter(|stored| !may(&stored.name)) else { continue };
            let stops = made.steps.iter().position(|step| matches!(
                step, Step::StopEngine { root, purpose, .. } if *root == engine.root && *purpose == engine.purpose
            ));
            prop_assert!(stops.is_some_and(|stops| first.is_none_or(|first| stops < first)), "{} {}", stored.name, made);
        }
        let mut after = world.clone();
        carry_out(&mut after, &desired, &made, usize::MAX);
        prop_assert!(plan(&desired, &after).is_empty());
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
    let mut world = world_with(1_000_000);
    world.stored.insert(old.release, kept(&old));
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
            "refuse", "fetch", "fetch", "fetch", "verify", "admit", "store", "stop", "start", "start", "check",
            "remove"
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
    let made = plan(&desired(vec![model("guide", 1, 3, false)]), &world_with(100));
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
    let made = plan(&desired(vec![wanted]), &world_with(u64::MAX));
    assert!(
        matches!(&made.steps[..], [Step::RefuseTarget { refusal, .. }] if refusal.code == "plan.hardware"),
        "{made}"
    );
}

#[test]
fn two_releases_of_one_model_are_both_refused_and_nothing_is_taken_away() {
    let old = model("guide", 1, 1, false);
    let mut world = world_with(u64::MAX);
    world.stored.insert(old.release, kept(&old));
    let made = plan(
        &desired(vec![model("guide", 2, 1, false), model("guide", 3, 1, false)]),
        &world,
    );
    // What is there keeps its place, and is started if it does not run.
    let (start, refusals) = made.steps.split_last().unwrap();
    assert!(
        matches!(start, Step::StartEngine { release, .. } if *release == old.release),
        "{made}"
    );
    assert_eq!(refusals.len(), 2, "{made}");
    for step in refusals {
        assert!(
            matches!(step, Step::RefuseTarget { refusal, .. } if refusal.code == "plan.twice"),
            "{made}"
        );
    }
}

#[test]
fn what_is_no_longer_assigned_is_stopped_and_then_removed() {
    let old = model("guide", 1, 1, false);
    let mut world = world_with(u64::MAX);
    world.stored.insert(old.release, kept(&old));
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

// promise S-146
#[test]
fn what_a_newer_version_replaces_serves_until_the_newer_one_answers() {
    let (old, new) = (model("guide", 1, 1, false), model("guide", 2, 1, false));
    let mut world = world_with(u64::MAX);
    for one in [&old, &new] {
        world.stored.insert(one.release, kept(one));
    }
    let engine = |model: &WantedModel, state| RunningEngine {
        root: model.root,
        purpose: Purpose::Chat,
        state,
    };
    world.engines = vec![engine(&old, EngineState::Running), engine(&new, EngineState::Starting)];
    let wanted = desired(vec![new.clone()]);
    let made = plan(&wanted, &world);
    assert!(made.is_empty(), "{made}");
    assert_eq!(made.waiting.len(), 1, "{made}");
    assert_eq!(made.waiting[0].until, WaitingOn::EngineStart);
    // It answers: its own questions first, and while it answers those nothing changes.
    world.engines[1].state = EngineState::Running;
    let check = plan(&wanted, &world);
    assert!(
        matches!(&check.steps[..], [Step::CheckHealth { .. }, Step::StopEngine { root, .. }, Step::RemoveModel { release, .. }]
            if *root == old.root && *release == old.release),
        "{check}"
    );
    world.engines[1].state = EngineState::Checking;
    let made = plan(&wanted, &world);
    assert!(made.is_empty(), "{made}");
    assert_eq!(made.waiting[0].until, WaitingOn::Check);
    world.engines[1].state = EngineState::Running;
    carry_out(&mut world, &wanted, &check, 1);
    let made = plan(&wanted, &world);
    assert!(
        matches!(&made.steps[..], [Step::StopEngine { root, .. }, Step::RemoveModel { release, .. }]
            if *root == old.root && *release == old.release),
        "{made}"
    );
    // With memory for both the newer one starts beside it; without, the older one makes room, and is not started meanwhile.
    for (spare, first) in [(true, "start"), (false, "stop")] {
        world = world_with(u64::MAX);
        world.spare_engine = spare;
        for one in [&old, &new] {
            world.stored.insert(one.release, kept(one));
        }
        world.engines = vec![engine(&old, EngineState::Running)];
        let made = plan(&wanted, &world);
        assert!(made.to_string().lines().nth(1).unwrap().contains(first), "{made}");
        if !spare {
            world.engines = vec![engine(&new, EngineState::Starting)];
            let made = plan(&wanted, &world);
            assert!(made.is_empty(), "{made}");
        }
    }
}

/// A release of `like`'s content under another descriptor.
fn sibling(like: &WantedModel, version: &str) -> WantedModel {
    WantedModel {
        target: format!("models/{}/{version}/release.json", like.name),
        release: digest(&format!("release {}/{version}", like.name)),
        version: version.to_owned(),
        ..like.clone()
    }
}

// promise S-28
#[test]
fn d17_a_release_with_stored_content_is_verified_and_admitted_for_itself() {
    let old = model("guide", 1, 3, false);
    let mut new = sibling(&old, "1.0.1");
    new.files.push(WantedFile {
        place: Place::About,
        path: "model.cdx.json".to_owned(),
        length: 10,
        chunk_size: 700,
        chunks: 1,
    });
    let mut world = world_with(u64::MAX);
    world.stored.insert(old.release, kept(&old));
    world.engines.push(RunningEngine {
        root: old.root,
        purpose: Purpose::Chat,
        state: EngineState::Running,
    });
    let from = |path: &str| StoredFile {
        root: old.root,
        release: old.release,
        path: path.to_owned(),
        sha256: digest(path),
    };
    world.at_hand.insert(
        new.release,
        ["file-1.gguf", "file-2.gguf"]
            .iter()
            .map(|path| ((*path).to_owned(), from(path)))
            .collect(),
    );
    let wanted = desired(vec![new.clone()]);
    let made = plan(&wanted, &world);
    let text = made.to_string();
    let verbs: Vec<&str> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    // The weights are there and not fetched twice; the bill of materials and the empty file are; the engine runs on.
    assert_eq!(
        verbs,
        [
            "fetch", "reuse", "reuse", "fetch", "verify", "admit", "store", "check", "remove"
        ],
        "{text}"
    );
    carry_out(&mut world, &wanted, &made, usize::MAX);
    assert!(plan(&wanted, &world).is_empty());
    assert_eq!(world.stored.keys().collect::<Vec<_>>(), [&new.release]);
    assert_eq!(world.engines.len(), 1);
}

#[test]
fn d17_content_stays_while_one_of_its_releases_does() {
    let (first, other) = (model("guide", 1, 1, false), model("helper", 1, 1, true));
    let other = WantedModel {
        root: first.root,
        ..other
    };
    let mut world = world_with(u64::MAX);
    for one in [&first, &other] {
        world.stored.insert(one.release, kept(one));
    }
    for purpose in [Purpose::Chat, Purpose::Embeddings] {
        world.engines.push(RunningEngine {
            root: first.root,
            purpose,
            state: EngineState::Running,
        });
    }
    world.confirmed.insert(first.release);
    world.revoked.insert(other.release, refusal("release.revoked"));
    let made = plan(&desired(vec![first.clone()]), &world);
    assert!(
        matches!(
            &made.steps[..],
            [
                Step::StopEngine { purpose: Purpose::Embeddings, .. },
                Step::RemoveModel { release, .. }
            ] if *release == other.release
        ),
        "{made}"
    );
}

// promise S-47
#[test]
fn a_download_under_way_is_waited_for_and_ends_when_nobody_wants_it() {
    let (old, new) = (model("guide", 1, 1, false), model("guide", 2, 3, false));
    let mut world = world_with(3500);
    world.stored.insert(old.release, kept(&old));
    world.fetching.insert(new.release, 3000);
    world.staged.insert(
        new.release,
        BTreeMap::from([("file-2.gguf".to_owned(), BTreeSet::new())]),
    );
    let wanted = desired(vec![new.clone()]);
    let made = plan(&wanted, &world);
    // Meanwhile the old version serves, also after a restart.
    assert!(
        matches!(&made.steps[..], [Step::StartEngine { release, .. }] if *release == old.release),
        "{made}"
    );
    assert_eq!(made.waiting[0].until, WaitingOn::Download);
    // What it still needs is no room for another one.
    let both = desired(vec![new.clone(), model("coder", 1, 2, false)]);
    let made = plan(&both, &world);
    assert!(
        made.waiting.iter().any(|waiting| matches!(
            waiting.until,
            WaitingOn::DiskSpace {
                needed: 1000,
                free: 500
            }
        )),
        "{made}"
    );
    let cancelled = |desired: &Desired, world: &Observed| {
        plan(desired, world).steps.iter().find_map(|step| match step {
            Step::CancelFetch { because, .. } => Some(because.clone()),
            _ => None,
        })
    };
    // A console that is away ends nothing; a newer assignment, a refusal and a lost verdict do.
    world.permission = Permission::Keep(WaitingOn::Console);
    assert_eq!(cancelled(&wanted, &world), None);
    world.permission = Permission::Keep(WaitingOn::Verdict);
    assert_eq!(cancelled(&wanted, &world).as_deref(), Some("plan.not_permitted"));
    world.permission = Permission::Change;
    let newer = desired(vec![old]);
    assert_eq!(cancelled(&newer, &world).as_deref(), Some("plan.not_assigned"));
    assert!(
        plan(&newer, &world)
            .steps
            .contains(&Step::DiscardStaged { release: new.release })
    );
    world.failed.insert(new.release, refusal("release.hash"));
    assert_eq!(cancelled(&wanted, &world).as_deref(), Some("release.hash"));
}

#[test]
fn j05_a_model_whose_accelerator_vanished_is_refused_until_it_is_back() {
    let mut wanted = model("guide", 1, 1, false);
    wanted.hardware = vec![vec!["gpu-80g".to_owned()]];
    let with = |hardware: &[&str]| {
        let mut world = world_with(u64::MAX);
        world.hardware = hardware.iter().map(|word| (*word).to_owned()).collect();
        plan(&desired(vec![wanted.clone()]), &world)
    };
    let refused = |made: &freehold_plan::Plan| matches!(&made.steps[..], [Step::RefuseTarget { refusal, .. }] if refusal.code == "plan.hardware");
    assert!(!refused(&with(&["cpu", "gpu-80g"])));
    // Gone, or another card in its place.
    assert!(refused(&with(&["cpu"])) && refused(&with(&["cpu", "gpu-8g"])));
    assert!(!refused(&with(&["gpu-80g"])));
}

#[test]
fn a_model_whose_lease_ends_stops_with_the_code_and_starts_again_with_a_new_one() {
    let guide = model("guide", 1, 1, true);
    let wanted = desired(vec![guide.clone()]);
    let mut world = world_with(u64::MAX);
    let first = plan(&wanted, &world);
    carry_out(&mut world, &wanted, &first, usize::MAX);
    assert_eq!(world.engines.len(), 2, "chat and embeddings");
    world
        .runs
        .insert("guide".to_owned(), RunPermission::Stop(refusal("lease.withdrawn")));
    let made = plan(&wanted, &world);
    let stop = |purpose| Step::StopEngine {
        root: guide.root,
        purpose,
        because: "lease.withdrawn".to_owned(),
    };
    assert_eq!(made.steps, [stop(Purpose::Chat), stop(Purpose::Embeddings)], "{made}");
    assert_eq!(made.waiting.len(), 1, "{made}");
    assert_eq!(
        made.waiting[0].to_string(),
        "guide waits for a fresh verdict of the console, which policy demands for it"
    );
    carry_out(&mut world, &wanted, &made, usize::MAX);
    // Nobody looked: that is no yes.
    world.runs.clear();
    assert!(plan(&wanted, &world).is_empty());
    world.runs.insert("guide".to_owned(), RunPermission::Run);
    let again = plan(&wanted, &world);
    carry_out(&mut world, &wanted, &again, usize::MAX);
    assert_eq!(world.engines.len(), 2, "{again}");
    assert!(again.waiting.is_empty());
}

//! What a box goes back to: a release that fails its check, the way back an assignment names, and a disk without room for both.

#[path = "support/world.rs"]
mod support;

use freehold_plan::{
    EngineState, Observed, Permission, Plan, Purpose, RunningEngine, Step, WaitingOn, WantedModel, plan,
};
use support::{carry_out, desired, kept, model, refusal, world_with};

/// A box that serves `old`, confirmed.
fn standing(old: &WantedModel, free: u64) -> Observed {
    let mut world = world_with(free);
    world.stored.insert(old.release, kept(old));
    world.confirmed.insert(old.release);
    world.standing.insert(old.name.clone(), old.release);
    world.engines.push(RunningEngine {
        root: old.root,
        purpose: Purpose::Chat,
        state: EngineState::Running,
    });
    world
}

fn verbs(made: &Plan) -> Vec<String> {
    let text = made.to_string();
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .collect()
}

// promise S-180
#[test]
fn a_box_whose_health_check_fails_goes_back_to_what_it_ran() {
    let (old, new) = (model("guide", 1, 1, false), model("guide", 2, 1, false));
    let mut world = standing(&old, u64::MAX);
    let wanted = desired(vec![new.clone()]);
    let made = plan(&wanted, &world);
    assert_eq!(
        verbs(&made),
        ["fetch", "verify", "admit", "store", "stop", "start", "check", "remove"],
        "{made}"
    );
    // The check is the step that fails: the plan ends there, and the old release is still in the store.
    carry_out(&mut world, &wanted, &made, 6);
    // Cut off between the two, it is checked before anything is removed; while its engine rests, nothing is.
    assert_eq!(verbs(&plan(&wanted, &world)), ["check", "remove"]);
    world.engines[0].state = EngineState::Resting;
    assert!(plan(&wanted, &world).is_empty());
    world.engines[0].state = EngineState::Running;
    world.failed.insert(new.release, refusal("health.answers"));
    let back = plan(&wanted, &world);
    assert_eq!(verbs(&back), ["refuse", "stop", "start", "remove"], "{back}");
    assert!(back.to_string().contains("health.answers"), "{back}");
    carry_out(&mut world, &wanted, &back, usize::MAX);
    assert_eq!(world.stored.keys().collect::<Vec<_>>(), [&old.release]);
    assert_eq!(world.engines[0].root, old.root);
    assert!(plan(&wanted, &world).is_empty());
    // Without its console it does the same.
    world.permission = Permission::Keep(WaitingOn::Console);
    assert!(plan(&wanted, &world).is_empty());
}

// promise S-181
#[test]
fn the_way_back_stays_in_the_store_while_the_assignment_names_it() {
    let (old, new) = (model("guide", 1, 1, false), model("guide", 2, 1, false));
    let mut world = standing(&old, u64::MAX);
    let mut wanted = desired(vec![new.clone()]);
    wanted.ways_back.insert(old.release);
    let made = plan(&wanted, &world);
    assert_eq!(
        verbs(&made),
        ["fetch", "verify", "admit", "store", "stop", "start", "check"],
        "{made}"
    );
    carry_out(&mut world, &wanted, &made, usize::MAX);
    assert!(plan(&wanted, &world).is_empty());
    // After a restart the new one alone is started.
    world.engines.clear();
    assert_eq!(verbs(&plan(&wanted, &world)), ["start"]);
    // Sent back: nothing is fetched, and the newer one goes.
    let mut back = desired(vec![old.clone()]);
    let made = plan(&back, &world);
    assert_eq!(verbs(&made), ["start", "remove"], "{made}");
    carry_out(&mut world, &back, &made, usize::MAX);
    assert!(plan(&back, &world).is_empty());
    back.ways_back.insert(new.release);
    assert!(plan(&back, &world).is_empty());
}

// promise S-182
#[test]
fn a_full_disk_frees_what_no_assignment_needs_and_says_so_first() {
    let (first, second, third) = (
        model("guide", 1, 2, false),
        model("guide", 2, 1, false),
        model("guide", 3, 2, false),
    );
    let mut world = standing(&second, 100);
    world.stored.insert(first.release, kept(&first));
    let mut wanted = desired(vec![third.clone()]);
    wanted.ways_back.insert(second.release);
    let made = plan(&wanted, &world);
    assert!(
        matches!(&made.steps[0], Step::RemoveModel { release, because, .. } if *release == first.release && because == "plan.room"),
        "{made}"
    );
    assert_eq!(
        verbs(&made).iter().filter(|verb| *verb == "remove").count(),
        1,
        "{made}"
    );
    // What would not be enough stays for now, and the box says what it waits for.
    let larger = desired(vec![model("guide", 3, 3, false)]);
    let made = plan(&larger, &world);
    assert!(
        matches!(
            made.waiting[0].until,
            WaitingOn::DiskSpace {
                needed: 3000,
                free: 100
            }
        ),
        "{made}"
    );
    assert!(
        made.steps
            .iter()
            .all(|step| !matches!(step, Step::RemoveModel { because, .. } if because == "plan.room"))
    );
}

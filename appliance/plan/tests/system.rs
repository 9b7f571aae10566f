//! The operating system in plans: each thing once and in order, nothing without permission, nothing while on trial.

use std::collections::BTreeMap;

use freehold_plan::{
    Desired, Observed, ObservedSystem, Permission, Place, Step, SystemStanding, WaitingOn, WantedFile, WantedSystem,
    plan,
};
use freehold_trust::sha256;
use freehold_verify::RefusalReport;

fn wanted(version: &str) -> WantedSystem {
    WantedSystem {
        target: format!("systems/freehold/{version}/release.json"),
        release: sha256(version.as_bytes()),
        name: "freehold".to_owned(),
        version: version.to_owned(),
        files: vec![WantedFile {
            place: Place::Files,
            path: "kernel.efi".to_owned(),
            length: 1000,
            chunk_size: 700,
            chunks: 2,
        }],
        hardware: vec![],
    }
}

fn desired(version: &str) -> Desired {
    Desired {
        assignment: Some(1),
        system: Some(wanted(version)),
        ..Desired::default()
    }
}

fn world() -> Observed {
    let mut world = Observed::empty(u64::MAX);
    world.system = Some(ObservedSystem {
        name: "freehold".to_owned(),
        version: "1.0.0".to_owned(),
        standing: SystemStanding::Confirmed,
        staged: None,
        written: None,
        floor_due: None,
    });
    world
}

fn words(made: &freehold_plan::Plan) -> Vec<String> {
    let word = |step: &Step| step.to_string().split_whitespace().next().unwrap().to_owned();
    made.steps.iter().map(word).collect()
}

#[test]
fn an_update_goes_on_from_wherever_it_was_cut_off() {
    let desired = desired("1.1.0");
    let mut world = world();
    assert_eq!(words(&plan(&desired, &world)), ["fetch", "stage", "write", "restart"]);
    world.staged.insert(
        sha256(b"1.1.0"),
        BTreeMap::from([("kernel.efi".to_owned(), [0].into())]),
    );
    assert_eq!(words(&plan(&desired, &world)), ["fetch", "stage", "write", "restart"]);
    world.staged.clear();
    world.system.as_mut().unwrap().staged = Some(sha256(b"1.1.0"));
    assert_eq!(words(&plan(&desired, &world)), ["write", "restart"]);
    world.system.as_mut().unwrap().written = Some(sha256(b"1.1.0"));
    assert_eq!(words(&plan(&desired, &world)), ["restart"]);
    world.system.as_mut().unwrap().version = "1.1.0".to_owned();
    let achieved = plan(&desired, &world);
    assert!(achieved.is_empty() && achieved.waiting.is_empty(), "{achieved}");
}

#[test]
fn nothing_is_written_without_permission_on_trial_or_beside_other_work() {
    let desired = desired("1.1.0");
    let mut world = world();
    for on in [WaitingOn::Verdict, WaitingOn::Metadata, WaitingOn::Console] {
        world.permission = Permission::Keep(on);
        assert!(plan(&desired, &world).is_empty());
    }
    world.permission = Permission::Change;
    world.system.as_mut().unwrap().standing = SystemStanding::Trying;
    let made = plan(&desired, &world);
    assert!(made.is_empty());
    assert_eq!(made.waiting[0].until, WaitingOn::Confirmation);
    world.system.as_mut().unwrap().standing = SystemStanding::Confirmed;
    // A download of something else is under way: written, and the restart waits.
    world.system.as_mut().unwrap().written = Some(sha256(b"1.1.0"));
    world.fetching.insert(sha256(b"another"), 5);
    let made = plan(&desired, &world);
    assert!(!words(&made).contains(&"restart".to_owned()), "{made}");
    // Its own download is waited for.
    world.fetching = [(sha256(b"1.1.0"), 5)].into();
    world.system.as_mut().unwrap().written = None;
    let made = plan(&desired, &world);
    assert!(made.is_empty(), "{made}");
    assert_eq!(made.waiting[0].until, WaitingOn::Download);
}

#[test]
fn what_went_back_what_is_foreign_and_what_is_no_system_are_refused_by_code() {
    let desired = desired("1.1.0");
    let code = |world: &Observed| match plan(&desired, world).steps.as_slice() {
        [Step::RefuseTarget { refusal, .. }] => refusal.code.clone(),
        other => panic!("{other:?}"),
    };
    let mut failed = world();
    let report = RefusalReport {
        code: "update.went_back".to_owned(),
        message: String::new(),
        expected: None,
        found: None,
    };
    failed.failed.insert(sha256(b"1.1.0"), report);
    assert_eq!(code(&failed), "update.went_back");
    let mut foreign = world();
    foreign.system.as_mut().unwrap().name = "another".to_owned();
    assert_eq!(code(&foreign), "plan.system");
    let mut none = world();
    none.system = None;
    assert_eq!(code(&none), "plan.system");
}

#[test]
fn a_floor_that_is_due_rises_without_permission_and_before_anything_else() {
    let mut world = world();
    world.permission = Permission::Keep(WaitingOn::Console);
    world.system.as_mut().unwrap().floor_due = Some(4);
    let made = plan(&Desired::default(), &world);
    assert_eq!(made.steps, [Step::RaiseFloor { level: 4 }]);
    world.permission = Permission::Change;
    let made = plan(&desired("1.1.0"), &world);
    assert_eq!(words(&made)[0], "raise", "{made}");
}

#[test]
fn a_system_without_room_waits_and_says_how_much() {
    let mut world = world();
    world.free_bytes = 10;
    let made = plan(&desired("1.1.0"), &world);
    assert!(made.is_empty(), "{made}");
    assert_eq!(made.waiting[0].until, WaitingOn::DiskSpace { needed: 1000, free: 10 });
}

//! F02–F08, F11, F17: the metadata that a box trusts, across restarts and changes of keys.

use std::collections::BTreeMap;

use freehold_sign::repository::{Expiry, rotate_timestamp};
use freehold_trust::digest::sha256;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::release::{
    InstalledReleases, ReleaseRejection, RepositoryState, RoleSigners, RootDescription, StoredMetadata, TargetInfo,
    Targets, TrustedRepository, check_target_name, root_metadata, select_release, sign_timestamp, snapshot_metadata,
    targets_metadata,
};
use freehold_verify::{Refusal, Verified};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::publisher::{DAY, World};
use crate::world::NOW;

pub fn code<T>(result: Result<T, ReleaseRejection>) -> &'static str {
    result.err().map_or("accepted", |rejection| rejection.code())
}
#[test]
fn f02_rollback_is_refused_across_restarts() {
    let mut world = World::new();
    let old = (
        world.metadata("timestamp.json"),
        world.metadata("1.snapshot.json"),
        world.metadata("1.targets.json"),
    );
    world.publish("1.0.0", None);
    let mut repository = world.box_with(None);
    world.update(&mut repository, NOW).unwrap();
    let stored = serde_json::to_string(repository.state()).unwrap();
    // In the same run, and after a restart from what was kept.
    assert_eq!(code(repository.update_timestamp(&old.0, NOW)), "release.rollback");
    let mut restarted = world.box_with(Some(serde_json::from_str(&stored).unwrap()));
    assert_eq!(code(restarted.update_timestamp(&old.0, NOW)), "release.rollback");
    // A stolen timestamp key pins the old snapshot with a newer timestamp.
    let stolen = sign_timestamp(&old.1, 99, NOW + DAY, &world.timestamp).unwrap();
    assert_eq!(code(restarted.update_timestamp(&stolen, NOW)), "release.rollback");
    assert_eq!(restarted.state().timestamp, 2, "a refused step changes nothing");
    assert!(world.update(&mut restarted, NOW).is_ok());
}

#[test]
fn f02_a_new_snapshot_of_older_targets_is_refused() {
    let mut world = World::new();
    let old_targets = world.metadata("1.targets.json");
    world.publish("1.0.0", None);
    let mut repository = world.box_with(None);
    world.update(&mut repository, NOW).unwrap();
    let key = freehold_sign::files::read_signing_key(&world.publisher.folder().join("keys/snapshot-1.pem")).unwrap();
    let snapshot = snapshot_metadata(9, NOW + DAY, &old_targets)
        .unwrap()
        .sign(&[&key])
        .unwrap();
    let timestamp = sign_timestamp(&snapshot, 9, NOW + DAY, &world.timestamp).unwrap();
    let mut restarted = world.box_with(Some(repository.state().clone()));
    restarted.update_timestamp(&timestamp, NOW).unwrap();
    assert_eq!(code(restarted.update_snapshot(&snapshot, NOW)), "release.rollback");
}

#[test]
fn f02_an_older_root_in_the_kept_state_is_refused() {
    let world = World::new();
    let next = rotate_timestamp(&world.publisher, world.timestamp.public(), &Expiry::default(), NOW).unwrap();
    let root = crate::publisher::read(&world.publisher.folder().join(format!("metadata/{next}.root.json")));
    let old = world.box_with(None).state().clone();
    assert_eq!(code(TrustedRepository::new(&root, Some(old.clone()))), "release.state");
    let foreign = World::new();
    assert_eq!(
        code(TrustedRepository::new(&foreign.root(), Some(old.clone()))),
        "release.state"
    );
    let future = RepositoryState { v: 2, ..old };
    assert_eq!(
        code(TrustedRepository::new(&world.root(), Some(future))),
        "release.state"
    );
}

#[test]
fn f03_expired_metadata_installs_nothing_new_and_is_still_readable() {
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let mut repository = world.box_with(None);
    let targets = world.update(&mut repository, NOW).unwrap();
    assert_eq!(targets.valid_until, NOW + 7 * DAY);
    let late = NOW + 8 * DAY;
    assert_eq!(code(world.update(&mut world.box_with(None), late)), "release.expired");
    assert_eq!(
        code(world.update(&mut world.box_with(None), NOW + 400 * DAY)),
        "release.expired"
    );
    // A freshly signed timestamp does not help against an expired snapshot.
    world.export(NOW + 31 * DAY);
    assert_eq!(
        code(world.update(&mut world.box_with(None), NOW + 31 * DAY)),
        "release.expired"
    );
    // What was accepted can be taken up again, and still selects nothing new.
    let stored = StoredMetadata {
        timestamp: world.metadata("timestamp.json"),
        snapshot: world.metadata("2.snapshot.json"),
        targets: world.metadata("2.targets.json"),
    };
    let again = world
        .box_with(Some(repository.state().clone()))
        .reload(&stored)
        .unwrap();
    let descriptor = world.target(&again, &published.target);
    let revocations = world.revocations(&again);
    let installed = InstalledReleases::default();
    let found = select_release(
        &again,
        &published.target,
        &descriptor,
        &revocations,
        &installed,
        again.valid_until + 1,
    );
    assert_eq!(code(found), "release.expired");
}

#[test]
fn f04_a_refused_snapshot_does_not_poison_the_timestamp() {
    let mut world = World::new();
    world.publish("1.0.0", None);
    let mut repository = world.box_with(None);
    repository
        .update_timestamp(&world.metadata("timestamp.json"), NOW)
        .unwrap();
    assert_eq!(
        code(repository.update_snapshot(&world.earlier("1.snapshot.json"), NOW)),
        "release.hash"
    );
    assert!(
        repository
            .update_snapshot(&world.metadata("2.snapshot.json"), NOW)
            .is_ok()
    );
}

fn signers<'a>(keys: &[&'a SigningKey], threshold: usize) -> RoleSigners<'a> {
    RoleSigners {
        keys: keys.iter().map(|key| key.public()).collect(),
        threshold,
    }
}

fn root(version: u64, keys: &[&SigningKey], threshold: usize) -> freehold_verify::release::UnsignedMetadata {
    let one = signers(&keys[..1], 1);
    let description = RootDescription {
        version,
        expires: NOW + DAY,
        root: signers(keys, threshold),
        targets: one.clone(),
        snapshot: one.clone(),
        timestamp: one,
    };
    root_metadata(&description).unwrap()
}

fn fresh() -> SigningKey {
    SigningKey::generate(KeyKind::P256).unwrap()
}

#[test]
fn f05_one_key_counts_once() {
    let (a, b) = (fresh(), fresh());
    let good = root(1, &[&a, &b], 2);
    assert_eq!(
        code(TrustedRepository::new(&good.sign(&[&a, &b]).unwrap(), None)),
        "accepted"
    );
    assert_eq!(
        code(TrustedRepository::new(&good.sign(&[&a]).unwrap(), None)),
        "release.threshold"
    );
    assert_eq!(
        code(TrustedRepository::new(&good.sign(&[&a, &a]).unwrap(), None)),
        "release.duplicate_key"
    );
    assert_eq!(
        code(TrustedRepository::new(&good.sign(&[]).unwrap(), None)),
        "release.signature"
    );
    assert_eq!(
        code(TrustedRepository::new(&good.sign(&[&fresh(), &fresh()]).unwrap(), None)),
        "release.signature"
    );
}

#[test]
fn f05_one_key_under_two_names_is_refused() {
    let a = fresh();
    // The same key with another line end in its PEM text is another key id.
    let unsigned = root(1, &[&a], 1).sign(&[&a]).unwrap();
    let mut value: Value = serde_json::from_slice(&unsigned).unwrap();
    let (id, key) = value["signed"]["keys"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .map(|(id, key)| (id.clone(), key.clone()))
        .unwrap();
    let mut twin = key;
    twin["keyval"]["public"] = json!(format!("{}\n", twin["keyval"]["public"].as_str().unwrap()));
    value["signed"]["keys"]["0".repeat(64)] = twin;
    value["signed"]["roles"]["root"] = json!({ "keyids": [id, "0".repeat(64)], "threshold": 2 });
    let unsigned =
        freehold_verify::release::UnsignedMetadata::from_signed(&serde_json::to_vec(&value).unwrap()).unwrap();
    let mut signed: Value = serde_json::from_slice(&unsigned.sign(&[&a, &a]).unwrap()).unwrap();
    signed["signatures"][1]["keyid"] = json!("0".repeat(64));
    assert_eq!(
        code(TrustedRepository::new(&serde_json::to_vec(&signed).unwrap(), None)),
        "release.duplicate_key"
    );
}

#[test]
fn f06_roots_follow_one_another_signed_by_old_and_new_keys() {
    let (a, b, c, d) = (fresh(), fresh(), fresh(), fresh());
    let first = root(1, &[&a, &b], 2).sign(&[&a, &b]).unwrap();
    let start = || TrustedRepository::new(&first, None).unwrap();
    let next = root(2, &[&c, &d], 2);
    assert_eq!(
        code(start().update_root(&next.sign(&[&a, &b, &c, &d]).unwrap())),
        "accepted"
    );
    assert_eq!(
        code(start().update_root(&next.sign(&[&a, &b]).unwrap())),
        "release.signature"
    );
    assert_eq!(
        code(start().update_root(&next.sign(&[&c, &d]).unwrap())),
        "release.signature"
    );
    assert_eq!(
        code(start().update_root(&next.sign(&[&a, &c, &d]).unwrap())),
        "release.threshold"
    );
    for version in [1, 3, 0] {
        let skipped = root(version, &[&a, &b], 2).sign(&[&a, &b]).unwrap();
        assert_eq!(code(start().update_root(&skipped)), "release.root_version", "{version}");
    }
    let mut repository = start();
    assert!(repository.update_root(&first).is_err());
    assert_eq!(repository.root_version(), 1);
}

/// A box and a console over hand-made targets, all roles by one key.
pub fn over_targets(change: impl FnOnce(&mut Value)) -> Result<Verified<Targets>, ReleaseRejection> {
    let key = fresh();
    let root = root(1, &[&key], 1).sign(&[&key]).unwrap();
    let info = TargetInfo {
        length: 1,
        sha256: sha256(b"x"),
    };
    let unsigned = targets_metadata(1, NOW + DAY, &BTreeMap::from([("a/b.json".to_owned(), info)])).unwrap();
    let mut value: Value = serde_json::from_slice(&unsigned.sign(&[&key]).unwrap()).unwrap();
    change(&mut value["signed"]);
    let unsigned =
        freehold_verify::release::UnsignedMetadata::from_signed(&serde_json::to_vec(&value).unwrap()).unwrap();
    let targets = unsigned.sign(&[&key]).unwrap();
    let snapshot = snapshot_metadata(1, NOW + DAY, &targets)
        .unwrap()
        .sign(&[&key])
        .unwrap();
    let timestamp = sign_timestamp(&snapshot, 1, NOW + DAY, &key).unwrap();
    let mut repository = TrustedRepository::new(&root, None).unwrap();
    repository.update_timestamp(&timestamp, NOW)?;
    repository.update_snapshot(&snapshot, NOW)?;
    repository.update_targets(&targets, NOW)
}

#[test]
fn f07_delegations_are_refused_rather_than_ignored() {
    let delegations = json!({ "keys": {}, "roles": [{ "name": "other", "keyids": [], "threshold": 1, "terminating": false, "paths": ["*"] }] });
    assert_eq!(
        code(over_targets(|signed| signed["delegations"] = delegations)),
        "release.delegation"
    );
    assert_eq!(
        code(over_targets(
            |signed| signed["delegations"] = json!({ "keys": {}, "roles": [] })
        )),
        "accepted"
    );
}

#[test]
fn f07_expired_oversized_and_exchanged_targets_are_refused() {
    assert_eq!(
        code(over_targets(|signed| signed["expires"] = json!("2026-11-20T00:00:00Z"))),
        "release.expired"
    );
    let mut world = World::new();
    world.publish("1.0.0", None);
    let start = || {
        let mut repository = world.box_with(None);
        repository
            .update_timestamp(&world.metadata("timestamp.json"), NOW)
            .unwrap();
        repository
            .update_snapshot(&world.metadata("2.snapshot.json"), NOW)
            .unwrap();
        repository
    };
    assert_eq!(
        code(start().update_targets(&world.earlier("1.targets.json"), NOW)),
        "release.hash"
    );
    let mut longer = world.metadata("2.targets.json");
    longer.push(b'\n');
    assert_eq!(code(start().update_targets(&longer, NOW)), "release.hash");
    assert_eq!(
        code(start().update_targets(&vec![b' '; 25 << 20], NOW)),
        "release.too_large"
    );
    assert_eq!(code(world.box_with(None).update_targets(&longer, NOW)), "release.order");
    assert_eq!(
        code(world.box_with(None).update_snapshot(&longer, NOW)),
        "release.order"
    );
}

#[test]
fn f08_target_names_that_leave_their_folder_are_refused() {
    let long = format!("models/{}", "x".repeat(4096));
    let names = [
        "../x",
        "a/../x",
        "/etc/passwd",
        "a//b",
        "a/",
        "",
        ".",
        "a/.hidden",
        "CON",
        "models/nul.json",
        "com1",
        "lpt9.txt",
        "a\\b",
        "a b",
        "a\0",
        "caf\u{e9}",
        "a\u{202e}b",
        "trailing.",
        "models/x/COM1.gguf",
        &long,
    ];
    for name in names {
        assert_eq!(code(check_target_name(name)), "release.target_name", "{name:?}");
        let info = json!({ "length": 1, "hashes": { "sha256": "0".repeat(64) } });
        assert_eq!(
            code(over_targets(|signed| signed["targets"][name] = info)),
            "release.target_name",
            "{name:?}"
        );
    }
    for name in [
        "models/guide/1.0.0/release.json",
        "revocations.json",
        "models/a/1/sub/weights-00001.safetensors",
        "console",
    ] {
        assert_eq!(code(check_target_name(name)), "accepted", "{name}");
    }
}

#[test]
fn f11_a_console_cannot_make_targets() {
    let mut world = World::new();
    world.publish("1.0.0", None);
    // All that a console holds is the timestamp key.
    let stolen = &world.timestamp;
    let info = TargetInfo {
        length: 3,
        sha256: sha256(b"own"),
    };
    let targets = BTreeMap::from([("models/own/1.0.0/release.json".to_owned(), info)]);
    let targets = targets_metadata(50, NOW + DAY, &targets)
        .unwrap()
        .sign(&[stolen])
        .unwrap();
    let snapshot = snapshot_metadata(50, NOW + DAY, &targets)
        .unwrap()
        .sign(&[stolen])
        .unwrap();
    let timestamp = sign_timestamp(&snapshot, 50, NOW + DAY, stolen).unwrap();
    let mut repository = world.box_with(None);
    repository.update_timestamp(&timestamp, NOW).unwrap();
    assert_eq!(code(repository.update_snapshot(&snapshot, NOW)), "release.signature");
}

#[test]
fn f17_a_rotated_timestamp_key_recovers_from_one_that_ran_ahead() {
    let mut world = World::new();
    world.publish("1.0.0", None);
    let mut repository = world.box_with(None);
    world.update(&mut repository, NOW).unwrap();
    // The thief runs ahead as far as it goes.
    let snapshot = world.metadata("2.snapshot.json");
    let ahead = sign_timestamp(&snapshot, u64::from(u32::MAX), NOW + DAY, &world.timestamp).unwrap();
    repository.update_timestamp(&ahead, NOW).unwrap();
    assert_eq!(code(world.update(&mut repository, NOW)), "release.rollback");
    world.timestamp = fresh();
    rotate_timestamp(&world.publisher, world.timestamp.public(), &Expiry::default(), NOW).unwrap();
    world.export(NOW);
    let mut restarted = world.box_with(Some(repository.state().clone()));
    restarted.update_root(&world.metadata("2.root.json")).unwrap();
    assert!(world.update(&mut restarted, NOW).is_ok());
    // The old key counts no longer.
    assert_eq!(code(restarted.update_timestamp(&ahead, NOW)), "release.signature");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        static WORLD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let root = WORLD.get_or_init(|| { let key = fresh(); root(1, &[&key], 1).sign(&[&key]).unwrap() });
        let mut repository = TrustedRepository::new(root, None).unwrap();
        prop_assert!(TrustedRepository::new(&bytes, None).is_err());
        prop_assert!(repository.update_root(&bytes).is_err());
        prop_assert!(repository.update_timestamp(&bytes, NOW).is_err());
    }
}

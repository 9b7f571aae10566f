//! F10, F14, D17, G04: which release may be installed, and the descriptors and chunks that it is made of.

use freehold_sign::repository::RevocationChange;
use freehold_trust::digest::sha256;
use freehold_verify::Verified;
use freehold_verify::release::{
    ChunkCheck, InstalledReleases, Release, ReleaseRejection, Targets, select_release, verify_revocations,
};
use serde_json::{Value, json};

use crate::metadata::{code, over_targets};
use crate::publisher::World;
use crate::world::NOW;

fn select(
    world: &World,
    targets: &Verified<Targets>,
    name: &str,
    installed: &InstalledReleases,
) -> Result<Verified<Release>, ReleaseRejection> {
    select_release(
        targets,
        name,
        &world.target(targets, name),
        &world.revocations(targets),
        installed,
        NOW,
    )
}

fn names(targets: &Verified<Targets>) -> Vec<String> {
    targets.releases().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn a_published_model_is_selected_with_all_its_files() {
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let mut repository = world.box_with(None);
    let targets = world.update(&mut repository, NOW).unwrap();
    assert_eq!(names(&targets), [published.target.as_str()]);
    let release = select(&world, &targets, &published.target, &InstalledReleases::default()).unwrap();
    assert_eq!(release.digest, published.info.sha256);
    for file in release.descriptor.all_files() {
        let bytes = world.target(&targets, &release.descriptor.target_of(&file.path));
        let chunks = ChunkCheck::new(&release, &file.path).unwrap();
        for index in 0..chunks.count() {
            let range = chunks.range(index).unwrap();
            chunks
                .check(index, &bytes[range.start as usize..range.end as usize])
                .unwrap();
        }
    }
}

#[test]
fn a_release_of_another_kind_than_its_place_is_refused() {
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let descriptor = serde_json::to_vec(&published.descriptor).unwrap();
    // The targets keys themselves list a model's descriptor as an engine.
    let name = "engines/guide/1.0.0/release.json";
    let info = json!({ "length": descriptor.len(), "hashes": { "sha256": sha256(&descriptor).to_hex() } });
    let targets = over_targets(|signed| signed["targets"][name] = info).unwrap();
    let revocations = world.revocations(&world.update(&mut world.box_with(None), NOW).unwrap());
    let found = select_release(
        &targets,
        name,
        &descriptor,
        &revocations,
        &InstalledReleases::default(),
        NOW,
    );
    assert_eq!(code(found), "release.kind");
    let name = "models/other/1.0.0/release.json";
    let info = json!({ "length": descriptor.len(), "hashes": { "sha256": sha256(&descriptor).to_hex() } });
    let targets = over_targets(|signed| signed["targets"][name] = info).unwrap();
    let found = select_release(
        &targets,
        name,
        &descriptor,
        &revocations,
        &InstalledReleases::default(),
        NOW,
    );
    assert_eq!(code(found), "release.malformed");
}

#[test]
fn f10_releases_cannot_be_mixed() {
    let mut world = World::new();
    let first = world.publish("1.0.0", None);
    let second = world.publish("2.0.0", None);
    let mut repository = world.box_with(None);
    let targets = world.update(&mut repository, NOW).unwrap();
    let installed = InstalledReleases::default();
    let descriptor = world.target(&targets, &first.target);
    let revocations = world.revocations(&targets);
    // The descriptor of one under the name of the other.
    let found = select_release(&targets, &second.target, &descriptor, &revocations, &installed, NOW);
    assert_eq!(code(found), "release.hash");
    let unknown = select_release(
        &targets,
        "models/guide/3.0.0/release.json",
        &descriptor,
        &revocations,
        &installed,
        NOW,
    );
    assert_eq!(code(unknown), "release.unknown_target");
}

#[test]
fn f14_an_older_release_is_refused_though_its_metadata_is_new() {
    let mut world = World::new();
    let old = world.publish("1.0.0", None);
    let new = world.publish("2.0.0", None);
    assert_eq!((old.descriptor.counter, new.descriptor.counter), (1, 2));
    let targets = world.update(&mut world.box_with(None), NOW).unwrap();
    let mut installed = InstalledReleases::default();
    assert_eq!(code(select(&world, &targets, &old.target, &installed)), "accepted");
    let release = select(&world, &targets, &new.target, &installed).unwrap();
    installed.installed(&release);
    assert_eq!(
        code(select(&world, &targets, &old.target, &installed)),
        "release.rollback"
    );
    assert_eq!(code(select(&world, &targets, &new.target, &installed)), "accepted");
    let unknown = InstalledReleases {
        v: 2,
        ..InstalledReleases::default()
    };
    assert_eq!(code(select(&world, &targets, &new.target, &unknown)), "release.state");
    // It survives a restart.
    let kept = serde_json::to_string(&installed).unwrap();
    let installed: InstalledReleases = serde_json::from_str(&kept).unwrap();
    assert_eq!(
        code(select(&world, &targets, &old.target, &installed)),
        "release.rollback"
    );
}

#[test]
fn f14_a_floor_refuses_what_lies_below_it() {
    let mut world = World::new();
    let old = world.publish("1.0.0", None);
    let new = world.publish("2.0.0", None);
    world.revoke(RevocationChange {
        floors: vec![("models/guide".to_owned(), 2)],
        ..RevocationChange::default()
    });
    let targets = world.update(&mut world.box_with(None), NOW).unwrap();
    let installed = InstalledReleases::default();
    assert_eq!(
        code(select(&world, &targets, &old.target, &installed)),
        "release.rollback"
    );
    assert_eq!(code(select(&world, &targets, &new.target, &installed)), "accepted");
}

#[test]
fn d17_revoked_releases_models_and_signers_are_refused() {
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let root = published.descriptor.root.unwrap();
    let installed = InstalledReleases::default();
    let with = |change: RevocationChange| {
        let mut world = World::new();
        let published = world.publish("1.0.0", None);
        world.revoke(change);
        let targets = world.update(&mut world.box_with(None), NOW).unwrap();
        code(select(&world, &targets, &published.target, &installed))
    };
    assert_eq!(with(RevocationChange::default()), "accepted");
    assert_eq!(
        with(RevocationChange {
            models: vec![root],
            ..RevocationChange::default()
        }),
        "release.revoked"
    );
    let release = vec!["models/guide/1.0.0".to_owned()];
    assert_eq!(
        with(RevocationChange {
            releases: release,
            ..RevocationChange::default()
        }),
        "release.revoked"
    );

    let signer = crate::world::key().public().fingerprint();
    world.revoke(RevocationChange {
        signers: vec![signer.to_hex()],
        ..RevocationChange::default()
    });
    let targets = world.update(&mut world.box_with(None), NOW).unwrap();
    let revocations = world.revocations(&targets);
    assert_eq!(
        code(revocations.check_model(&crate::world::manifest())),
        "release.revoked"
    );
    assert!(revocations.revoked_keys().contains(&signer));
}

#[test]
fn g04_an_older_or_foreign_revocation_list_is_refused() {
    let mut world = World::new();
    let first = world.update(&mut world.box_with(None), NOW).unwrap();
    let empty = world.target(&first, "revocations.json");
    world.revoke(RevocationChange {
        releases: vec!["models/guide/1.0.0".to_owned()],
        ..RevocationChange::default()
    });
    let second = world.update(&mut world.box_with(None), NOW).unwrap();
    assert_eq!(code(verify_revocations(&second, &empty, None)), "release.length");
    assert_eq!(code(verify_revocations(&first, &empty, Some(2))), "release.rollback");
    assert_eq!(code(verify_revocations(&first, &empty, Some(1))), "accepted");
    assert_eq!(
        code(verify_revocations(&over_targets(|_| {}).unwrap(), &empty, None)),
        "release.unknown_target"
    );
}

#[test]
fn chunks_are_refused_by_length_digest_and_number() {
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let targets = world.update(&mut world.box_with(None), NOW).unwrap();
    let release = select(&world, &targets, &published.target, &InstalledReleases::default()).unwrap();
    let chunks = ChunkCheck::new(&release, "weights.txt").unwrap();
    assert_eq!((chunks.count(), chunks.range(0).unwrap()), (1, 0..7));
    assert_eq!(code(chunks.check(0, b"weights")), "accepted");
    assert_eq!(code(chunks.check(0, b"weightz")), "release.hash");
    assert_eq!(code(chunks.check(0, b"weight")), "release.length");
    assert_eq!(code(chunks.check(1, b"")), "release.chunk");
    assert_eq!(code(ChunkCheck::new(&release, "other")), "release.unknown_target");
}

#[test]
fn descriptors_that_do_not_fit_their_place_are_refused() {
    // A descriptor that the targets list, but that calls itself something else.
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let check = |change: &dyn Fn(&mut Value)| {
        let mut value = serde_json::to_value(&published.descriptor).unwrap();
        change(&mut value);
        code(freehold_verify::release::ReleaseDescriptor::parse(
            &serde_json::to_vec(&value).unwrap(),
        ))
    };
    assert_eq!(check(&|_| {}), "accepted");
    assert_eq!(check(&|value| value["v"] = json!(2)), "release.malformed");
    assert_eq!(check(&|value| value["more"] = json!(2)), "release.malformed");
    assert_eq!(check(&|value| value["name"] = json!("../x")), "release.malformed");
    assert_eq!(check(&|value| value["version"] = json!("1/2")), "release.malformed");
    assert_eq!(check(&|value| value["kind"] = json!("virus")), "release.malformed");
    assert_eq!(check(&|value| value["files"] = json!([])), "release.malformed");
    assert_eq!(
        check(&|value| drop(value.as_object_mut().unwrap().remove("bundle"))),
        "release.malformed"
    );
    assert_eq!(
        check(&|value| value["files"][0]["path"] = json!("../x")),
        "release.target_name"
    );
    assert_eq!(
        check(&|value| value["files"][0]["path"] = json!("release.json")),
        "release.malformed"
    );
    assert_eq!(
        check(&|value| value["files"][0]["path"] = value["files"][1]["path"].clone()),
        "release.malformed"
    );
    assert_eq!(
        check(&|value| value["files"][0]["chunk_size"] = json!(0)),
        "release.malformed"
    );
    assert_eq!(
        check(&|value| value["files"][0]["chunks"] = json!([])),
        "release.malformed"
    );
    assert_eq!(
        check(&|value| value["files"][0]["length"] = json!(u64::MAX)),
        "release.malformed"
    );
    let found = freehold_verify::release::ReleaseDescriptor::parse(&vec![b' '; 25 << 20]);
    assert_eq!(code(found), "release.too_large");
}

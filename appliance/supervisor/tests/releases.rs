//! Admission is per release, and downloads are apart from rounds: the supervisor as it ships, with a real console.

use std::path::Path;

use freehold_harness::careless::Parts;
use freehold_harness::{PATIENCE, Wire, World, wait_for};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::{KeyKind, SigningKey, sha256};
use freehold_verify::model::ModelFile;
use serde_json::Value;

/// Answers longer than this are chunks of weights, and nothing else that a console says.
const CHUNKY: u64 = 256 << 10;

fn stored(status: &Value, name: &str, version: &str) -> bool {
    let models = status["models"].as_array();
    models.is_some_and(|models| {
        models.iter().any(|model| {
            model["name"] == name
                && model["version"] == version
                && (model["phase"] == "serving" || model["phase"] == "admitted" || model["phase"] == "stopped")
        })
    })
}

fn links(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).unwrap().nlink()
}

type Change = fn(&mut Parts);

fn without_bom(parts: &mut Parts) {
    parts.bom = None;
}

fn with_the_bom_of_another(parts: &mut Parts) {
    let text = String::from_utf8(parts.bom.take().unwrap()).unwrap();
    let weights = &parts.files.iter().find(|(path, _)| path == "model.gguf").unwrap().1;
    let digest = sha256(weights).to_hex();
    assert!(text.contains(&digest));
    parts.bom = Some(text.replace(&digest, &sha256(b"another model").to_hex()).into_bytes());
}

fn signed_by_a_stranger(parts: &mut Parts) {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let files: Vec<ModelFile> = parts
        .files
        .iter()
        .map(|(path, bytes)| ModelFile {
            path: path.clone(),
            sha256: sha256(bytes),
        })
        .collect();
    parts.bundle = sign_model("guide", &files, &[], ModelSigner::Key(&key)).unwrap();
}

// promise S-28
#[test]
fn d17_content_that_is_stored_admits_no_other_release_of_it() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (honest, root) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&honest]).unwrap();
    world
        .one
        .wait("the model", |status| stored(status, "guide", "1.0.0"))
        .unwrap();

    let careless = world.publisher.careless();
    let cases: [(&str, &str, Change); 3] = [
        ("no-bom", "model.bom_missing", without_bom),
        ("other-bom", "model.bom_mismatch", with_the_bom_of_another),
        ("stranger", "model.signer_unknown", signed_by_a_stranger),
    ];
    for (name, code, change) in cases {
        let (like, mut parts) = careless.parts(&honest).unwrap();
        change(&mut parts);
        let target = careless.publish(&like, name, &parts).unwrap();
        world.import().unwrap();
        world.assign(&[&honest, &target]).unwrap();
        let status = world.one.wait_refusal(code).unwrap();
        assert!(!stored(&status, name, "1.0.0"), "{status:#}");
        assert!(stored(&status, "guide", "1.0.0"), "{status:#}");
    }

    // An honest second release of the same files is admitted for itself; its files are not fetched again.
    let folder = world.at("publisher/desk/guide-1.0.0");
    let (second, same) = world.publisher.model_from("guide", "1.0.1", &folder).unwrap();
    assert_eq!(same, root);
    world.import().unwrap();
    world.assign(&[&second]).unwrap();
    world
        .one
        .wait("the second release alone", |status| {
            stored(status, "guide", "1.0.1") && !stored(status, "guide", "1.0.0")
        })
        .unwrap();
    world.one.stop().unwrap();
    let content = world.one.state().join("models").join(root.to_hex());
    let releases: Vec<_> = std::fs::read_dir(content).unwrap().collect();
    assert_eq!(releases.len(), 1);
    assert_eq!(links(&releases[0].as_ref().unwrap().path().join("files/model.gguf")), 1);
    let entries = world.one.entries().unwrap();
    let count = |what: &str| entries.iter().filter(|(found, _)| found == what).count();
    assert_eq!((count("model.admitted"), count("model.store")), (2, 2), "{entries:?}");
    assert!(count("release.reuse") >= 2, "{entries:?}");
}

/// A box whose console is at the far end of a wire.
fn wired() -> (World, Wire) {
    let mut world = World::new().unwrap();
    let wire = Wire::to(world.boxes()).unwrap();
    world.one.reach_console_at(wire.address()).unwrap();
    world.join().unwrap();
    (world, wire)
}

fn wait_held(wire: &Wire) {
    wait_for(
        "a download to be held",
        PATIENCE,
        || Ok((wire.held() > 0).then_some(())),
    )
    .unwrap();
}

fn wait_nothing_held(wire: &Wire) {
    wait_for("the download to end", PATIENCE, || Ok((wire.held() == 0).then_some(()))).unwrap();
}

// promise S-47
#[test]
fn a_long_download_holds_up_no_report_and_ends_with_its_assignment() {
    let (mut world, wire) = wired();
    let (first, first_root) = world.publish("guide", "1.0.0").unwrap();
    let (second, _) = world.publish("helper", "1.0.0").unwrap();
    wire.hold_after(CHUNKY);
    world.assign(&[&first]).unwrap();
    wait_held(&wire);
    // Reports go on, and say how far it is.
    let seen = world
        .wait_seen("the download's progress", |seen| {
            let fetched = &seen["models"][0]["progress"];
            fetched["total"].as_u64().is_some_and(|total| total > 3_000_000) && fetched["done"].is_u64()
        })
        .unwrap();
    assert_eq!(seen["models"][0]["phase"], "fetching");
    let doing = seen["doing"].as_str().unwrap_or_default();
    assert!(doing.starts_with("fetching models/guide/1.0.0/"), "{doing}");
    let before = seen["report"]["sequence"].as_u64().unwrap();
    world
        .wait_seen("three more reports", |seen| {
            seen["report"]["sequence"].as_u64().is_some_and(|now| now > before + 2)
        })
        .unwrap();
    // Revoked while it is fetched: the download ends, without a byte more.
    world.publisher.revoke(first_root).unwrap();
    world.import().unwrap();
    world.one.wait_refusal("release.revoked").unwrap();
    wait_nothing_held(&wire);
    // A newer assignment ends a download, too.
    let (third, _) = world.publish("coder", "1.0.0").unwrap();
    world.assign(&[&third]).unwrap();
    wait_held(&wire);
    world.assign(&[&second]).unwrap();
    world
        .one
        .wait("the newer assignment", |status| status["pursuing"] == 3)
        .unwrap();
    wire.let_go();
    world
        .one
        .wait("the other model", |status| stored(status, "helper", "1.0.0"))
        .unwrap();
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    assert!(
        entries.iter().filter(|(what, _)| what == "release.cancel").count() >= 2,
        "{entries:?}"
    );
    assert_eq!(std::fs::read_dir(world.one.state().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_box_that_is_told_to_stop_or_killed_in_a_download_goes_on_with_it_later() {
    let (mut world, wire) = wired();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    wire.hold_after(CHUNKY);
    world.assign(&[&target]).unwrap();
    wait_held(&wire);
    // SIGTERM is not held up by the wire, nor is SIGKILL.
    world.one.stop().unwrap();
    wait_nothing_held(&wire);
    world.one.start().unwrap();
    wait_held(&wire);
    world.one.kill();
    wait_nothing_held(&wire);
    world.one.forget_status();
    world.one.start().unwrap();
    wait_held(&wire);
    wire.let_go();
    world
        .one
        .wait("the model", |status| stored(status, "guide", "1.0.0"))
        .unwrap();
}

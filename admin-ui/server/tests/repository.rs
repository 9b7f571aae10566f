//! Taking in what the publisher exported: whose root, whole, and not older; assignments of what may be assigned.

#[path = "support/world.rs"]
mod support;

use freehold_console::init::{Wish, init};
use freehold_console::run::open;
use freehold_console::state::StateDir;
use freehold_sign::repository::{Expiry, OtherPublication, export, publish_other};
use freehold_verify::release::ReleaseKind;
use http::Method;
use serde_json::json;
use support::paper_tpm::PaperBox;
use support::{World, ask, call, code, now};

#[tokio::test]
async fn a_publisher_is_pinned_by_fingerprint_and_stays() {
    let world = World::new().await;
    let out = world.folder.path().join("export");
    let folder = tempfile::tempdir().unwrap();
    let wish = Wish {
        state: folder.path().join("state"),
        name: "Other".to_owned(),
        site: "ward-8".to_owned(),
        accept_simulated: false,
        ek_roots: Vec::new(),
        tuf_root: None,
        administrator: "admin".to_owned(),
        password_file: Some(folder.path().join("password")),
    };
    assert!(init(&wish).await.unwrap().password.is_none());
    assert!(init(&wish).await.is_err(), "a folder holds one fleet");
    let console = open(StateDir::new(&wish.state)).await.unwrap();
    assert_eq!(console.pairing(None).unwrap_err().report.code, "console.not_ready");
    assert_eq!(
        console.import(&out, None, "test").await.unwrap_err().report.code,
        "release.no_root"
    );
    let other = Some("0".repeat(64));
    assert_eq!(
        console.import(&out, other, "test").await.unwrap_err().report.code,
        "release.other_root"
    );
    // The right root, but its timestamp role names another console's key.
    let root = freehold_trust::sha256(&std::fs::read(out.join("metadata/1.root.json")).unwrap()).to_hex();
    assert_eq!(
        console.import(&out, Some(root), "test").await.unwrap_err().report.code,
        "release.signature"
    );
    assert!(console.shelf().targets.is_none());
}

#[tokio::test]
async fn an_export_is_taken_in_whole_or_not_at_all() {
    let world = World::new().await;
    let out = world.folder.path().join("again");
    export(&world.publisher, &out).unwrap();
    let versions = || world.console().shelf().targets.as_ref().map(|targets| targets.version);
    let before = versions();
    world.console().import(&out, None, "test").await.unwrap();
    assert_eq!(versions(), before);
    // A file that the console has not seen yet is missing from the export, then one byte of it is changed.
    let state = world.folder.path().join("state/repository/targets/systems");
    std::fs::remove_dir_all(&state).unwrap();
    let hidden = world.folder.path().join("hidden");
    std::fs::rename(out.join("targets/systems"), &hidden).unwrap();
    assert_eq!(
        world
            .console()
            .import(&out, None, "test")
            .await
            .unwrap_err()
            .report
            .code,
        "release.incomplete"
    );
    std::fs::rename(&hidden, out.join("targets/systems")).unwrap();
    let folder = out.join("targets/systems/freehold/1.0.0");
    let manifest = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("manifest.json"))
        .unwrap();
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes[10] ^= 1;
    // The export may share its files with the publisher's folder: a new file takes the place.
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(&manifest, &bytes).unwrap();
    assert_eq!(
        world
            .console()
            .import(&out, None, "test")
            .await
            .unwrap_err()
            .report
            .code,
        "release.hash"
    );
    bytes[10] ^= 1;
    std::fs::write(&manifest, &bytes).unwrap();
    world.console().import(&out, None, "test").await.unwrap();
}

#[tokio::test]
async fn only_what_the_offline_keys_signed_is_assigned() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let (token, _) = world.session("operator", "api").await;
    let assign = async |target: &str| {
        let body = json!({"targets": [target]});
        call(
            &world,
            &token,
            Method::POST,
            "/api/v1/boxes/amber-fox-9d1e/assign",
            Some(body),
        )
        .await
    };
    assert_eq!(
        code(&assign("models/own/1.0.0/release.json").await),
        "release.unknown_target"
    );
    let made = assign("systems/freehold/1.0.0/release.json").await;
    assert_eq!(code(&made), "200", "{:?}", made.body);
    let envelope = call(
        &world,
        &token,
        Method::GET,
        "/api/v1/boxes/amber-fox-9d1e/assignment",
        None,
    )
    .await;
    let expectation = freehold_verify::document::AssignmentExpectation {
        fleet: world.console().file().fleet.clone(),
        box_id: paper.id.clone(),
        last_counter: None,
        purpose: freehold_verify::document::AssignmentUse::Install,
    };
    let director = world.console().director();
    let document =
        freehold_verify::document::verify_assignment(&envelope.body, director, &expectation, now().unix_timestamp())
            .unwrap();
    assert_eq!(document.counter, 1);
    assert_eq!(document.targets[0].name, "systems/freehold/1.0.0/release.json");
}

#[tokio::test]
async fn policies_that_cannot_be_used_are_an_alarm_until_better_ones_come() {
    let world = World::new().await;
    let (token, _) = world.session("viewer", "page").await;
    let cookie = format!("__Host-freehold={token}");
    let overview = async || {
        let answer = ask(&world.person(), Method::GET, "/", &[("cookie", &cookie)], "").await;
        String::from_utf8_lossy(&answer.body).into_owned()
    };
    assert!(!overview().await.contains("policy.unusable"));
    let publish = async |version: &str, bytes: Vec<u8>| {
        let file = world.folder.path().join(format!("policy-{version}.json"));
        std::fs::write(&file, bytes).unwrap();
        let release = OtherPublication {
            kind: ReleaseKind::Policy,
            name: "ward",
            version,
            counter: None,
            files: vec![("policy.json".to_owned(), file)],
            licence: None,
            hardware: Vec::new(),
        };
        publish_other(&world.publisher, &release, &Expiry::default(), now().unix_timestamp()).unwrap();
        let out = world.folder.path().join(format!("export-{version}"));
        export(&world.publisher, &out).unwrap();
        world.console().import(&out, None, "test").await.unwrap();
    };
    publish("1.0.0", b"{}".to_vec()).await;
    let page = overview().await;
    assert!(
        page.contains("policy.unusable") && page.contains("policies/ward/1.0.0"),
        "{page}"
    );
    assert!(page.contains("in force instead"));
    assert!(
        world.console().shelf().policy.is_none(),
        "the shipped ones are in force"
    );
    let good = freehold_decide::Bundle::shipped("ward", "1.0.1", freehold_decide::BundleData::default());
    publish("1.0.1", good.to_bytes()).await;
    assert!(!overview().await.contains("policy.unusable"));
    assert!(world.console().shelf().policy.is_some());
}

//! Bundles and returns at the console itself: numbers that are used once, parts that are fetched from any byte on, and returns
//! that are none of ours.

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_console::refused::Refused;
use freehold_console::stick::Wish;
use freehold_trust::hpke::OpeningKey;
use freehold_trust::{KeyKind, Sha256Digest, SigningKey, sha256};
use freehold_verify::container::{Container, Kind};
use freehold_verify::stick::{
    BundleExpectation, DIRECTOR, Listed, MANIFEST, Return, return_payload, seal_return, signed_return, verify_bundle,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{World, call};

const INVITATION: Wish = Wish {
    boxes: Vec::new(),
    part_size: None,
    days: None,
};

/// A return of a stranger's key to a bundle.
fn stranger(world: &World, key: &SigningKey, number: u64, set: Sha256Digest, sequence: u64) -> Vec<u8> {
    let pem = std::fs::read_to_string(world.folder.path().join("state/keys/returns.pem")).unwrap();
    let to = OpeningKey::from_pkcs8_pem(&pem).unwrap();
    let fleet = world.console().file().fleet.clone();
    let messages = BTreeMap::from([("enrol-begin.json".to_owned(), b"{}".to_vec())]);
    let statement = Return {
        v: 1,
        fleet: fleet.clone(),
        box_id: "amber-fox-9d1e".to_owned(),
        key: STANDARD.encode(key.public().spki_der()),
        number,
        set,
        sequence,
        at: 0,
        files: vec![Listed {
            name: "enrol-begin.json".to_owned(),
            length: 2,
            sha256: sha256(b"{}"),
        }],
    };
    let (payload, message) = return_payload(&statement);
    let envelope = signed_return(payload, key.sign(&message));
    seal_return(envelope, messages, to.public(), &fleet, number, set).unwrap()
}

fn code(refused: &Refused) -> &str {
    &refused.report.code
}

fn made(value: &Value) -> (u64, Sha256Digest) {
    (
        value["number"].as_u64().unwrap(),
        value["set"].as_str().unwrap().parse().unwrap(),
    )
}

// promise S-229
#[tokio::test]
async fn a_bundles_number_is_used_once_and_its_parts_are_the_same_from_any_byte_on() {
    let world = World::new().await;
    let (first, second) = (
        world.console().make_bundle(&INVITATION, "me").await.unwrap(),
        world.console().make_bundle(&INVITATION, "me").await.unwrap(),
    );
    let (number, set) = made(&first);
    assert!(made(&second).0 > number);
    // Not below the time: what an old backup forgot is not used again.
    assert!(i64::try_from(number).unwrap() >= first["at"].as_i64().unwrap());

    let person = world.person();
    let (token, _) = world.session("operator", "api").await;
    let authorization = format!("Bearer {token}");
    let path = format!("/api/v1/bundles/{number}/parts/1");
    let get = async |range: Option<&str>| {
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(range.map(|range| ("range", range)));
        let body = bytes::Bytes::new();
        person.ask(Method::GET, &path, &headers, body, 8 << 20).await.unwrap()
    };
    let whole = get(None).await.body;
    let container = Container::parse(&whole, Kind::Bundle).unwrap();
    assert_eq!(container.index().set(), set);
    let expectation = BundleExpectation {
        fleet: world.console().file().fleet.clone(),
        director: world.console().director().fingerprint(),
        last: None,
    };
    let (list, key) = (container.need(MANIFEST).unwrap(), container.need(DIRECTOR).unwrap());
    let bundle = verify_bundle(list, key, &expectation, bundle_time(&first)).unwrap();
    bundle.check_part(container.index(), sha256(list)).unwrap();
    assert!(container.get("metadata/timestamp.json").is_some() && container.get("tuf-root.json").is_some());
    for (first, last) in [(0, 9), (40, 50), (whole.len() / 2, whole.len() - 1)] {
        let answer = get(Some(&format!("bytes={first}-{last}"))).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.body, whole.slice(first..=last), "{first}-{last}");
    }
    assert_eq!(
        get(Some("bytes=99999999-")).await.status,
        StatusCode::RANGE_NOT_SATISFIABLE
    );

    let unknown = call(&world, &token, Method::GET, "/api/v1/bundles/1/parts/1", None).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let nobody = Wish {
        boxes: vec!["none-none-0000".to_owned()],
        ..INVITATION
    };
    let refused = world.console().make_bundle(&nobody, "me").await.unwrap_err();
    assert_eq!(code(&refused), "console.not_found");
    let tiny = Wish {
        part_size: Some(100_000),
        ..INVITATION
    };
    let refused = world.console().make_bundle(&tiny, "me").await.unwrap_err();
    assert_eq!(code(&refused), "bundle.part_size");
}

fn bundle_time(made: &Value) -> i64 {
    made["at"].as_i64().unwrap()
}

// promise S-229
#[tokio::test]
async fn a_return_to_a_bundle_of_somebody_else_and_one_that_was_taken_are_refused() {
    let world = World::new().await;
    let (number, set) = made(&world.console().make_bundle(&INVITATION, "me").await.unwrap());
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let take = async |bytes: Vec<u8>| world.console().take_return(bytes, "me").await;
    let refused = take(stranger(&world, &key, number + 1, set, 1)).await.unwrap_err();
    assert_eq!(code(&refused), "stick.unknown_bundle");
    let refused = take(stranger(&world, &key, number, sha256(b"another list"), 1))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "stick.unknown_bundle");
    assert_eq!(
        code(&take(b"no container".to_vec()).await.unwrap_err()),
        "container.magic"
    );

    // What is wrong with one message is said of that message.
    let bytes = stranger(&world, &key, number, set, 5);
    let heard = take(bytes.clone()).await.unwrap();
    assert_eq!(heard["refused"], json!({ "enrol-begin.json": "console.unreadable" }));
    assert_eq!(take(bytes).await.unwrap()["taken_before"], true);
    for sequence in [5, 4] {
        let refused = take(stranger(&world, &key, number, set, sequence)).await.unwrap_err();
        assert_eq!(code(&refused), "stick.return_replayed", "{sequence}");
    }
    take(stranger(&world, &key, number, set, 6)).await.unwrap();
}

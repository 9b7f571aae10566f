//! F13 and the signed documents.

use freehold_trust::digest::sha256;
use freehold_trust::dsse::Envelope;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::Refusal;
use freehold_verify::document::{
    ASSIGNMENT_TYPE, AssignedTarget, Assignment, AssignmentExpectation, AssignmentUse, SETTINGS_TYPE, Settings,
    settings_digest, sign_assignment, sign_settings, verify_assignment, verify_settings,
};
use serde_json::Map;

use crate::world::{NOW, key};

fn assignment() -> Assignment {
    Assignment {
        v: 1,
        fleet: "fleet".to_owned(),
        site: "site".to_owned(),
        box_id: "box-1".to_owned(),
        counter: 7,
        not_after: NOW + 60,
        targets: vec![AssignedTarget {
            name: "models/guide/1.0.0/release.json".to_owned(),
            length: 10,
            sha256: sha256(b"descriptor"),
            hardware: vec![],
        }],
        fallback: Vec::new(),
        settings_digest: sha256(b"settings"),
        approvals: vec![],
    }
}

fn expectation(purpose: AssignmentUse, last_counter: Option<u64>) -> AssignmentExpectation {
    AssignmentExpectation {
        fleet: "fleet".to_owned(),
        box_id: "box-1".to_owned(),
        last_counter,
        purpose,
    }
}

fn code(envelope: &[u8], expectation: &AssignmentExpectation) -> &'static str {
    let result = verify_assignment(envelope, key().public(), expectation, NOW);
    result.err().map_or("accepted", |rejection| rejection.code())
}

fn with(change: impl FnOnce(&mut Assignment)) -> &'static str {
    let mut assignment = assignment();
    change(&mut assignment);
    code(
        &sign_assignment(&assignment, key()),
        &expectation(AssignmentUse::Install, Some(6)),
    )
}

#[test]
fn f13_an_assignment_for_another_box_is_refused() {
    assert_eq!(with(|_| {}), "accepted");
    assert_eq!(
        with(|assignment| assignment.box_id = "box-2".to_owned()),
        "assignment.other_box"
    );
    assert_eq!(
        with(|assignment| assignment.fleet = "other".to_owned()),
        "assignment.other_fleet"
    );
}

#[test]
fn f13_an_assignment_that_is_not_newer_is_refused() {
    assert_eq!(with(|assignment| assignment.counter = 6), "assignment.rollback");
    assert_eq!(with(|assignment| assignment.counter = 0), "assignment.rollback");
    let envelope = sign_assignment(&assignment(), key());
    assert_eq!(
        code(&envelope, &expectation(AssignmentUse::Install, Some(7))),
        "assignment.rollback"
    );
    assert_eq!(code(&envelope, &expectation(AssignmentUse::Install, None)), "accepted");
}

#[test]
fn an_expired_assignment_is_not_taken_but_goes_on() {
    let mut old = assignment();
    old.not_after = NOW - 1;
    let envelope = sign_assignment(&old, key());
    assert_eq!(
        code(&envelope, &expectation(AssignmentUse::Install, Some(6))),
        "assignment.expired"
    );
    assert_eq!(
        code(&envelope, &expectation(AssignmentUse::Resume, Some(7))),
        "accepted"
    );
    assert_eq!(
        code(&envelope, &expectation(AssignmentUse::Resume, Some(8))),
        "assignment.rollback"
    );
    assert_eq!(
        code(&envelope, &expectation(AssignmentUse::Resume, None)),
        "assignment.rollback"
    );
}

#[test]
fn an_assignment_by_another_key_is_refused() {
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    let envelope = sign_assignment(&assignment(), &other);
    assert_eq!(
        code(&envelope, &expectation(AssignmentUse::Install, None)),
        "assignment.signature"
    );
    let mut envelope = Envelope::parse(&sign_assignment(&assignment(), key()), 1 << 20).unwrap();
    envelope.payload[0] ^= 1;
    assert_eq!(
        code(&envelope.to_json(), &expectation(AssignmentUse::Install, None)),
        "assignment.signature"
    );
}

#[test]
fn other_documents_and_versions_are_refused() {
    let install = expectation(AssignmentUse::Install, None);
    let payload = serde_json::to_vec(&assignment()).unwrap();
    let other_type = Envelope::sign(SETTINGS_TYPE, &payload, &[key()]).to_json();
    assert_eq!(code(&other_type, &install), "assignment.malformed");
    for (text, expected) in [
        (
            String::from_utf8(payload.clone())
                .unwrap()
                .replacen("\"v\":1", "\"v\":2", 1),
            "assignment.version",
        ),
        (
            String::from_utf8(payload.clone()).unwrap().replacen("\"v\":1,", "", 1),
            "assignment.version",
        ),
        (
            String::from_utf8(payload.clone())
                .unwrap()
                .replacen("\"v\":1", "\"v\":1,\"more\":1", 1),
            "assignment.malformed",
        ),
        (
            String::from_utf8(payload.clone())
                .unwrap()
                .replacen("\"v\":1", "\"v\":1,\"v\":1", 1),
            "assignment.malformed",
        ),
    ] {
        let envelope = Envelope::sign(ASSIGNMENT_TYPE, text.as_bytes(), &[key()]).to_json();
        assert_eq!(code(&envelope, &install), expected);
    }
    let two = Envelope::sign(ASSIGNMENT_TYPE, &payload, &[key(), key()]).to_json();
    assert_eq!(code(&two, &install), "assignment.malformed");
    assert_eq!(code(b"", &install), "assignment.malformed");
    assert_eq!(code(&vec![b' '; 2 << 20], &install), "assignment.malformed");
}

#[test]
fn settings_must_be_the_ones_that_the_assignment_names() {
    let settings = Settings {
        v: 1,
        fleet: "fleet".to_owned(),
        values: Map::new(),
    };
    let envelope = sign_settings(&settings, key());
    let digest = settings_digest(&envelope).unwrap();
    assert_eq!(
        *verify_settings(&envelope, key().public(), "fleet", digest).unwrap(),
        settings
    );
    let code = |fleet, digest| {
        verify_settings(&envelope, key().public(), fleet, digest)
            .unwrap_err()
            .code()
    };
    assert_eq!(code("fleet", sha256(b"other")), "assignment.settings");
    assert_eq!(code("other", digest), "assignment.other_fleet");
}

//! Passkeys: registrations and assertions that count, and those that do not.

use freehold_harness::Passkey;
use freehold_harness::passkey::Ceremony;
use freehold_trust::key::KeyKind;
use freehold_trust::sha256;
use freehold_verify::Refusal;
use freehold_verify::webauthn::{
    Assertion, AssertionExpectation, Registration, encoded, verify_assertion, verify_registration,
};
use proptest::prelude::*;
use serde_json::json;

const PAGE: &str = "https://console.example:8443";

fn expectation<'a>(challenge: &'a [u8], origins: &'a [String]) -> AssertionExpectation<'a> {
    AssertionExpectation {
        challenge,
        relying_party: "console.example",
        origins,
    }
}

fn origins() -> Vec<String> {
    vec![PAGE.to_owned()]
}

fn assertion_code(passkey: &Passkey, assertion: &Assertion) -> &'static str {
    let challenge = sha256(b"challenge");
    verify_assertion(
        assertion,
        &passkey.listed().key,
        &expectation(challenge.as_bytes(), &origins()),
    )
    .err()
    .map_or("accepted", |fault| fault.code())
}

#[test]
fn both_kinds_of_passkey_register_and_answer() {
    let challenge = sha256(b"challenge");
    for kind in [KeyKind::P256, KeyKind::Ed25519] {
        let passkey = Passkey::new(kind, PAGE).unwrap();
        let made = verify_registration(
            &passkey.register(challenge.as_bytes()),
            &expectation(challenge.as_bytes(), &origins()),
        )
        .unwrap();
        assert_eq!(made.key, passkey.listed().key);
        assert_eq!(encoded(&made.credential), passkey.listed().credential);
        let seen = verify_assertion(
            &passkey.answer(challenge.as_bytes()),
            &made.key,
            &expectation(challenge.as_bytes(), &origins()),
        );
        assert_eq!(seen.unwrap().count, 8, "the counter rose");
    }
}

/// What must be wrong about a ceremony, and what that is called.
/// What spoils a ceremony, by the code that it must lead to.
type Fault = (&'static str, fn(&mut Ceremony));

fn faults() -> Vec<Fault> {
    vec![
        ("passkey.origin", |c| "https://evil.example".clone_into(&mut c.origin)),
        ("passkey.origin", |c| {
            "https://console.example".clone_into(&mut c.origin)
        }),
        ("passkey.origin", |c| {
            c.more.insert("crossOrigin".to_owned(), json!(true));
        }),
        ("passkey.origin", |c| {
            c.more.insert("topOrigin".to_owned(), json!("https://evil.example"));
        }),
        ("passkey.relying_party", |c| {
            "evil.example".clone_into(&mut c.relying_party)
        }),
        ("passkey.user_absent", |c| c.flags &= !1),
        ("passkey.user_unverified", |c| c.flags &= !4),
        ("passkey.malformed", |c| c.tail.push(0)),
        ("passkey.malformed", |c| c.flags |= 0x80),
    ]
}

#[test]
fn an_assertion_of_another_page_place_or_person_is_refused() {
    let passkey = Passkey::new(KeyKind::P256, PAGE).unwrap();
    let challenge = sha256(b"challenge");
    let honest = passkey.ceremony();
    assert_eq!(
        assertion_code(&passkey, &passkey.answer(challenge.as_bytes())),
        "accepted"
    );
    for (code, change) in faults() {
        let mut ceremony = honest.clone();
        change(&mut ceremony);
        let assertion = passkey.answer_with(challenge.as_bytes(), &ceremony);
        assert_eq!(assertion_code(&passkey, &assertion), code, "{ceremony:?}");
    }
    let mut create = honest.clone();
    "webauthn.create".clone_into(&mut create.kind);
    let assertion = passkey.answer_with(challenge.as_bytes(), &create);
    assert_eq!(assertion_code(&passkey, &assertion), "passkey.type");
    let other = passkey.answer(sha256(b"other").as_bytes());
    assert_eq!(assertion_code(&passkey, &other), "passkey.challenge");
    let stranger = Passkey::new(KeyKind::P256, PAGE).unwrap();
    let theirs = stranger.answer(challenge.as_bytes());
    assert_eq!(assertion_code(&passkey, &theirs), "passkey.signature");
    // Extensions that authenticators add are signed and skipped.
    let mut extended = honest;
    extended.flags |= 0x80;
    extended.tail = vec![0xa1, 0x61, b'x', 0xf5];
    let assertion = passkey.answer_with(challenge.as_bytes(), &extended);
    assert_eq!(assertion_code(&passkey, &assertion), "accepted");
}

#[test]
fn a_registration_of_another_page_place_or_person_is_refused() {
    let passkey = Passkey::new(KeyKind::P256, PAGE).unwrap();
    let challenge = sha256(b"challenge");
    let code = |registration: &Registration| {
        verify_registration(registration, &expectation(challenge.as_bytes(), &origins()))
            .err()
            .map_or("accepted", |fault| fault.code())
    };
    let mut honest = passkey.ceremony();
    "webauthn.create".clone_into(&mut honest.kind);
    honest.flags |= 0x40;
    assert_eq!(code(&passkey.register_with(challenge.as_bytes(), &honest)), "accepted");
    for (wanted, change) in faults() {
        let mut ceremony = honest.clone();
        change(&mut ceremony);
        assert_eq!(code(&passkey.register_with(challenge.as_bytes(), &ceremony)), wanted);
    }
    // P-384 is a fine curve, and no passkey's.
    let odd = Passkey::new(KeyKind::P384, PAGE).unwrap();
    assert_eq!(code(&odd.register(challenge.as_bytes())), "passkey.malformed");
    let mut rs256 = passkey.register(challenge.as_bytes());
    let mut bytes = b"\xa1\x68authData\x58".to_vec();
    let mut data = sha256(b"console.example").as_bytes().to_vec();
    data.extend([0x45, 0, 0, 0, 0]);
    data.extend([0; 16]);
    data.extend([0, 1, 9]);
    data.extend([0xa2, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00]);
    bytes.push(u8::try_from(data.len()).unwrap());
    bytes.extend(data);
    rs256.attestation = encoded(&bytes);
    assert_eq!(code(&rs256), "passkey.algorithm");
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(client in any::<Vec<u8>>(), data in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let passkey = Passkey::new(KeyKind::P256, PAGE).unwrap();
        let challenge = sha256(b"challenge");
        let origins = origins();
        let expectation = expectation(challenge.as_bytes(), &origins);
        let assertion = Assertion::of(b"id", &data, &client, &signature);
        prop_assert!(verify_assertion(&assertion, &passkey.listed().key, &expectation).is_err());
        let honest = passkey.register(challenge.as_bytes());
        let registration = Registration { client_data: honest.client_data, attestation: encoded(&data) };
        prop_assert!(verify_registration(&registration, &expectation).is_err());
    }
}

//! Verdict leases: for one box, one key, one boot, some models, until a time.

use std::collections::BTreeSet;

use freehold_trust::digest::sha256;
use freehold_trust::dsse::Envelope;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::Refusal;
use freehold_verify::document::{
    ASSIGNMENT_TYPE, LEASE_TYPE, Lease, LeaseExpectation, LeaseRejection, LeasedModels, sign_lease, verify_lease,
};

use crate::world::{NOW, key};

fn lease() -> Lease {
    Lease {
        v: 1,
        fleet: "fleet".to_owned(),
        box_id: "box-1".to_owned(),
        ak: sha256(b"ak"),
        reset_count: 7,
        counter: 3,
        models: LeasedModels::ALL,
        not_after: NOW + 60,
    }
}

fn expectation() -> LeaseExpectation {
    LeaseExpectation {
        fleet: "fleet".to_owned(),
        box_id: "box-1".to_owned(),
        ak: sha256(b"ak"),
        reset_count: Some(7),
        last_counter: 3,
    }
}

fn judge(envelope: &[u8], expectation: &LeaseExpectation, now: i64) -> &'static str {
    verify_lease(envelope, key().public(), expectation)
        .and_then(|lease| lease.covers("guide", now))
        .err()
        .map_or("held", |rejection| rejection.code())
}

fn with(change: impl FnOnce(&mut Lease)) -> &'static str {
    let mut lease = lease();
    change(&mut lease);
    judge(&sign_lease(&lease, key()), &expectation(), NOW)
}

fn expecting(change: impl FnOnce(&mut LeaseExpectation)) -> &'static str {
    let mut expected = expectation();
    change(&mut expected);
    judge(&sign_lease(&lease(), key()), &expected, NOW)
}

fn names(names: &[&str]) -> LeasedModels {
    LeasedModels::Named(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
}

// promise S-160
#[test]
fn a_lease_counts_for_one_box_one_key_one_boot_and_until_its_end() {
    assert_eq!(with(|_| {}), "held");
    assert_eq!(with(|lease| lease.fleet = "other".to_owned()), "lease.other_fleet");
    assert_eq!(with(|lease| lease.box_id = "box-2".to_owned()), "lease.other_box");
    assert_eq!(with(|lease| lease.ak = sha256(b"another")), "lease.other_key");
    assert_eq!(with(|lease| lease.reset_count = 6), "lease.other_boot");
    assert_eq!(with(|lease| lease.reset_count = 8), "lease.other_boot");
    assert_eq!(expecting(|box_| box_.reset_count = None), "lease.boot_unknown");
    let envelope = sign_lease(&lease(), key());
    assert_eq!(judge(&envelope, &expectation(), NOW + 60), "held");
    assert_eq!(judge(&envelope, &expectation(), NOW + 61), "lease.expired");
}

#[test]
fn a_lease_from_before_a_withdrawal_does_not_come_back() {
    assert_eq!(with(|lease| lease.counter = 2), "lease.rollback");
    assert_eq!(with(|lease| lease.counter = 4), "held");
    assert_eq!(with(|lease| lease.models = LeasedModels::none()), "lease.withdrawn");
}

#[test]
fn a_lease_covers_what_it_names_and_nothing_else() {
    assert_eq!(with(|lease| lease.models = names(&["guide", "other"])), "held");
    assert_eq!(with(|lease| lease.models = names(&["other"])), "lease.other_model");
    let text = String::from_utf8(serde_json::to_vec(&lease()).unwrap()).unwrap();
    assert!(text.contains("\"models\":\"all\""), "{text}");
    // "every" is no word of a lease: it is refused, not read as a list of none.
    let odd = text.replacen("\"all\"", "\"every\"", 1);
    let envelope = Envelope::sign(LEASE_TYPE, odd.as_bytes(), &[key()]).to_json();
    assert_eq!(judge(&envelope, &expectation(), NOW), "lease.malformed");
}

#[test]
fn a_lease_by_another_key_or_of_another_form_is_refused() {
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    assert_eq!(
        judge(&sign_lease(&lease(), &other), &expectation(), NOW),
        "lease.signature"
    );
    let payload = serde_json::to_vec(&lease()).unwrap();
    let assignment = Envelope::sign(ASSIGNMENT_TYPE, &payload, &[key()]).to_json();
    assert_eq!(judge(&assignment, &expectation(), NOW), "lease.malformed");
    assert_eq!(judge(b"{}", &expectation(), NOW), "lease.malformed");
    assert_eq!(with(|lease| lease.v = 2), "lease.version");
    let more = String::from_utf8(payload)
        .unwrap()
        .replacen("\"v\":1", "\"v\":1,\"w\":1", 1);
    let envelope = Envelope::sign(LEASE_TYPE, more.as_bytes(), &[key()]).to_json();
    assert_eq!(judge(&envelope, &expectation(), NOW), "lease.malformed");
    // Any changed byte of what was signed; the name of the key beside it is nobody's word and is not looked at.
    let good = Envelope::parse(&sign_lease(&lease(), key()), 1 << 20).unwrap();
    for at in 0..good.payload.len() {
        let mut bad = good.clone();
        bad.payload[at] ^= 1;
        assert_eq!(
            judge(&bad.to_json(), &expectation(), NOW),
            "lease.signature",
            "byte {at}"
        );
    }
}

#[test]
fn that_there_is_no_lease_has_a_code() {
    assert_eq!(LeaseRejection::Missing.code(), "lease.missing");
    assert!(LeaseRejection::CODES.contains(&"lease.missing"));
}

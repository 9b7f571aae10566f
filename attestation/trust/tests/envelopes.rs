//! DSSE: the specification's own encoding, thresholds by distinct keys, and flips.

use freehold_trust::dsse::{DsseRejection, Envelope, Signature, pae};
use freehold_trust::{KeyKind, SigningKey};

#[test]
fn pae_is_that_of_the_specification() {
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn one_key_counts_once() {
    let a = SigningKey::generate(KeyKind::P256).unwrap();
    let b = SigningKey::generate(KeyKind::Ed25519).unwrap();
    let keys = [a.public().clone(), b.public().clone(), a.public().clone()];
    let mut envelope = Envelope::sign("t", b"payload", &[&a, &a]);
    assert_eq!(
        envelope.verify("t", &keys, 2),
        Err(DsseRejection::Threshold { threshold: 2, valid: 1 })
    );
    assert_eq!(envelope.verify("t", &keys, 0).unwrap(), b"payload");
    envelope.signatures.push(Signature {
        keyid: None,
        sig: b.sign(&pae("t", b"payload")),
    });
    assert_eq!(envelope.verify("t", &keys, 2).unwrap(), b"payload");
    assert!(matches!(
        envelope.verify("u", &keys, 1),
        Err(DsseRejection::PayloadType { .. })
    ));
    assert_eq!(
        envelope.verify("t", &[], 0),
        Err(DsseRejection::Threshold { threshold: 1, valid: 0 })
    );
}

#[test]
fn json_round_trip_limits_and_unknown_fields() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let envelope = Envelope::sign("t", b"payload", &[&key]);
    let json = envelope.to_json();
    assert_eq!(Envelope::parse(&json, json.len()).unwrap(), envelope);
    assert!(matches!(
        Envelope::parse(&json, json.len() - 1),
        Err(DsseRejection::TooLarge { .. })
    ));
    let text = String::from_utf8(json).unwrap();
    let more = text.replacen('{', "{\"extra\":1,", 1);
    assert!(matches!(
        Envelope::parse(more.as_bytes(), 10_000),
        Err(DsseRejection::Malformed(_))
    ));
    let twice = text.replacen('{', "{\"payloadType\":\"t\",", 1);
    assert!(matches!(
        Envelope::parse(twice.as_bytes(), 10_000),
        Err(DsseRejection::Malformed(_))
    ));
}

#[test]
fn any_flipped_byte_is_refused() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let json = Envelope::sign("t", b"payload", &[&key]).to_json();
    let keyid = String::from_utf8(json.clone()).unwrap().find("keyid").unwrap();
    for at in 0..json.len() {
        let mut bad = json.clone();
        bad[at] ^= 1;
        let taken = Envelope::parse(&bad, 10_000).and_then(|e| e.verify("t", &[key.public().clone()], 1));
        // The key id is a hint: changing its text changes nothing.
        let hint = (keyid..keyid + 8 + 66).contains(&at);
        assert!(hint || taken.is_err(), "byte {at}");
    }
}

//! Where things come from, and bills of other builds: cases E04 and H03.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;

use freehold_supply::provenance::{Build, PAYLOAD_TYPE, sign_provenance, verify_provenance};
use freehold_trust::dsse::Envelope;
use freehold_trust::{KeyKind, Sha256Digest, SigningKey, sha256};
use freehold_verify::Refusal as _;
use serde_json::{Value, json};

const BUILDER: &str = "urn:freehold:builder:one";

fn files() -> BTreeMap<String, Sha256Digest> {
    [("freehold.cdx.json", &b"the bill"[..]), ("freehold.raw", b"the image")]
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), sha256(bytes)))
        .collect()
}

fn signed(subjects: &BTreeMap<String, Sha256Digest>, builder: &str, key: &SigningKey) -> Vec<u8> {
    let parameters = BTreeMap::from([("version".to_owned(), "1.0.0".to_owned())]);
    let materials = [("pkg:cargo/serde@1.0.229".to_owned(), sha256(b"serde").to_hex())];
    let build = Build {
        builder,
        parameters: &parameters,
        materials: &materials,
        subjects,
    };
    sign_provenance(&build, key)
}

/// The statement of a good provenance, changed and signed again.
fn changed(key: &SigningKey, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let envelope = Envelope::parse(&signed(&files(), BUILDER, key), 1 << 20).unwrap();
    let mut statement: Value = serde_json::from_slice(&envelope.payload).unwrap();
    change(&mut statement);
    Envelope::sign(PAYLOAD_TYPE, statement.to_string().as_bytes(), &[key]).to_json()
}

#[test]
fn e04_provenance_of_something_else_is_refused() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let keys = [key.public().clone()];
    let builders = [BUILDER.to_owned()];
    let good = signed(&files(), BUILDER, &key);
    let provenance = verify_provenance(&good, &keys, &builders, &files()).unwrap();
    assert_eq!(provenance.builder, BUILDER);
    assert_eq!(provenance.parameters["version"], "1.0.0");
    assert_eq!(provenance.subjects, files());
    let code = |envelope: &[u8]| {
        verify_provenance(envelope, &keys, &builders, &files())
            .err()
            .map_or("accepted", |fault| fault.code())
    };
    // Another artefact; one of two; one that is not there; one name twice.
    let digest = json!({ "sha256": sha256(b"another image").to_hex() });
    assert_eq!(
        code(&changed(&key, |s| s["subject"][1]["digest"] = digest.clone())),
        "supply.subject"
    );
    assert_eq!(
        code(&changed(&key, |s| {
            let mut more = s["subject"][1].clone();
            more["digest"] = digest.clone();
            s["subject"].as_array_mut().unwrap().push(more);
        })),
        "supply.subject",
        "two subjects, one of which fits"
    );
    assert_eq!(
        code(&changed(&key, |s| drop(s["subject"].as_array_mut().unwrap().pop()))),
        "supply.subject"
    );
    assert_eq!(
        code(&changed(&key, |s| {
            let more = s["subject"][1].clone();
            s["subject"].as_array_mut().unwrap().push(more);
        })),
        "supply.provenance"
    );
    assert_eq!(code(&changed(&key, |s| s["subject"] = json!([]))), "supply.provenance");
    assert_eq!(
        code(&changed(&key, |s| s["subject"][0]["digest"] = json!({ "sha1": "00" }))),
        "supply.provenance"
    );
    // Another builder, type, signer.
    assert_eq!(
        code(&signed(&files(), "urn:freehold:builder:two", &key)),
        "supply.builder"
    );
    for (field, value) in [
        ("predicateType", "https://slsa.dev/provenance/v0.2"),
        ("predicateType", "https://model_signing/signature/v1.0"),
        ("_type", "https://in-toto.io/Statement/v0.1"),
    ] {
        assert_eq!(
            code(&changed(&key, |s| s[field] = json!(value))),
            "supply.predicate_type",
            "{value}"
        );
    }
    let other = Envelope::sign("text/plain", b"{}", &[&key]).to_json();
    assert_eq!(code(&other), "supply.predicate_type");
    let stranger = SigningKey::generate(KeyKind::P256).unwrap();
    assert_eq!(code(&signed(&files(), BUILDER, &stranger)), "supply.signature");
    assert_eq!(code(b"{}"), "supply.provenance");
    // Any flipped byte, but for the key's name beside the signature, which is a hint and covers nothing.
    let hint = key.public().fingerprint().to_hex();
    let at_hint = String::from_utf8_lossy(&good).find(&hint).expect("a hint");
    for at in (0..good.len())
        .step_by(7)
        .filter(|at| !(at_hint..at_hint + hint.len()).contains(at))
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_ne!(code(&bad), "accepted", "byte {at}: {:?}", char::from(good[at]));
    }
}

#[test]
fn h03_a_bill_of_another_build_does_not_fit_the_provenance() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let provenance = signed(&files(), BUILDER, &key);
    let mut swapped = files();
    swapped.insert("freehold.cdx.json".to_owned(), sha256(b"the bill of another build"));
    let refused = verify_provenance(&provenance, &[key.public().clone()], &[BUILDER.to_owned()], &swapped).unwrap_err();
    assert_eq!(refused.code(), "supply.subject");
    assert_eq!(refused.found(), Some(files()["freehold.cdx.json"].to_hex()));
}

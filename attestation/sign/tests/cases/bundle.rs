//! D01, D10–D12 and the form of bundles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::dsse::pae;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::model::{PAYLOAD_TYPE, Signer, SignerTrust, key_hint, verify_bundle};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{NOW, bundle_over, bundle_with, code, code_of, files, key, signed, statement, trust, value};

fn bytes(bundle: &Value) -> Vec<u8> {
    serde_json::to_vec(bundle).unwrap()
}

#[test]
fn d01_our_bundles_verify_on_every_curve() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
        let key = SigningKey::generate(kind).unwrap();
        let bundle = sign_model("guide", &files(), &[], ModelSigner::Key(&key)).unwrap();
        let trust = SignerTrust {
            keys: vec![key.public().clone()],
            ..SignerTrust::default()
        };
        let manifest = verify_bundle(&bundle, &trust, NOW).unwrap();
        assert_eq!(manifest.files, files());
        assert_eq!(
            manifest.signer,
            Signer::Key {
                fingerprint: key.public().fingerprint()
            }
        );
    }
    let ed25519 = SigningKey::generate(KeyKind::Ed25519).unwrap();
    assert!(sign_model("guide", &files(), &[], ModelSigner::Key(&ed25519)).is_err());
}

#[test]
fn d10_a_payload_with_other_bytes_of_the_same_json_is_refused() {
    let original = value(&signed());
    let payload = STANDARD
        .decode(original["dsseEnvelope"]["payload"].as_str().unwrap())
        .unwrap();
    let parsed: Value = serde_json::from_slice(&payload).unwrap();
    let pretty = serde_json::to_vec_pretty(&parsed).unwrap();
    let spaced = [b" ".as_slice(), &payload].concat();
    for other in [pretty, spaced] {
        let mut bundle = original.clone();
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(other));
        assert_eq!(code(&bytes(&bundle)), "model.signature");
    }
}

#[test]
fn d10_duplicate_keys_are_refused_in_bundle_and_payload() {
    let text = String::from_utf8(signed()).unwrap();
    let twice = text.replacen(
        "{\"",
        "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"",
        1,
    );
    assert_eq!(code(twice.as_bytes()), "model.malformed");
    let statement = serde_json::to_string(&statement()).unwrap();
    let twice = statement.replacen("{\"", "{\"_type\":\"https://in-toto.io/Statement/v1\",\"", 1);
    assert_eq!(code(&bytes(&bundle_over(twice.as_bytes()))), "model.malformed");
}

#[test]
fn d10_another_payload_type_is_refused() {
    let mut bundle = value(&signed());
    bundle["dsseEnvelope"]["payloadType"] = json!("text/plain");
    assert_eq!(code(&bytes(&bundle)), "model.payload_type");
}

#[test]
fn d10_the_old_pre_authentication_encoding_is_refused() {
    let payload = serde_json::to_vec(&statement()).unwrap();
    // As releases before 1.0 signed: upper-case V, and the payload as Python prints bytes.
    let printed = format!("b'{}'", String::from_utf8_lossy(&payload));
    let old = format!(
        "DSSEV1 {} b'{PAYLOAD_TYPE}' {} {printed}",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    let mut bundle = bundle_over(&payload);
    for message in [
        old.into_bytes(),
        String::from_utf8(pae(PAYLOAD_TYPE, &payload))
            .unwrap()
            .replace("DSSEv1", "DSSEV1")
            .into_bytes(),
    ] {
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!(STANDARD.encode(key().sign(&message)));
        assert_eq!(code(&bytes(&bundle)), "model.signature");
    }
}

#[test]
fn d10_other_predicates_and_statement_types_are_refused() {
    for predicate in ["https://model_signing/Digests/v0.1", "https://example.com/other/v1"] {
        assert_eq!(
            code(&bundle_with(|statement| statement["predicateType"] = json!(predicate))),
            "model.predicate_type"
        );
    }
    let old = bundle_with(|statement| statement["_type"] = json!("https://in-toto.io/Statement/v0.1"));
    assert_eq!(code(&old), "model.malformed");
}

#[test]
fn d11_not_exactly_one_signature_is_refused() {
    let good = value(&signed());
    let first = good["dsseEnvelope"]["signatures"][0].clone();
    let bad = json!({ "sig": "AAAA", "keyid": "" });
    for signatures in [
        json!([]),
        json!([first, bad]),
        json!([bad, first]),
        json!([first, first]),
    ] {
        let mut bundle = good.clone();
        bundle["dsseEnvelope"]["signatures"] = signatures;
        assert_eq!(code(&bytes(&bundle)), "model.signature_count");
    }
}

#[test]
fn d11_key_ids_are_absent_null_or_empty_and_nothing_else() {
    let mut bundle = value(&signed());
    for keyid in [json!(null), json!("")] {
        bundle["dsseEnvelope"]["signatures"][0]["keyid"] = keyid;
        assert_eq!(code(&bytes(&bundle)), "accepted");
    }
    bundle["dsseEnvelope"]["signatures"][0]
        .as_object_mut()
        .unwrap()
        .remove("keyid");
    assert_eq!(code(&bytes(&bundle)), "accepted");
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = json!("somebody");
    assert_eq!(code(&bytes(&bundle)), "model.malformed");
}

#[test]
fn d12_a_missing_hint_is_refused() {
    let mut bundle = value(&signed());
    for key in [json!({}), json!({ "hint": "" }), json!({ "hint": null })] {
        bundle["verificationMaterial"]["publicKey"] = key;
        assert_eq!(code(&bytes(&bundle)), "model.hint_missing");
    }
    bundle["verificationMaterial"]["publicKey"] = json!({ "rawBytes": "AAAA" });
    assert_eq!(code(&bytes(&bundle)), "model.malformed");
}

#[test]
fn d12_a_hint_to_another_key_is_refused() {
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    let mut bundle = value(&signed());
    bundle["verificationMaterial"]["publicKey"]["hint"] = json!(key_hint(other.public()));
    assert_eq!(code(&bytes(&bundle)), "model.signer_unknown");
    // Trusted, but not who signed.
    let trust = SignerTrust {
        keys: vec![key().public().clone(), other.public().clone()],
        ..SignerTrust::default()
    };
    assert_eq!(code_of(verify_bundle(&bytes(&bundle), &trust, NOW)), "model.signature");
}

#[test]
fn d12_a_key_outside_the_allow_list_is_refused_though_its_hint_fits() {
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    let bundle = sign_model("guide", &files(), &[], ModelSigner::Key(&other)).unwrap();
    assert_eq!(code(&bundle), "model.signer_unknown");
    assert_eq!(
        code_of(verify_bundle(&signed(), &SignerTrust::default(), NOW)),
        "model.signer_unknown"
    );
}

#[test]
fn d12_a_revoked_key_is_refused() {
    let mut trust = trust();
    trust.revoked_keys.insert(key().public().fingerprint());
    assert_eq!(code_of(verify_bundle(&signed(), &trust, NOW)), "model.signer_revoked");
}

#[test]
fn bundles_of_another_form_are_refused() {
    let good = value(&signed());
    let mut cases: Vec<(Value, &str)> = Vec::new();
    let mut add = |change: &dyn Fn(&mut Value), code| {
        let mut bundle = good.clone();
        change(&mut bundle);
        cases.push((bundle, code));
    };
    add(
        &|bundle| bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2"),
        "model.malformed",
    );
    add(&|bundle| bundle["extra"] = json!(1), "model.malformed");
    add(&|bundle| bundle["dsseEnvelope"]["extra"] = json!(1), "model.malformed");
    add(
        &|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([{}]),
        "model.malformed",
    );
    add(
        &|bundle| bundle["verificationMaterial"] = json!({ "tlogEntries": [] }),
        "model.malformed",
    );
    add(
        &|bundle| bundle["verificationMaterial"]["certificate"] = json!({ "rawBytes": "AAAA" }),
        "model.malformed",
    );
    add(
        &|bundle| bundle["dsseEnvelope"]["payload"] = json!(""),
        "model.malformed",
    );
    add(
        &|bundle| bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!("_-_-"),
        "model.malformed",
    );
    for (bundle, expected) in cases {
        assert_eq!(code(&bytes(&bundle)), expected, "{bundle}");
    }
    assert_eq!(code(b""), "model.malformed");
    assert_eq!(code(&[b' '; 24 * 1024 * 1024 + 1]), "model.too_large");
}

proptest! {
    /// Our bundles have no byte that nothing covers.
    #[test]
    fn any_flipped_byte_of_an_accepted_bundle_is_refused(at in any::<prop::sample::Index>(), mask in 1_u8..=255) {
        static BUNDLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bundle = BUNDLE.get_or_init(signed).clone();
        let at = at.index(bundle.len());
        bundle[at] ^= mask;
        prop_assert_ne!(code(&bundle), "accepted", "byte {} became {:#x}", at, bundle[at]);
    }

    #[test]
    fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_ne!(code(&bytes), "accepted");
    }
}

#[test]
fn every_single_bit_of_an_accepted_bundle_counts() {
    let bundle = signed();
    for at in 0..bundle.len() {
        for bit in 0..8 {
            let mut changed = bundle.clone();
            changed[at] ^= 1 << bit;
            assert_ne!(code(&changed), "accepted", "bit {bit} of byte {at}");
        }
    }
}

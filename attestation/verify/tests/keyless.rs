//! A keyless bundle of the specification's own vectors, verified offline under sigstore's public trusted root.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use freehold_verify::model::{KeylessIdentity, KeylessTrust, Signer, SignerTrust, verify_bundle};
use freehold_verify::{Refusal, Verified};
use serde_json::Value;
use sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;

/// 2026-11-21: the certificate of a moment in 2025 has long expired; the log says that it had not when it signed.
const NOW: i64 = 1_795_262_400;
const IDENTITY: &str = "stefanb@us.ibm.com";
const ISSUER: &str = "https://sigstore.verify.ibm.com/oauth2";

fn vector(name: &str) -> Option<Vec<u8>> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/vectors/oms/test-vectors/v1.0/"
    );
    let bytes = std::fs::read(format!("{folder}{name}.bundle.json")).ok();
    if bytes.is_none() {
        println!("skipped: ../shared/vectors is not here");
    }
    bytes
}

fn trust(identity: &str, issuer: &str) -> SignerTrust {
    let signer = KeylessIdentity {
        identity: identity.to_owned(),
        issuer: issuer.to_owned(),
    };
    SignerTrust {
        keyless: Some(KeylessTrust::new(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes(), vec![signer]).unwrap()),
        // The vector leaves out a path of this name.
        tolerated_ignores: vec!["ignore-me".to_owned()],
        ..SignerTrust::default()
    }
}

fn code<T>(result: Result<Verified<T>, freehold_verify::model::ModelRejection>) -> &'static str {
    result.err().map_or("accepted", |rejection| rejection.code())
}

#[test]
fn d02_the_specifications_keyless_bundle_verifies_offline() {
    let Some(bundle) = vector("valid/sigstore") else { return };
    let manifest = verify_bundle(&bundle, &trust(IDENTITY, ISSUER), NOW).unwrap();
    assert_eq!(
        manifest.signer,
        Signer::Keyless {
            identity: IDENTITY.to_owned(),
            issuer: ISSUER.to_owned()
        }
    );
    assert_eq!(manifest.name, "v1.1.0-sigstore");
    assert_eq!(
        manifest.root.to_hex(),
        "61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226"
    );
    assert_eq!(
        manifest.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
        ["signme-1", "signme-2"]
    );
}

#[test]
fn keyless_signers_that_are_not_on_the_list_are_refused() {
    let Some(bundle) = vector("valid/sigstore") else { return };
    for (identity, issuer) in [
        ("somebody@example.org", ISSUER),
        (IDENTITY, "https://accounts.example.org"),
        ("", ""),
    ] {
        assert_eq!(
            code(verify_bundle(&bundle, &trust(identity, issuer), NOW)),
            "model.signer_unknown"
        );
    }
    assert_eq!(
        code(verify_bundle(&bundle, &SignerTrust::default(), NOW)),
        "model.signer_unknown"
    );
}

#[test]
fn a_keyless_bundle_with_any_part_changed_is_refused() {
    let Some(bundle) = vector("valid/sigstore") else { return };
    let good: Value = serde_json::from_slice(&bundle).unwrap();
    let trust = trust(IDENTITY, ISSUER);
    let strings = [
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp",
        "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
        "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope",
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/integratedTime",
        "/dsseEnvelope/payload",
        "/dsseEnvelope/signatures/0/sig",
    ];
    for pointer in strings {
        let mut changed = good.clone();
        let Some(Value::String(text)) = changed.pointer_mut(pointer) else {
            panic!("no {pointer}")
        };
        // A third of the way lies in every field's substance. (Half-way in a checkpoint lies the log's name in front of its
        // signature, which nothing covers: sigstore goes by the log's key.)
        let middle = text.len() / 3;
        let old = text.as_bytes()[middle];
        text.replace_range(
            middle..=middle,
            if old == b'A' || old == b'1' {
                "2"
            } else if old.is_ascii_digit() {
                "1"
            } else {
                "A"
            },
        );
        let found = code(verify_bundle(&serde_json::to_vec(&changed).unwrap(), &trust, NOW));
        assert_ne!(found, "accepted", "{pointer}");
    }
}

#[test]
fn e03_many_log_entries_are_refused_before_they_are_looked_at() {
    let Some(bundle) = vector("valid/sigstore") else { return };
    let mut value: Value = serde_json::from_slice(&bundle).unwrap();
    let entry = value["verificationMaterial"]["tlogEntries"][0].clone();
    value["verificationMaterial"]["tlogEntries"] = Value::Array(vec![entry; 9]);
    assert_eq!(
        code(verify_bundle(
            &serde_json::to_vec(&value).unwrap(),
            &trust(IDENTITY, ISSUER),
            NOW
        )),
        "model.malformed"
    );
}

#[test]
fn a_trusted_root_that_is_none_is_refused() {
    for bytes in [&b"{}"[..], b"", b"{\"mediaType\":1}"] {
        assert_eq!(KeylessTrust::new(bytes, vec![]).unwrap_err().code(), "model.keyless");
    }
}

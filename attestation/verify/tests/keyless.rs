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

#[test]
fn e02_a_log_entry_of_another_artefact_is_refused() {
    let Some(bundle) = vector("valid/sigstore") else { return };
    let good: Value = serde_json::from_slice(&bundle).unwrap();
    let trust = trust(IDENTITY, ISSUER);
    let judged = |value: &Value| code(verify_bundle(&serde_json::to_vec(value).unwrap(), &trust, NOW));
    assert_eq!(judged(&good), "accepted");
    // Another artefact's signature beside this entry: the entry is real, and speaks of something else.
    let payload = r#"{"_type":"https://in-toto.io/Statement/v1"}"#;
    let encode = |bytes: &[u8]| base64(bytes);
    let mut other = good.clone();
    other["dsseEnvelope"]["payload"] = encode(payload.as_bytes()).into();
    assert_ne!(judged(&other), "accepted");
    // This artefact beside an entry whose body names another payload.
    let body = &good["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"];
    let text = String::from_utf8(unbase64(body.as_str().unwrap())).unwrap();
    let at = text.find("payloadHash").expect("the entry names its payload");
    let digits = text[at..].find(|c: char| c.is_ascii_digit()).unwrap() + at;
    let value = text[at..].find("value\":\"").map_or(digits, |found| at + found + 8);
    let mut bytes = text.clone().into_bytes();
    bytes[value] = if bytes[value] == b'0' { b'1' } else { b'0' };
    assert_ne!(bytes, text.as_bytes());
    let mut renamed = good.clone();
    renamed["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"] = encode(&bytes).into();
    assert_ne!(judged(&renamed), "accepted");
    // No entry at all, and one without its proofs.
    let mut none = good.clone();
    none["verificationMaterial"]["tlogEntries"] = Value::Array(Vec::new());
    assert_ne!(judged(&none), "accepted");
    let mut bare = good.clone();
    let entry = bare["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap();
    entry.remove("inclusionPromise");
    entry.remove("inclusionProof");
    assert_ne!(judged(&bare), "accepted");
}

/// Sets the end (or, with `start`, the beginning) of every window of log keys or authorities in the trusted root.
fn windows(what: &str, edge: &str, at: &str) -> Option<KeylessTrust> {
    let mut root: Value = serde_json::from_slice(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes()).unwrap();
    for one in root[what].as_array_mut().unwrap() {
        let holder = if what == "tlogs" { &mut one["publicKey"] } else { one };
        holder["validFor"][edge] = at.into();
    }
    let signer = KeylessIdentity {
        identity: IDENTITY.to_owned(),
        issuer: ISSUER.to_owned(),
    };
    KeylessTrust::new(&serde_json::to_vec(&root).unwrap(), vec![signer]).ok()
}

#[test]
fn e05_keys_count_in_their_window_and_not_outside() {
    let Some(bundle) = vector("valid/sigstore") else { return };
    let good: Value = serde_json::from_slice(&bundle).unwrap();
    let logged = &good["verificationMaterial"]["tlogEntries"][0]["integratedTime"];
    let logged: i64 = logged.as_str().unwrap().parse().unwrap();
    let moment = |seconds: i64| {
        let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        time.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let judged = |what: &str, edge: &str, at: i64| {
        let trust = SignerTrust {
            keyless: windows(what, edge, &moment(at)),
            tolerated_ignores: vec!["ignore-me".to_owned()],
            ..SignerTrust::default()
        };
        code(verify_bundle(&bundle, &trust, NOW))
    };
    for what in ["tlogs", "certificateAuthorities"] {
        assert_eq!(
            judged(what, "end", logged),
            "accepted",
            "{what}: the last moment counts"
        );
        assert_eq!(judged(what, "end", logged + 3600), "accepted", "{what}");
        assert_ne!(judged(what, "end", logged - 3600), "accepted", "{what}: it had ended");
        assert_ne!(
            judged(what, "start", logged + 3600),
            "accepted",
            "{what}: it had not begun"
        );
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

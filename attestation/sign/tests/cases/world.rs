//! What the cases share: keys, small models, and bundles put together by hand so that each part can be wrong.

use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::digest::sha256;
use freehold_trust::dsse::pae;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::model::{
    ModelFile, ModelManifest, ModelRejection, PAYLOAD_TYPE, SignerTrust, key_hint, verify_bundle,
};
use freehold_verify::{Refusal, Verified};
use serde_json::{Value, json};

/// 2026-11-21, noon.
pub const NOW: i64 = 1_795_262_400;

pub fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(KeyKind::P256).unwrap())
}

pub fn trust() -> SignerTrust {
    SignerTrust {
        keys: vec![key().public().clone()],
        ..SignerTrust::default()
    }
}

pub fn files() -> Vec<ModelFile> {
    [
        ("config.json", &b"{}"[..]),
        ("sub/notes.txt", b"notes"),
        ("weights.txt", b"weights"),
    ]
    .into_iter()
    .map(|(path, bytes)| ModelFile {
        path: path.to_owned(),
        sha256: sha256(bytes),
    })
    .collect()
}

/// The files of [`files`], on disk.
pub fn write_files(folder: &Path) {
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("config.json"), "{}").unwrap();
    std::fs::write(folder.join("sub/notes.txt"), "notes").unwrap();
    std::fs::write(folder.join("weights.txt"), "weights").unwrap();
}

pub fn signed() -> Vec<u8> {
    sign_model("guide", &files(), &[], ModelSigner::Key(key())).unwrap()
}

pub fn manifest() -> Verified<ModelManifest> {
    verify_bundle(&signed(), &trust(), NOW).unwrap()
}

/// The bundle as a JSON value.
pub fn value(bundle: &[u8]) -> Value {
    serde_json::from_slice(bundle).unwrap()
}

/// The statement inside a bundle.
pub fn statement() -> Value {
    let bundle = value(&signed());
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap().to_owned();
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

/// A bundle over any payload, correctly signed by [`key`].
pub fn bundle_over(payload: &[u8]) -> Value {
    let signature = key().sign(&pae(PAYLOAD_TYPE, payload));
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": key_hint(key().public()) }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "" }],
        },
    })
}

/// A correctly signed bundle over a statement that was changed.
pub fn bundle_with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut statement = statement();
    change(&mut statement);
    serde_json::to_vec(&bundle_over(&serde_json::to_vec(&statement).unwrap())).unwrap()
}

/// The code of the refusal, or `accepted`.
pub fn code(bundle: &[u8]) -> &'static str {
    code_of(verify_bundle(bundle, &trust(), NOW))
}

pub fn code_of<T>(result: Result<T, ModelRejection>) -> &'static str {
    result.err().map_or("accepted", |rejection| rejection.code())
}

/// Recomputes the root digest of a statement after its resources were changed.
pub fn fix_root(statement: &mut Value) {
    let mut bytes = Vec::new();
    for resource in statement["predicate"]["resources"].as_array().unwrap() {
        bytes.extend(hex::decode(resource["digest"].as_str().unwrap()).unwrap_or_default());
    }
    statement["subject"][0]["digest"]["sha256"] = json!(sha256(&bytes).to_hex());
}

/// A header as the gate would give it.
pub fn header() -> Vec<(String, freehold_verify::format::ModelHeader)> {
    let header = freehold_verify::format::ModelHeader {
        format: freehold_verify::format::WeightsFormat::Gguf,
        architecture: Some("llama".to_owned()),
        name: Some("guide".to_owned()),
        licence: None,
        parameters: 3_000_000,
        quantisation: Some("Q8_0".to_owned()),
        context_length: Some(512),
        chat_template: true,
        tensors: 50,
    };
    vec![("weights.txt".to_owned(), header)]
}

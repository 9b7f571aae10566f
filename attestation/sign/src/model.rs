//! Makes OpenSSF Model Signing 1.0 bundles: by key, or by a certificate chain.
//!
//! Refuses other keys than ECDSA over P-256, P-384 or P-521 (the format knows no others), names that our own verifier
//! would refuse, and a certificate that is not over the signing key. Invariant: what it writes has no byte that no
//! signature or check covers (compact JSON, no key ids).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::certificate::Certificate;
use freehold_trust::digest::{Sha256Digest, Sha256Hasher};
use freehold_trust::dsse::pae;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::model::{
    DEFAULT_IGNORED, MAX_FILES, MEDIA_TYPE, ModelFile, ModelRejection, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE,
    check_file_name, key_hint,
};
use serde_json::json;

/// A bundle could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ModelSignError {
    /// Nothing to sign, or too much.
    #[error("{0} files; a signature lists 1 to {MAX_FILES}")]
    FileCount(usize),
    /// A name that no verifier here accepts.
    #[error("a file's name cannot be signed")]
    Name(#[source] ModelRejection),
    /// The same name twice.
    #[error("`{0}` is listed twice")]
    Twice(String),
    /// A key of another kind.
    #[error("a {0} key cannot sign models; use P-256, P-384 or P-521")]
    KeyKind(KeyKind),
    /// The certificate is over another key.
    #[error("the certificate is not over the signing key")]
    CertificateKey,
    /// JSON could not be written.
    #[error("cannot write the statement")]
    Json(#[source] serde_json::Error),
}

/// Who signs.
#[derive(Debug, Clone, Copy)]
pub enum ModelSigner<'a> {
    /// A key that verifiers have in their allow-list.
    Key(&'a SigningKey),
    /// A key with a code-signing certificate, and the chain behind it.
    Certificate {
        /// The key.
        key: &'a SigningKey,
        /// Leaf first, then intermediates.
        chain: &'a [Certificate],
    },
}

/// The root digest of a list of files: SHA-256 over their digests in the order of their names.
#[must_use]
pub fn root_digest(files: &[ModelFile]) -> Sha256Digest {
    let mut sorted: Vec<&ModelFile> = files.iter().collect();
    sorted.sort_by(|left, right| left.path.cmp(&right.path));
    let mut hasher = Sha256Hasher::new();
    for file in sorted {
        hasher.update(file.sha256.as_bytes());
    }
    hasher.finish()
}

/// Signs a list of hashed files as the model `name` (the folder's name; informative). `ignored` are the paths beyond git's
/// own that were left out.
///
/// # Errors
/// [`ModelSignError`].
pub fn sign_model(
    name: &str,
    files: &[ModelFile],
    ignored: &[String],
    signer: ModelSigner<'_>,
) -> Result<Vec<u8>, ModelSignError> {
    if files.is_empty() || files.len() > MAX_FILES {
        return Err(ModelSignError::FileCount(files.len()));
    }
    check_file_name(name).map_err(ModelSignError::Name)?;
    let mut sorted: Vec<&ModelFile> = files.iter().collect();
    sorted.sort_by(|left, right| left.path.cmp(&right.path));
    for pair in sorted.windows(2) {
        if let [left, right] = pair
            && left.path == right.path
        {
            return Err(ModelSignError::Twice(left.path.clone()));
        }
    }
    let mut resources = Vec::new();
    for file in sorted {
        check_file_name(&file.path).map_err(ModelSignError::Name)?;
        resources.push(json!({ "name": file.path, "algorithm": "sha256", "digest": file.sha256.to_hex() }));
    }
    let mut ignore: Vec<&str> = DEFAULT_IGNORED.to_vec();
    ignore.extend(ignored.iter().map(String::as_str));
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": name, "digest": { "sha256": root_digest(files).to_hex() } }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": false, "ignore_paths": ignore,
            },
            "resources": resources,
        },
    });
    let payload = serde_json::to_vec(&statement).map_err(ModelSignError::Json)?;
    envelope(&payload, signer)
}

fn envelope(payload: &[u8], signer: ModelSigner<'_>) -> Result<Vec<u8>, ModelSignError> {
    let (key, material) = match signer {
        ModelSigner::Key(key) => (
            key,
            json!({ "publicKey": { "hint": key_hint(key.public()) }, "tlogEntries": [] }),
        ),
        ModelSigner::Certificate { key, chain } => {
            if chain.first().map(|leaf| leaf.public_key().fingerprint()) != Some(key.public().fingerprint()) {
                return Err(ModelSignError::CertificateKey);
            }
            let raw = |one: &Certificate| json!({ "rawBytes": STANDARD.encode(one.der()) });
            let chain: Vec<_> = chain.iter().map(raw).collect();
            (
                key,
                json!({ "x509CertificateChain": { "certificates": chain }, "tlogEntries": [] }),
            )
        }
    };
    if !matches!(key.public().kind(), KeyKind::P256 | KeyKind::P384 | KeyKind::P521) {
        return Err(ModelSignError::KeyKind(key.public().kind()));
    }
    let signature = key.sign(&pae(PAYLOAD_TYPE, payload));
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "" }],
        },
    });
    serde_json::to_vec(&bundle).map_err(ModelSignError::Json)
}

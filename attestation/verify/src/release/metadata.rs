//! Making TUF metadata: pure, so that the console can sign its timestamp and the publisher everything else.
//!
//! Refuses key kinds that TUF has no scheme for. Invariant: what is signed is the canonical JSON of `signed`
//! (securesystemslib's, not RFC 8785), and the same bytes are read back by [`super::TrustedRepository`].

use std::collections::BTreeMap;

use freehold_trust::digest::sha256;
use freehold_trust::key::{KeyKind, PublicKey};
use freehold_trust::signing::SigningKey;
use serde_json::{Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::target::TargetInfo;
use crate::json as strict;

/// The TUF specification that the metadata follows.
const SPECIFICATION: &str = "1.0.31";
/// Bounds metadata that is read back here before it is pinned.
const MAX_METADATA: usize = 24 * 1024 * 1024;

/// Metadata could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// TUF has no scheme for such a key.
    #[error("a {kind} key cannot sign release metadata; use P-256, P-384 or Ed25519")]
    KeyKind {
        /// The key's kind.
        kind: KeyKind,
    },
    /// A time that cannot be written as a date.
    #[error("`{0}` is not a time that can be written")]
    Time(i64),
    /// The metadata at hand cannot be read.
    #[error("the metadata cannot be read: {0}")]
    Malformed(String),
}

/// Who signs for a role, and how many of them are needed.
#[derive(Debug, Clone)]
pub struct RoleSigners<'a> {
    /// Their public keys.
    pub keys: Vec<&'a PublicKey>,
    /// How many distinct ones must sign.
    pub threshold: usize,
}

/// What a root says.
#[derive(Debug, Clone)]
pub struct RootDescription<'a> {
    /// Version, from 1.
    pub version: u64,
    /// Unix seconds.
    pub expires: i64,
    /// Who may change the root.
    pub root: RoleSigners<'a>,
    /// Who signs what exists.
    pub targets: RoleSigners<'a>,
    /// Who signs which versions belong together.
    pub snapshot: RoleSigners<'a>,
    /// Who signs what is current: the console.
    pub timestamp: RoleSigners<'a>,
}

/// Metadata before its signatures.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsignedMetadata {
    signed: Value,
    canonical: Vec<u8>,
}

impl UnsignedMetadata {
    fn new(signed: Value) -> Result<Self, MetadataError> {
        let canonical = to_canonical_bytes(&signed).map_err(|error| MetadataError::Malformed(error.to_string()))?;
        Ok(Self { signed, canonical })
    }

    /// Takes up metadata again, signatures dropped: to sign it with other keys.
    ///
    /// # Errors
    /// [`MetadataError::Malformed`].
    pub fn from_signed(bytes: &[u8]) -> Result<Self, MetadataError> {
        Self::new(signed_part(bytes)?)
    }

    /// Signs with each key and answers the metadata file.
    ///
    /// # Errors
    /// [`MetadataError::KeyKind`].
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, MetadataError> {
        let mut signatures = Vec::new();
        for key in keys {
            let (id, _) = tuf_key(key.public())?;
            signatures.push(json!({ "keyid": id, "sig": hex::encode(key.sign(&self.canonical)) }));
        }
        let file = json!({ "signatures": signatures, "signed": self.signed });
        serde_json::to_vec_pretty(&file).map_err(|error| MetadataError::Malformed(error.to_string()))
    }
}

/// Key id and key object of a public key.
fn tuf_key(key: &PublicKey) -> Result<(String, Value), MetadataError> {
    let (keytype, scheme, public) = match key.kind() {
        KeyKind::P256 => ("ecdsa", "ecdsa-sha2-nistp256", key.to_spki_pem()),
        KeyKind::P384 => ("ecdsa", "ecdsa-sha2-nistp384", key.to_spki_pem()),
        // RFC 8410: the raw key is the last 32 bytes of the SubjectPublicKeyInfo.
        KeyKind::Ed25519 => {
            let raw = key.spki_der().last_chunk::<32>().map(hex::encode).unwrap_or_default();
            ("ed25519", "ed25519", raw)
        }
        kind => return Err(MetadataError::KeyKind { kind }),
    };
    let object = json!({ "keytype": keytype, "scheme": scheme, "keyval": { "public": public } });
    let canonical = to_canonical_bytes(&object).map_err(|error| MetadataError::Malformed(error.to_string()))?;
    Ok((sha256(&canonical).to_hex(), object))
}

fn expires(seconds: i64) -> Result<String, MetadataError> {
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| MetadataError::Time(seconds))?;
    time.format(&Rfc3339).map_err(|_| MetadataError::Time(seconds))
}

fn signed_part(bytes: &[u8]) -> Result<Value, MetadataError> {
    let value = strict::parse(bytes, MAX_METADATA).map_err(|fault| MetadataError::Malformed(fault.to_string()))?;
    value
        .get("signed")
        .cloned()
        .ok_or_else(|| MetadataError::Malformed("no `signed`".to_owned()))
}

/// The version that a metadata file states; nothing about it is verified.
///
/// # Errors
/// [`MetadataError::Malformed`].
pub fn metadata_version(bytes: &[u8]) -> Result<u64, MetadataError> {
    let version = signed_part(bytes)?.get("version").and_then(Value::as_u64);
    version.ok_or_else(|| MetadataError::Malformed("no `version`".to_owned()))
}

/// The root: who signs what.
///
/// # Errors
/// [`MetadataError`].
pub fn root_metadata(description: &RootDescription<'_>) -> Result<UnsignedMetadata, MetadataError> {
    let mut keys = serde_json::Map::new();
    let mut roles = serde_json::Map::new();
    let all = [
        ("root", &description.root),
        ("targets", &description.targets),
        ("snapshot", &description.snapshot),
        ("timestamp", &description.timestamp),
    ];
    for (role, signers) in all {
        let mut ids = Vec::new();
        for key in &signers.keys {
            let (id, object) = tuf_key(key)?;
            keys.insert(id.clone(), object);
            ids.push(id);
        }
        roles.insert(
            role.to_owned(),
            json!({ "keyids": ids, "threshold": signers.threshold }),
        );
    }
    UnsignedMetadata::new(json!({
        "_type": "root",
        "spec_version": SPECIFICATION,
        "version": description.version,
        "expires": expires(description.expires)?,
        "consistent_snapshot": true,
        "keys": keys,
        "roles": roles,
    }))
}

/// The targets: what exists. `until` in unix seconds.
///
/// # Errors
/// [`MetadataError`].
pub fn targets_metadata(
    version: u64,
    until: i64,
    targets: &BTreeMap<String, TargetInfo>,
) -> Result<UnsignedMetadata, MetadataError> {
    let entry = |info: &TargetInfo| json!({ "length": info.length, "hashes": { "sha256": info.sha256.to_hex() } });
    let targets: serde_json::Map<String, Value> =
        targets.iter().map(|(name, info)| (name.clone(), entry(info))).collect();
    UnsignedMetadata::new(json!({
        "_type": "targets",
        "spec_version": SPECIFICATION,
        "version": version,
        "expires": expires(until)?,
        "targets": targets,
    }))
}

fn pinned(bytes: &[u8]) -> Result<Value, MetadataError> {
    Ok(json!({
        "version": metadata_version(bytes)?,
        "length": bytes.len(),
        "hashes": { "sha256": sha256(bytes).to_hex() },
    }))
}

/// The snapshot: which targets are current. `targets` is the signed targets file.
///
/// # Errors
/// [`MetadataError`].
pub fn snapshot_metadata(version: u64, until: i64, targets: &[u8]) -> Result<UnsignedMetadata, MetadataError> {
    UnsignedMetadata::new(json!({
        "_type": "snapshot",
        "spec_version": SPECIFICATION,
        "version": version,
        "expires": expires(until)?,
        "meta": { "targets.json": pinned(targets)? },
    }))
}

/// The timestamp over a snapshot file, signed by the console's timestamp key; `until` in unix seconds. The caller has
/// verified the snapshot, and counts the version up.
///
/// # Errors
/// [`MetadataError`].
pub fn sign_timestamp(snapshot: &[u8], version: u64, until: i64, key: &SigningKey) -> Result<Vec<u8>, MetadataError> {
    let unsigned = UnsignedMetadata::new(json!({
        "_type": "timestamp",
        "spec_version": SPECIFICATION,
        "version": version,
        "expires": expires(until)?,
        "meta": { "snapshot.json": pinned(snapshot)? },
    }))?;
    unsigned.sign(&[key])
}

/// The targets that a targets file lists; nothing about it is verified: for a publisher that reads its own files.
///
/// # Errors
/// [`MetadataError::Malformed`].
pub fn unverified_targets(bytes: &[u8]) -> Result<BTreeMap<String, TargetInfo>, MetadataError> {
    let signed = signed_part(bytes)?;
    let fault = |name: &str| MetadataError::Malformed(format!("the target `{}`", crate::text::shown(name)));
    let entries = signed
        .get("targets")
        .and_then(Value::as_object)
        .ok_or_else(|| fault("(all)"))?;
    let mut targets = BTreeMap::new();
    for (name, entry) in entries {
        let length = entry.get("length").and_then(Value::as_u64);
        let sha256 = entry
            .pointer("/hashes/sha256")
            .and_then(Value::as_str)
            .and_then(|hex| hex.parse().ok());
        let (Some(length), Some(sha256)) = (length, sha256) else {
            return Err(fault(name));
        };
        targets.insert(name.clone(), TargetInfo { length, sha256 });
    }
    Ok(targets)
}

/// When a metadata file expires, unix seconds; nothing about it is verified.
///
/// # Errors
/// [`MetadataError::Malformed`].
pub fn unverified_expiry(bytes: &[u8]) -> Result<i64, MetadataError> {
    let signed = signed_part(bytes)?;
    let text = signed.get("expires").and_then(Value::as_str).unwrap_or_default();
    let time =
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| MetadataError::Malformed("no `expires`".to_owned()))?;
    Ok(time.unix_timestamp())
}

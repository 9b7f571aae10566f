//! The bundle: the director's signed list of what lies on a stick.
//!
//! Refuses the stick of another console before anything of its list is read: the key on it must be the one that the box was
//! paired with. Invariant: the number only rises; the same number is taken again only with the same list.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_trust::dsse::{DsseRejection, Envelope};
use freehold_trust::key::PublicKey;
use freehold_trust::signing::SigningKey;
use serde::{Deserialize, Serialize};

use super::StickRejection;
use crate::container::Index;
use crate::json;
use crate::text::shown;
use crate::verified::Verified;

/// The DSSE payload type of a bundle's list.
pub const BUNDLE_TYPE: &str = "application/vnd.freehold.bundle.v1+json";
/// The entry that holds the signed list; it stands whole in every part.
pub const MANIFEST: &str = "bundle.dsse";
/// The entry that holds the director's key (SPKI, DER); it stands whole in every part.
pub const DIRECTOR: &str = "director.der";
/// Bounds the list: a hundred thousand files fit.
pub(super) const MAX_LIST: usize = 32 * 1024 * 1024;
/// What this document is called in messages.
const WHAT: &str = "bundle";

/// One file that the list names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its name in the container.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of all of it.
    pub sha256: Sha256Digest,
}

/// What a console put onto a stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Major version, 1.
    pub v: u32,
    /// The fleet's id.
    pub fleet: String,
    /// The site within the fleet.
    pub site: String,
    /// Rises with each bundle of this console.
    pub number: u64,
    /// When it was made, unix seconds by the console's clock: a stick brings time.
    pub at: i64,
    /// Unix seconds after which it is not newly taken.
    pub not_after: i64,
    /// The console's key that returns are sealed to (P-256, SPKI, DER, base64).
    pub return_key: String,
    /// The boxes that it is for; empty when it only invites boxes that the console does not know yet.
    pub boxes: Vec<String>,
    /// What is in the parts.
    pub files: Vec<Listed>,
}

/// What whoever takes a bundle knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleExpectation {
    /// The fleet.
    pub fleet: String,
    /// SHA-256 of the director's key (SPKI, DER).
    pub director: Sha256Digest,
    /// Number of the last bundle that was taken, and SHA-256 of its envelope.
    pub last: Option<(u64, Sha256Digest)>,
}

impl Bundle {
    /// The key that returns are sealed to.
    ///
    /// # Errors
    /// `stick.malformed`.
    pub fn return_key(&self) -> Result<PublicKey, StickRejection> {
        let malformed = |detail: String| StickRejection::Malformed { what: WHAT, detail };
        let der = STANDARD
            .decode(&self.return_key)
            .map_err(|error| malformed(error.to_string()))?;
        PublicKey::from_spki_der(&der).map_err(|error| malformed(error.to_string()))
    }

    /// The file of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&Listed> {
        self.files.iter().find(|file| file.name == name)
    }

    /// That a part holds nothing but what the list names. Of a piece the length is compared here; its bytes are checked by the
    /// container's chunks, and by the release's own.
    ///
    /// # Errors
    /// `stick.other_set`, `stick.unlisted`.
    pub fn check_part(&self, part: &Index, envelope: Sha256Digest) -> Result<(), StickRejection> {
        if part.set() != envelope {
            return Err(StickRejection::OtherSet);
        }
        let mut listed: std::collections::BTreeMap<&str, &Listed> = std::collections::BTreeMap::new();
        for file in &self.files {
            listed.insert(&file.name, file);
        }
        for entry in part.entries() {
            if matches!(entry.name(), MANIFEST | DIRECTOR) && entry.is_whole() {
                continue;
            }
            let fits = listed.get(entry.name()).is_some_and(|file| {
                file.length == entry.whole() && (!entry.is_whole() || file.sha256 == entry.sha256())
            });
            if !fits {
                return Err(StickRejection::Unlisted {
                    name: shown(entry.name()),
                });
            }
        }
        Ok(())
    }
}

/// Verifies the list of a bundle with the director's key as it lies on the stick; `now` in unix seconds.
///
/// # Errors
/// [`StickRejection`]; the key before the signature, the fleet before the number before the time.
pub fn verify_bundle(
    envelope: &[u8],
    director: &[u8],
    expectation: &BundleExpectation,
    now: i64,
) -> Result<Verified<Bundle>, StickRejection> {
    let found = sha256(director);
    if found != expectation.director {
        return Err(StickRejection::OtherDirector {
            expected: expectation.director.to_hex(),
            found: found.to_hex(),
        });
    }
    let key = PublicKey::from_spki_der(director).map_err(|error| StickRejection::Malformed {
        what: WHAT,
        detail: error.to_string(),
    })?;
    let bundle: Bundle = open(envelope, BUNDLE_TYPE, &key, WHAT)?;
    if bundle.fleet != expectation.fleet {
        return Err(StickRejection::OtherFleet {
            what: WHAT,
            expected: expectation.fleet.clone(),
            found: shown(&bundle.fleet),
        });
    }
    if let Some((last, digest)) = expectation.last
        && (bundle.number < last || (bundle.number == last && sha256(envelope) != digest))
    {
        return Err(StickRejection::Replayed {
            last,
            found: bundle.number,
        });
    }
    // One that was begun before its time was over is brought to its end.
    let begun = expectation.last.is_some_and(|(last, _)| last == bundle.number);
    if bundle.not_after < now && !begun {
        return Err(StickRejection::Expired {
            not_after: bundle.not_after,
            now,
        });
    }
    Ok(Verified::seal(bundle))
}

/// Signs a list; what the console does. The result is the envelope's JSON, and its SHA-256 is the set of the parts.
#[must_use]
pub fn sign_bundle(bundle: &Bundle, director: &SigningKey) -> Vec<u8> {
    let payload = serde_json::to_vec(bundle).unwrap_or_default();
    Envelope::sign(BUNDLE_TYPE, &payload, &[director]).to_json()
}

/// Opens an envelope: form, type, one signature by `key`, then strict JSON of version 1.
pub(super) fn open<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    kind: &str,
    key: &PublicKey,
    what: &'static str,
) -> Result<T, StickRejection> {
    let malformed = |detail: String| StickRejection::Malformed {
        what,
        detail: shown(&detail),
    };
    let envelope = Envelope::parse(bytes, MAX_LIST).map_err(|fault| malformed(fault.to_string()))?;
    if envelope.signatures.len() != 1 {
        return Err(malformed(format!("{} signatures", envelope.signatures.len())));
    }
    let payload = envelope
        .verify(kind, std::slice::from_ref(key), 1)
        .map_err(|fault| match fault {
            DsseRejection::Threshold { .. } => StickRejection::Signature { what },
            other => malformed(other.to_string()),
        })?;
    let value = json::parse(&payload, MAX_LIST).map_err(|fault| malformed(fault.to_string()))?;
    let version = value.get("v").and_then(serde_json::Value::as_u64);
    if version != Some(1) {
        let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(StickRejection::Version { what, found });
    }
    serde_json::from_value(value).map_err(|error| malformed(error.to_string()))
}

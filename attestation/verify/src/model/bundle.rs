//! The sigstore bundle (v0.3, JSON) around a model signature, as OpenSSF Model Signing 1.0 uses it.
//!
//! Refuses unknown fields, duplicate keys, other media types, more or less than one signature, and any key id (nothing
//! here would check it). Invariant: [`Bundle::payload`] is the very bytes that were signed; nothing is re-serialised.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::rejection::ModelRejection;
use crate::json::{self, JsonFault};
use crate::text::shown;

/// Bounds memory against an endless bundle: 65,536 files of 200 bytes each, in base64, fit.
pub const MAX_BUNDLE: usize = 24 * 1024 * 1024;
/// The one accepted media type.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// in-toto's DSSE payload type.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Longest accepted chain; webpki itself goes no deeper than six intermediates (bounds path building).
const MAX_CHAIN: usize = 8;
/// Most transparency-log entries or timestamps of a keyless bundle (bounds signature checks, CVE-2024-45395).
const MAX_PROOFS: usize = 8;

/// How the signer is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Material {
    /// SHA-256 (hex) over the PEM text of the signer's public key.
    Key { hint: String },
    /// Leaf first, then intermediates, then perhaps the root; DER.
    Chain(Vec<Vec<u8>>),
    /// A Fulcio certificate with log entries; sigstore-verify judges it.
    Keyless,
}

/// A bundle whose form is right; nothing about it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) material: Material,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleJson {
    #[serde(rename = "mediaType")]
    media_type: String,
    #[serde(rename = "verificationMaterial")]
    material: MaterialJson,
    #[serde(rename = "dsseEnvelope")]
    envelope: EnvelopeJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaterialJson {
    #[serde(rename = "publicKey")]
    public_key: Option<KeyJson>,
    #[serde(rename = "x509CertificateChain")]
    chain: Option<ChainJson>,
    certificate: Option<CertificateJson>,
    #[serde(rename = "tlogEntries", default)]
    log_entries: Vec<Value>,
    #[serde(rename = "timestampVerificationData")]
    timestamps: Option<TimestampsJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampsJson {
    #[serde(rename = "rfc3161Timestamps", default)]
    rfc3161: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyJson {
    hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainJson {
    certificates: Vec<CertificateJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateJson {
    #[serde(rename = "rawBytes")]
    raw: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeJson {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    sig: String,
    // DSSE leaves it optional; absent, null and "" all mean "none".
    keyid: Option<String>,
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, ModelRejection> {
    STANDARD
        .decode(text)
        .map_err(|_| ModelRejection::malformed(format!("`{what}` is not canonical base64")))
}

impl Bundle {
    /// Reads the form of a bundle.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ModelRejection> {
        let parsed: BundleJson = json::typed(bytes, MAX_BUNDLE).map_err(|fault| match fault {
            JsonFault::TooLong { limit } => ModelRejection::TooLarge { limit },
            JsonFault::Form(detail) => ModelRejection::Malformed { detail: shown(&detail) },
        })?;
        if parsed.media_type != MEDIA_TYPE {
            return Err(ModelRejection::malformed(format!(
                "media type `{}`",
                shown(&parsed.media_type)
            )));
        }
        let envelope = parsed.envelope;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(ModelRejection::PayloadType {
                found: shown(&envelope.payload_type),
            });
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(ModelRejection::SignatureCount {
                found: envelope.signatures.len(),
            });
        };
        if signature.keyid.as_deref().is_some_and(|id| !id.is_empty()) {
            return Err(ModelRejection::malformed("a `keyid` that nothing checks"));
        }
        let bundle = Self {
            material: material(parsed.material)?,
            payload: decode("payload", &envelope.payload)?,
            signature: decode("sig", &signature.sig)?,
        };
        if bundle.payload.is_empty() || bundle.signature.is_empty() {
            return Err(ModelRejection::malformed("an empty payload or signature"));
        }
        Ok(bundle)
    }
}

fn material(json: MaterialJson) -> Result<Material, ModelRejection> {
    let proofs = json.log_entries.len();
    let timestamps = json.timestamps.map_or(0, |stamps| stamps.rfc3161.len());
    match (json.public_key, json.chain, json.certificate) {
        (Some(key), None, None) if proofs == 0 && timestamps == 0 => match key.hint {
            Some(hint) if !hint.is_empty() => Ok(Material::Key { hint }),
            _ => Err(ModelRejection::HintMissing),
        },
        (None, Some(chain), None) if proofs == 0 && timestamps == 0 => {
            if chain.certificates.is_empty() || chain.certificates.len() > MAX_CHAIN {
                return Err(ModelRejection::malformed(format!(
                    "{} certificates",
                    chain.certificates.len()
                )));
            }
            let chain: Result<_, _> = chain
                .certificates
                .iter()
                .map(|one| decode("rawBytes", &one.raw))
                .collect();
            Ok(Material::Chain(chain?))
        }
        (None, None, Some(certificate)) => {
            if proofs == 0 || proofs > MAX_PROOFS || timestamps > MAX_PROOFS {
                return Err(ModelRejection::malformed(format!(
                    "{proofs} log entries, {timestamps} timestamps"
                )));
            }
            decode("rawBytes", &certificate.raw)?;
            Ok(Material::Keyless)
        }
        _ => Err(ModelRejection::malformed(
            "not exactly one of key, certificate chain and keyless certificate",
        )),
    }
}

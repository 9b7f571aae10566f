//! Signed documents between console and box: assignment, settings, lease. DSSE over JSON.
//!
//! Refuses a document for another fleet or box, one that is not newer than the last one, and one that has expired. The
//! payload is verified first and read afterwards. Invariant: a stolen assignment is worth nothing on another box, and an
//! old one nothing on the same.

mod assignment;
mod lease;
mod rejection;
mod settings;

pub use assignment::{
    ASSIGNMENT_TYPE, AssignedTarget, Assignment, AssignmentExpectation, AssignmentUse, sign_assignment,
    verify_assignment,
};
pub use lease::{Every, LEASE_TYPE, Lease, LeaseExpectation, LeaseRejection, LeasedModels, sign_lease, verify_lease};
pub use rejection::AssignmentRejection;
pub use settings::{SETTINGS_TYPE, Settings, settings_digest, sign_settings, verify_settings};

use freehold_trust::dsse::{DsseRejection, Envelope};
use freehold_trust::key::PublicKey;
use serde::de::DeserializeOwned;

use crate::json;
use crate::text::shown;

/// Bounds an envelope: a thousand assigned targets fit.
pub const MAX_DOCUMENT: usize = 1024 * 1024;
/// The major version of these documents; another one is refused.
pub const DOCUMENT_VERSION: u32 = 1;

/// Opens an envelope: form, type, one signature by `key`, then strict JSON of version 1.
fn open<T: DeserializeOwned>(bytes: &[u8], kind: &str, key: &PublicKey) -> Result<T, AssignmentRejection> {
    let malformed = |detail: String| AssignmentRejection::Malformed { detail: shown(&detail) };
    // Duplicate keys in the envelope itself are refused, too.
    json::parse(bytes, MAX_DOCUMENT).map_err(|fault| malformed(fault.to_string()))?;
    let envelope = Envelope::parse(bytes, MAX_DOCUMENT).map_err(|fault| malformed(fault.to_string()))?;
    if envelope.signatures.len() != 1 {
        return Err(malformed(format!("{} signatures", envelope.signatures.len())));
    }
    let payload = envelope
        .verify(kind, std::slice::from_ref(key), 1)
        .map_err(|fault| match fault {
            DsseRejection::Threshold { .. } => AssignmentRejection::Signature,
            other => malformed(other.to_string()),
        })?;
    let value = json::parse(&payload, MAX_DOCUMENT).map_err(|fault| malformed(fault.to_string()))?;
    let version = value.get("v").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(DOCUMENT_VERSION)) {
        let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(AssignmentRejection::Version { found });
    }
    serde_json::from_value(value).map_err(|error| malformed(error.to_string()))
}

/// Serialises a document for signing. Strings, numbers and lists only: this cannot fail.
fn payload<T: serde::Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

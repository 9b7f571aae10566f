//! Settings: what operators want of a box beyond its releases, signed by the director and named by the assignment.
//!
//! Refuses settings whose digest is not the one in the assignment, so that neither can be exchanged alone. Invariant: the
//! digest is over the signed payload, not over a re-serialisation.

use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_trust::dsse::Envelope;
use freehold_trust::key::PublicKey;
use freehold_trust::signing::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AssignmentRejection, MAX_DOCUMENT, open, payload};
use crate::text::shown;
use crate::verified::Verified;

/// The DSSE payload type of settings.
pub const SETTINGS_TYPE: &str = "application/vnd.freehold.settings.v1+json";

/// What operators want.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Major version, 1.
    pub v: u32,
    /// The fleet's id.
    pub fleet: String,
    /// Named values; who reads one checks its type.
    pub values: Map<String, Value>,
}

/// SHA-256 of the payload of a settings envelope, as an assignment names it; `None` when the bytes are no envelope.
#[must_use]
pub fn settings_digest(envelope: &[u8]) -> Option<Sha256Digest> {
    Some(sha256(&Envelope::parse(envelope, MAX_DOCUMENT).ok()?.payload))
}

/// Verifies settings against the director key and the digest that a verified assignment names.
///
/// # Errors
/// [`AssignmentRejection`].
pub fn verify_settings(
    envelope: &[u8],
    director: &PublicKey,
    fleet: &str,
    expected: Sha256Digest,
) -> Result<Verified<Settings>, AssignmentRejection> {
    let settings: Settings = open(envelope, SETTINGS_TYPE, director)?;
    if settings.fleet != fleet {
        return Err(AssignmentRejection::OtherFleet {
            expected: fleet.to_owned(),
            found: shown(&settings.fleet),
        });
    }
    let found = settings_digest(envelope).unwrap_or_default();
    if found != expected {
        return Err(AssignmentRejection::Settings {
            expected: expected.to_hex(),
            found: found.to_hex(),
        });
    }
    Ok(Verified::seal(settings))
}

/// Signs settings; what the console does. The result is the envelope's JSON.
#[must_use]
pub fn sign_settings(settings: &Settings, director: &SigningKey) -> Vec<u8> {
    Envelope::sign(SETTINGS_TYPE, &payload(settings), &[director]).to_json()
}

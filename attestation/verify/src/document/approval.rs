//! An approval: a person's signature over the digest of a plan, by a key from the offline-signed policy.
//!
//! Refuses an approval of another plan or fleet, and one whose time is over. Passkeys (WebAuthn assertions) come later and
//! will be another payload type. Invariant: the console's keys cannot make one.

use freehold_trust::digest::Sha256Digest;
use freehold_trust::dsse::Envelope;
use freehold_trust::key::PublicKey;
use freehold_trust::signing::SigningKey;
use serde::{Deserialize, Serialize};

use super::{AssignmentRejection, open, payload};
use crate::text::shown;
use crate::verified::Verified;

/// The DSSE payload type of an approval.
pub const APPROVAL_TYPE: &str = "application/vnd.freehold.approval.v1+json";

/// One person's yes to one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Major version, 1.
    pub v: u32,
    /// The fleet's id.
    pub fleet: String,
    /// Digest of the plan that was shown.
    pub plan: Sha256Digest,
    /// The approver's name in the policy.
    pub approver: String,
    /// Unix seconds after which it no longer counts.
    pub not_after: i64,
}

/// Verifies one approval of `plan` with the approver's key; `now` in unix seconds.
///
/// # Errors
/// [`AssignmentRejection`].
pub fn verify_approval(
    envelope: &[u8],
    approver: &PublicKey,
    fleet: &str,
    plan: Sha256Digest,
    now: i64,
) -> Result<Verified<Approval>, AssignmentRejection> {
    let approval: Approval = open(envelope, APPROVAL_TYPE, approver)?;
    if approval.fleet != fleet {
        return Err(AssignmentRejection::OtherFleet {
            expected: fleet.to_owned(),
            found: shown(&approval.fleet),
        });
    }
    if approval.plan != plan {
        return Err(AssignmentRejection::OtherPlan {
            expected: plan.to_hex(),
            found: approval.plan.to_hex(),
        });
    }
    if approval.not_after < now {
        return Err(AssignmentRejection::Expired {
            not_after: approval.not_after,
            now,
        });
    }
    Ok(Verified::seal(approval))
}

/// Signs an approval. The result is the envelope's JSON.
#[must_use]
pub fn sign_approval(approval: &Approval, approver: &SigningKey) -> Vec<u8> {
    Envelope::sign(APPROVAL_TYPE, &payload(approval), &[approver]).to_json()
}

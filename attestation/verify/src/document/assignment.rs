//! The assignment: which signed releases one box should run, signed by the console's director key.
//!
//! Refuses to say that a target exists: the box looks each one up in the verified TUF targets. Invariant: the counter only
//! rises; the same counter is taken again only to resume what was already accepted.

use freehold_trust::digest::Sha256Digest;
use freehold_trust::dsse::Envelope;
use freehold_trust::key::PublicKey;
use freehold_trust::signing::SigningKey;
use serde::{Deserialize, Serialize};

use super::{AssignmentRejection, open, payload};
use crate::text::shown;
use crate::verified::Verified;

/// The DSSE payload type of an assignment.
pub const ASSIGNMENT_TYPE: &str = "application/vnd.freehold.assignment.v1+json";

/// What one box should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Major version, 1.
    pub v: u32,
    /// The fleet's id.
    pub fleet: String,
    /// The site within the fleet.
    pub site: String,
    /// The box's id.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Rises with each assignment to this box.
    pub counter: u64,
    /// Unix seconds after which it is not newly taken.
    pub not_after: i64,
    /// The releases, by their descriptor's target name.
    pub targets: Vec<AssignedTarget>,
    /// Releases that the box keeps in its store after their successor is confirmed, so that it can be sent back to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<AssignedTarget>,
    /// SHA-256 of the settings document's payload; see [`super::settings_digest`].
    pub settings_digest: Sha256Digest,
    /// SHA-256 of each [`crate::approval::ApprovalPackage`] that belongs to it; the packages travel beside it.
    pub approvals: Vec<Sha256Digest>,
}

/// One release in an assignment, pinned by the descriptor's length and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignedTarget {
    /// TUF target name of the descriptor, for example `models/guide/1.0.0/release.json`.
    pub name: String,
    /// Length of the descriptor in bytes.
    pub length: u64,
    /// SHA-256 of the descriptor.
    pub sha256: Sha256Digest,
    /// Hardware classes that it is meant for; empty means any.
    pub hardware: Vec<String>,
}

/// What the box is about to do with the assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentUse {
    /// Take a new one: the counter must be newer, and it must not have expired.
    Install,
    /// Go on with the stored one after a restart: the counter must be the last one, its time does not matter.
    Resume,
}

/// What the box knows about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentExpectation {
    /// The fleet it belongs to.
    pub fleet: String,
    /// Its own id.
    pub box_id: String,
    /// The counter of the last accepted assignment, if there was one.
    pub last_counter: Option<u64>,
    /// What it is about to do.
    pub purpose: AssignmentUse,
}

/// Verifies an assignment's envelope with the director key that the box pinned; `now` in unix seconds.
///
/// # Errors
/// [`AssignmentRejection`]; signature before content, fleet before box before counter before time.
pub fn verify_assignment(
    envelope: &[u8],
    director: &PublicKey,
    expectation: &AssignmentExpectation,
    now: i64,
) -> Result<Verified<Assignment>, AssignmentRejection> {
    let assignment: Assignment = open(envelope, ASSIGNMENT_TYPE, director)?;
    if assignment.fleet != expectation.fleet {
        let found = shown(&assignment.fleet);
        return Err(AssignmentRejection::OtherFleet {
            expected: expectation.fleet.clone(),
            found,
        });
    }
    if assignment.box_id != expectation.box_id {
        let found = shown(&assignment.box_id);
        return Err(AssignmentRejection::OtherBox {
            expected: expectation.box_id.clone(),
            found,
        });
    }
    let found = assignment.counter;
    match (expectation.purpose, expectation.last_counter) {
        (AssignmentUse::Install, Some(last)) if found <= last => {
            return Err(AssignmentRejection::Rollback { last, found });
        }
        (AssignmentUse::Resume, last) if last != Some(found) => {
            return Err(AssignmentRejection::Rollback {
                last: last.unwrap_or(0),
                found,
            });
        }
        _ => {}
    }
    if expectation.purpose == AssignmentUse::Install && assignment.not_after < now {
        return Err(AssignmentRejection::Expired {
            not_after: assignment.not_after,
            now,
        });
    }
    Ok(Verified::seal(assignment))
}

/// Signs an assignment; what the console does. The result is the envelope's JSON.
#[must_use]
pub fn sign_assignment(assignment: &Assignment, director: &SigningKey) -> Vec<u8> {
    Envelope::sign(ASSIGNMENT_TYPE, &payload(assignment), &[director]).to_json()
}

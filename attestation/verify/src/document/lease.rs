//! The verdict lease: the director's word that a box had a good verdict, for one boot of one TPM, until a time.
//!
//! Refuses a lease for another fleet, box, attestation key or boot, an older one than was seen, and one whose time is over.
//! Invariant: a lease that names no model is a withdrawal, and what a lease does not name it does not cover.

use std::collections::BTreeSet;

use freehold_trust::digest::Sha256Digest;
use freehold_trust::dsse::Envelope;
use freehold_trust::key::PublicKey;
use freehold_trust::signing::SigningKey;
use serde::{Deserialize, Serialize};

use super::{AssignmentRejection, open, payload};
use crate::rejection::Refusal;
use crate::text::shown;
use crate::verified::Verified;

/// The DSSE payload type of a lease.
pub const LEASE_TYPE: &str = "application/vnd.freehold.lease.v1+json";

/// The one word that stands for every model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Every model of the box.
    All,
}

/// The models that a lease covers: `"all"`, or a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LeasedModels {
    /// Every model.
    Every(Every),
    /// These, by name. An empty list covers nothing: the lease is withdrawn.
    Named(BTreeSet<String>),
}

impl LeasedModels {
    /// Every model.
    pub const ALL: Self = Self::Every(Every::All);

    /// No model: a withdrawal.
    #[must_use]
    pub const fn none() -> Self {
        Self::Named(BTreeSet::new())
    }
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Major version, 1.
    pub v: u32,
    /// The fleet's id.
    pub fleet: String,
    /// The box's id.
    #[serde(rename = "box")]
    pub box_id: String,
    /// SHA-256 over the TPMT_PUBLIC of the box's attestation key.
    pub ak: Sha256Digest,
    /// The TPM's count of resets in the quote that the verdict was about: one boot of the box.
    pub reset_count: u32,
    /// Rises whenever a person withdraws or grants: a lease from before does not come back.
    pub counter: u64,
    /// What it covers.
    pub models: LeasedModels,
    /// Unix seconds after which it covers nothing.
    pub not_after: i64,
}

/// What a box knows about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseExpectation {
    /// The fleet that it belongs to.
    pub fleet: String,
    /// Its own id.
    pub box_id: String,
    /// SHA-256 over the TPMT_PUBLIC of its attestation key.
    pub ak: Sha256Digest,
    /// Its TPM's count of resets; `None` when the TPM has not said it since the start.
    pub reset_count: Option<u32>,
    /// The highest counter that it has seen.
    pub last_counter: u64,
}

/// Verifies a lease with the director key that the box pinned. Whether its time is over is asked with [`Lease::covers`], at
/// every use: a lease that was good when it came ends all the same.
///
/// # Errors
/// [`LeaseRejection`]; signature before content, fleet before box before key before boot before counter.
pub fn verify_lease(
    envelope: &[u8],
    director: &PublicKey,
    expectation: &LeaseExpectation,
) -> Result<Verified<Lease>, LeaseRejection> {
    let lease: Lease = open(envelope, LEASE_TYPE, director)?;
    if lease.fleet != expectation.fleet {
        return Err(LeaseRejection::OtherFleet {
            expected: expectation.fleet.clone(),
            found: shown(&lease.fleet),
        });
    }
    if lease.box_id != expectation.box_id {
        return Err(LeaseRejection::OtherBox {
            expected: expectation.box_id.clone(),
            found: shown(&lease.box_id),
        });
    }
    if lease.ak != expectation.ak {
        return Err(LeaseRejection::OtherKey {
            expected: expectation.ak.to_hex(),
            found: lease.ak.to_hex(),
        });
    }
    let Some(expected) = expectation.reset_count else {
        return Err(LeaseRejection::BootUnknown);
    };
    if lease.reset_count != expected {
        return Err(LeaseRejection::OtherBoot {
            expected,
            found: lease.reset_count,
        });
    }
    if lease.counter < expectation.last_counter {
        return Err(LeaseRejection::Rollback {
            last: expectation.last_counter,
            found: lease.counter,
        });
    }
    Ok(Verified::seal(lease))
}

/// Signs a lease; what the console does. The result is the envelope's JSON.
#[must_use]
pub fn sign_lease(lease: &Lease, director: &SigningKey) -> Vec<u8> {
    Envelope::sign(LEASE_TYPE, &payload(lease), &[director]).to_json()
}

impl Lease {
    /// Whether `model` may run under it at `now`, unix seconds.
    ///
    /// # Errors
    /// [`LeaseRejection::Withdrawn`], [`LeaseRejection::OtherModel`], [`LeaseRejection::Expired`].
    pub fn covers(&self, model: &str, now: i64) -> Result<(), LeaseRejection> {
        match &self.models {
            LeasedModels::Every(Every::All) => {}
            LeasedModels::Named(names) if names.is_empty() => return Err(LeaseRejection::Withdrawn),
            LeasedModels::Named(names) if names.contains(model) => {}
            LeasedModels::Named(_) => {
                return Err(LeaseRejection::OtherModel { model: shown(model) });
            }
        }
        if self.not_after < now {
            return Err(LeaseRejection::Expired {
                not_after: self.not_after,
                now,
            });
        }
        Ok(())
    }
}

/// Why a lease does not let a model run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseRejection {
    /// There is none.
    #[error("policy demands a fresh verdict of the console for this model, and there is no lease")]
    Missing,
    /// Not an envelope, not the expected payload type, or not the document's shape.
    #[error("the lease is malformed: {detail}")]
    Malformed {
        /// Which part, and how.
        detail: String,
    },
    /// The signature is not by the director.
    #[error("the lease is not signed by this fleet's director")]
    Signature,
    /// Another major version.
    #[error("the lease has version `{found}`")]
    Version {
        /// The version that stood there.
        found: String,
    },
    /// For another fleet.
    #[error("the lease is for the fleet `{found}`")]
    OtherFleet {
        /// This box's fleet.
        expected: String,
        /// The fleet that stood there.
        found: String,
    },
    /// For another box.
    #[error("the lease is for the box `{found}`")]
    OtherBox {
        /// This box.
        expected: String,
        /// The box that stood there.
        found: String,
    },
    /// For another attestation key.
    #[error("the lease is for another attestation key")]
    OtherKey {
        /// SHA-256 of this box's, hex.
        expected: String,
        /// What stood there.
        found: String,
    },
    /// For another boot.
    #[error("the lease is for another boot: its TPM had been reset {found} times, now it is {expected}")]
    OtherBoot {
        /// The TPM's count of resets now.
        expected: u32,
        /// The count that stood there.
        found: u32,
    },
    /// The TPM has not said which boot this is.
    #[error("the TPM has not said which boot this is")]
    BootUnknown,
    /// Older than one that was seen.
    #[error("the lease has the counter {found}, and {last} was seen")]
    Rollback {
        /// The highest counter seen.
        last: u64,
        /// The counter that stood there.
        found: u64,
    },
    /// The console took it back.
    #[error("the console withdrew the lease")]
    Withdrawn,
    /// It names other models.
    #[error("the lease does not cover the model `{model}`")]
    OtherModel {
        /// The model.
        model: String,
    },
    /// Its time is over.
    #[error("the lease ended at {not_after} (unix seconds)")]
    Expired {
        /// Unix seconds.
        not_after: i64,
        /// Now, unix seconds.
        now: i64,
    },
}

impl LeaseRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "lease.missing",
        "lease.malformed",
        "lease.signature",
        "lease.version",
        "lease.other_fleet",
        "lease.other_box",
        "lease.other_key",
        "lease.other_boot",
        "lease.boot_unknown",
        "lease.rollback",
        "lease.withdrawn",
        "lease.other_model",
        "lease.expired",
    ];
}

impl From<AssignmentRejection> for LeaseRejection {
    /// What opening an envelope can answer; anything else is a document of another shape.
    fn from(rejection: AssignmentRejection) -> Self {
        match rejection {
            AssignmentRejection::Signature => Self::Signature,
            AssignmentRejection::Version { found } => Self::Version { found },
            AssignmentRejection::Malformed { detail } => Self::Malformed { detail },
            other => Self::Malformed {
                detail: other.to_string(),
            },
        }
    }
}

impl Refusal for LeaseRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "lease.missing",
            Self::Malformed { .. } => "lease.malformed",
            Self::Signature => "lease.signature",
            Self::Version { .. } => "lease.version",
            Self::OtherFleet { .. } => "lease.other_fleet",
            Self::OtherBox { .. } => "lease.other_box",
            Self::OtherKey { .. } => "lease.other_key",
            Self::OtherBoot { .. } => "lease.other_boot",
            Self::BootUnknown => "lease.boot_unknown",
            Self::Rollback { .. } => "lease.rollback",
            Self::Withdrawn => "lease.withdrawn",
            Self::OtherModel { .. } => "lease.other_model",
            Self::Expired { .. } => "lease.expired",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Version { .. } => Some(super::DOCUMENT_VERSION.to_string()),
            Self::OtherFleet { expected, .. } | Self::OtherBox { expected, .. } | Self::OtherKey { expected, .. } => {
                Some(expected.clone())
            }
            Self::OtherBoot { expected, .. } => Some(expected.to_string()),
            Self::Rollback { last, .. } => Some(format!("at least {last}")),
            Self::Expired { now, .. } => Some(format!("at least {now}")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Version { found }
            | Self::OtherFleet { found, .. }
            | Self::OtherBox { found, .. }
            | Self::OtherKey { found, .. } => Some(found.clone()),
            Self::OtherBoot { found, .. } => Some(found.to_string()),
            Self::Rollback { found, .. } => Some(found.to_string()),
            Self::Expired { not_after, .. } => Some(not_after.to_string()),
            _ => None,
        }
    }
}

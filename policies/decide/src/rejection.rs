//! Why a policy bundle cannot be used.
//!
//! Refuses to use half of a bundle. Invariant: every variant has the code `policy.unusable`, and whoever gets one denies.

use freehold_verify::Refusal;

/// A policy bundle that cannot be used; every decision is "no" until there is a usable one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyUnusable {
    /// It is larger than policies ever are.
    #[error("the policy bundle has {found} {unit}, at most {limit} are read")]
    TooLarge {
        /// What was counted.
        unit: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// It is not the JSON that a bundle is.
    #[error("the policy bundle is not one: {fault}")]
    Malformed {
        /// What is wrong.
        fault: String,
    },
    /// It was made for another schema.
    #[error("the policy bundle is for another schema")]
    OtherSchema {
        /// SHA-256 of the schema here.
        expected: String,
        /// SHA-256 that the bundle names.
        found: String,
    },
    /// There is no policy in it.
    #[error("the policy bundle holds no policy")]
    Empty,
    /// A policy does not parse, does not fit the schema, or lacks an annotation.
    #[error("policy `{policy}` cannot be used: {fault}")]
    Policy {
        /// The file, or the policy's id.
        policy: String,
        /// What is wrong.
        fault: String,
    },
}

impl Refusal for PolicyUnusable {
    fn code(&self) -> &'static str {
        "policy.unusable"
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::OtherSchema { expected, .. } => Some(expected.clone()),
            Self::TooLarge { limit, .. } => Some(limit.to_string()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::OtherSchema { found, .. } => Some(found.clone()),
            Self::TooLarge { found, .. } => Some(found.to_string()),
            _ => None,
        }
    }
}

/// Every code that a decision may carry beside those of verifiers.
pub const CODES: &[&str] = &[
    "policy.unusable",
    "policy.no_permit",
    "policy.evaluation",
    "policy.input_too_large",
    "policy.evidence_refused",
    "policy.evidence_absent",
    "policy.evidence_stale",
    "policy.boot_not_shown",
    "policy.simulated_not_allowed",
    "policy.record_broken",
    "policy.record_not_shown",
    "policy.os_revoked",
    "policy.os_below_floor",
    "policy.os_not_known",
    "policy.secure_boot_off",
    "policy.development_keys",
    "policy.firmware_changed",
    "policy.firmware_note",
    "policy.not_assigned",
    "policy.order_not_known",
    "policy.revocation_not_known",
    "policy.model_unsigned",
    "policy.model_signer",
    "policy.model_files",
    "policy.model_format",
    "policy.model_licence",
    "policy.model_hardware",
    "policy.model_base",
    "policy.engine_advisory",
    "policy.token",
    "policy.endpoint",
    "policy.model_of_token",
    "policy.model_not_running",
    "policy.lease_lost",
    "policy.account",
    "policy.session",
    "policy.site",
    "policy.own_proposal",
];

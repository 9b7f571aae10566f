//! How the console says no over HTTP: a status, a stable code, and sentences for a person.
//!
//! Refuses to show what went wrong inside: that goes to the log, with the same request id. Invariant: every answer that is not
//! a success is made here.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use freehold_fleet::FleetRejection;
use freehold_verify::{Refusal, RefusalReport};
use serde::Serialize;

/// The codes that this program adds to those of the crates it carries.
pub const CODES: &[&str] = &[
    "console.unreadable",
    "console.not_found",
    "console.inside",
    "console.no_certificate",
    "console.unknown_key",
    "console.too_large",
    "console.too_slow",
    "console.bad_range",
    "console.conflict",
    "console.not_ready",
    "console.other_origin",
    "console.csrf",
    "console.not_signed_in",
    "console.password_must_change",
    "console.sign_in_refused",
    "console.too_many_failures",
    "console.bad_password",
    "console.bad_account",
    "console.bad_role",
    "console.last_administrator",
    "console.plan_changed",
    "console.plan_decided",
    "console.verification_failed",
    "release.other_root",
    "release.no_root",
    "release.incomplete",
    "record.old_size",
    "record.key_unknown",
    "console.plan_interrupted",
    "bundle.part_size",
    "console.other_passkey",
    "console.bad_passkey",
    "rollout.passkey_wanted",
    "rollout.password_wanted",
    "console.second_factor",
    "console.bad_site",
    "console.bad_token",
    "console.token_scope",
    "console.outside_refused",
    "console.outside_unknown",
];

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The HTTP status.
    pub status: StatusCode,
    /// Code, message, expected and found.
    pub report: RefusalReport,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u32>,
}

/// The document that a refusal is, as `docs/console.md` describes it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The stable code.
    pub code: String,
    /// What exactly, one line.
    pub message: String,
    /// What it means, for a person.
    pub means: String,
    /// What to do next.
    #[serde(rename = "do")]
    pub next: String,
    /// What would have been accepted.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
    /// Names this request in the log.
    pub request_id: String,
}

impl Refused {
    /// A refusal by code.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let report = RefusalReport {
            code: code.to_owned(),
            message: message.into(),
            expected: None,
            found: None,
        };
        Self {
            status,
            report,
            retry_after: None,
        }
    }

    /// From a verifier's refusal; 422.
    #[must_use]
    pub fn of(refusal: &dyn Refusal) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            report: refusal.report(),
            retry_after: None,
        }
    }

    /// A refusal that is data already; 422.
    #[must_use]
    pub fn reported(report: RefusalReport) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            report,
            retry_after: None,
        }
    }

    /// The request could not be read.
    #[must_use]
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "console.unreadable", message)
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "console.not_found",
            format!("there is no such {what}"),
        )
    }

    /// Something inside failed: the reason goes to the log only.
    #[must_use]
    pub fn inside(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        tracing::error!(error = %text.escape_debug(), "inside failure");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "console.inside",
            "the console could not do it; the log says why",
        )
    }

    /// The record is not durable: nothing was done.
    #[must_use]
    pub fn not_durable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "record.not_durable",
            "the record could not be written, nothing was done",
        )
    }

    /// The document.
    #[must_use]
    pub fn problem(&self, request_id: &str) -> Problem {
        let said = freehold_explain::explain(&self.report.code);
        let (means, next) = said.map(|said| (said.means, said.next)).unwrap_or_default();
        Problem {
            code: self.report.code.clone(),
            message: self.report.message.clone(),
            means,
            next,
            expected: self.report.expected.clone(),
            found: self.report.found.clone(),
            request_id: request_id.to_owned(),
        }
    }
}

/// The request's name in the log.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

tokio::task_local! {
    /// The name of the request being answered.
    pub static REQUEST: String;
}

/// The name of the request being answered, empty outside of one.
#[must_use]
pub fn request_id() -> String {
    REQUEST.try_with(Clone::clone).unwrap_or_default()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.problem(&request_id()))).into_response();
        if let Some(value) = self
            .retry_after
            .and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok())
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        // A page turns the refusal into a page; see `people::routes`.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<FleetRejection> for Refused {
    fn from(rejection: FleetRejection) -> Self {
        use FleetRejection as R;
        let status = match rejection {
            R::BadBoxId { .. }
            | R::BadLabel { .. }
            | R::BadTargets { .. }
            | R::BadToken { .. }
            | R::BadLease { .. } => StatusCode::BAD_REQUEST,
            R::IdTaken { .. }
            | R::EkTaken { .. }
            | R::KeyTaken { .. }
            | R::NothingWaits { .. }
            | R::FingerprintDiffers { .. }
            | R::CounterNotNext { .. }
            | R::RecordRollback { .. } => StatusCode::CONFLICT,
            R::UnknownBox { .. } | R::TokenUnknown { .. } => StatusCode::NOT_FOUND,
            R::Busy { .. } | R::NonceRepeated => StatusCode::SERVICE_UNAVAILABLE,
            R::OtherFleet { .. }
            | R::OtherSite { .. }
            | R::SimulatedRefused
            | R::RefusedByPerson { .. }
            | R::NotTrusted { .. }
            | R::EkNotApproved { .. } => StatusCode::FORBIDDEN,
            R::SessionUnknown
            | R::SessionExpired
            | R::SessionOfOtherKey
            | R::ProofFailed { .. }
            | R::NonceUnknown { .. }
            | R::NonceSuperseded
            | R::NonceUsed
            | R::NonceExpired { .. }
            | R::NonceOfOtherBox { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut refused = Self::of(&rejection);
        // The verifier's own code says more than "the proof failed".
        if let R::ProofFailed { code, .. } = &rejection {
            refused.report.code = (*code).to_owned();
        }
        // A box's page or route must not learn which box owns what from a stranger's question.
        if matches!(
            rejection,
            R::EkTaken { .. } | R::KeyTaken { .. } | R::NonceOfOtherBox { .. }
        ) {
            refused.report.message = match rejection {
                R::EkTaken { .. } => "this endorsement key is enrolled under another name",
                R::KeyTaken { .. } => "this TLS key belongs to another box",
                _ => "the nonce was issued to another box",
            }
            .to_owned();
        }
        refused.status = status;
        refused
    }
}

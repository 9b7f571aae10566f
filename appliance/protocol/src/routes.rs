//! The paths of the console's port for boxes, in one place for both sides.
//!
//! Invariant: who may call a route is said beside its path; the console's golden matrix is checked against this list.

/// Who may call a route of the boxes' port. The port asks every caller for a client certificate and proof of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Any key: how a box that nobody knows yet begins.
    Anyone,
    /// A key of an approved box; its certificate may have expired (it may only attest and renew).
    KnownKey,
    /// A key of an approved box with a certificate of the fleet CA that has not expired.
    CurrentCertificate,
}

/// `GET`: → [`crate::enrol::Pairing`]: for a box whose console was typed by address and fingerprint; a person compares the rest.
pub const PAIRING: &str = "/box/v1/pairing";
/// `POST`: [`crate::enrol::EnrolBegin`] → [`crate::enrol::EnrolChallenge`].
pub const ENROL_BEGIN: &str = "/box/v1/enrol/begin";
/// `POST`: [`crate::enrol::EnrolActivate`] → [`crate::enrol::EnrolStatus`].
pub const ENROL_ACTIVATE: &str = "/box/v1/enrol/activate";
/// `GET`: → [`crate::enrol::EnrolStatus`] of the calling key.
pub const ENROL_STATUS: &str = "/box/v1/enrol/status";
/// `POST`: [`crate::report::ChallengeRequest`] → [`crate::report::Challenge`].
pub const CHALLENGE: &str = "/box/v1/challenge";
/// `POST`: deterministic CBOR evidence (`application/vnd.freehold.evidence+cbor`) → [`crate::report::VerdictAnswer`].
pub const EVIDENCE: &str = "/box/v1/evidence";
/// `GET`: → the DSSE envelope of the assignment, or 204 when there is none.
pub const ASSIGNMENT: &str = "/box/v1/assignment";
/// `GET`: → the DSSE envelope of the verdict lease, or 204 when the console has nothing to say.
pub const LEASE: &str = "/box/v1/lease";
/// `GET`, followed by the SHA-256 (hex) that the assignment names: → [`freehold_verify::approval::ApprovalPackage`].
pub const APPROVALS: &str = "/box/v1/approvals/";
/// `GET`, followed by a TUF metadata file name.
pub const REPOSITORY_METADATA: &str = "/box/v1/repository/metadata/";
/// `GET`, followed by a TUF target's path; answers `Range` requests.
pub const REPOSITORY_TARGETS: &str = "/box/v1/repository/targets/";
/// `POST`: [`crate::report::BoxReport`] → [`crate::report::ReportAnswer`].
pub const REPORT: &str = "/box/v1/report";
/// `POST`: [`crate::report::RecordCheckpoint`] → [`crate::report::RecordCosignature`].
pub const RECORD: &str = "/box/v1/record";

/// `POST`: [`crate::witness::WitnessAsk`] → [`crate::witness::WitnessOffers`].
pub const WITNESS: &str = "/box/v1/witness";

/// Every route of the boxes' port with its caller; a prefix ends in `/`.
pub const BOX_ROUTES: &[(&str, &str, Caller)] = &[
    ("GET", PAIRING, Caller::Anyone),
    ("POST", ENROL_BEGIN, Caller::Anyone),
    ("POST", ENROL_ACTIVATE, Caller::Anyone),
    ("GET", ENROL_STATUS, Caller::Anyone),
    ("POST", CHALLENGE, Caller::KnownKey),
    ("POST", EVIDENCE, Caller::KnownKey),
    ("GET", ASSIGNMENT, Caller::CurrentCertificate),
    ("GET", LEASE, Caller::KnownKey),
    ("GET", APPROVALS, Caller::CurrentCertificate),
    ("GET", REPOSITORY_METADATA, Caller::CurrentCertificate),
    ("GET", REPOSITORY_TARGETS, Caller::CurrentCertificate),
    ("POST", REPORT, Caller::CurrentCertificate),
    ("POST", RECORD, Caller::CurrentCertificate),
    ("POST", WITNESS, Caller::CurrentCertificate),
];

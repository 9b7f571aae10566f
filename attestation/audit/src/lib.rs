//! The audit: what an auditor is told, and how a stranger checks it.
//!
//! A report is a set of files: evidence, proofs that the console's record tells of it, a piece of that record, the controls as
//! data, and an assessment (OSCAL) that follows from all of them. Refuses to call anything satisfied that fresh evidence of an
//! attested box does not show; refuses clocks, files and networks. The one invariant: what is written is computed by the same
//! functions that check it, from nothing but the files of the report.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod check;
mod controls;
mod document;
mod identifier;
mod judge;
mod make;
mod oscal;
mod page;
mod range;
mod rejection;
mod resolve;
mod verify;
mod world;

pub use check::{Check, CheckResult, Outcome};
pub use controls::{Catalogue, Control, Finding, Framework, Status, shipped_controls};
pub use document::{BoxLine, Deed, Document, ModelLine, RecordPlace, Scope};
pub use judge::{Judged, Simulated, check_inclusion, judge, policies};
pub use make::{BoxMaterial, Material, make};
pub use page::escaped;
pub use range::Range;
pub use rejection::AuditRejection;
pub use resolve::resolve;
pub use verify::{CheckedReport, Files, check_report};
pub use world::{BoxSeen, Seen, World};

//! Is it allowed? Cedar policies over verified facts give a decision and the policies that made it.
//!
//! Refuses by default: without a usable policy, without a permit, with a forbid, or with an error while evaluating, the answer
//! is no (for evidence: unknown where nothing can be said). Refuses to read clocks, networks or files; the facts are the whole
//! input. The one invariant: the same policy bytes and the same facts give the same decision, and both hashes are in it.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod bundle;
mod console_facts;
mod context;
mod decision;
mod evidence_facts;
mod gateway_facts;
mod model_facts;
mod policy_set;
mod rejection;
mod run_facts;
mod shipped;

pub use bundle::{Bundle, BundleData, Level};
pub use console_facts::{Account, ConsoleFacts, Proposer, Session};
pub use decision::{Decision, EvidenceDecision, Permission, Reason, Verdict};
pub use evidence_facts::{EvidenceFacts, OsStanding, QuoteStanding, RecordStanding, SeenClaims};
pub use gateway_facts::{GatewayFacts, LeaseStanding, ModelState, TokenStanding};
pub use model_facts::{
    AssignmentStanding, BomStanding, FilesStanding, FormatStanding, ModelFacts, OrderStanding, ReleaseStanding,
    RevocationStanding, SignatureStanding,
};
pub use policy_set::{PolicySet, PolicySummary};
pub use rejection::{CODES, PolicyUnusable};
pub use run_facts::{HeldStanding, RunFacts};
pub use shipped::{SCHEMA, shipped_policies};

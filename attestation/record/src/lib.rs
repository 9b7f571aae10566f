//! The record: a log that can only grow, and proofs that it did.
//!
//! RFC 6962 hashing, C2SP tlog-tiles coordinates and encodings, checkpoints as C2SP signed notes, cosignatures, and the schema
//! of an entry. Refuses to do I/O or to read a clock, and refuses notes that are almost well formed. The one invariant: a proof
//! that verifies here verifies with any other implementation of RFC 6962, and the other way round.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod checkpoint;
pub mod commitment;
pub mod cosignature;
pub mod entry;
pub mod note;
pub mod proof;
mod rejection;
pub mod schema;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use commitment::{Commitment, commitment};
pub use cosignature::{cosign, cosignatures};
pub use entry::{Entry, EntryView, RefusalNote, Value};
pub use note::{NoteSigner, SignedNote, VerifierKey};
pub use proof::{consistency, inclusion, verify_consistency, verify_inclusion};
pub use rejection::RecordRejected;
pub use tlog_proof::TlogProof;
pub use tree::{Frontier, HashSource, empty_root, leaf_hash, node_hash};

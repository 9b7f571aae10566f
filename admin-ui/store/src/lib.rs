//! What the console keeps: SQLite in its state folder, one writer, many readers.
//!
//! Refuses to keep a secret in clear, to decide anything, and to acknowledge what is not on disk: WAL with
//! `synchronous=FULL`, one transaction per decision. Invariant: what the rules of `freehold-fleet` forbid between two boxes
//! (one EK, one name, one key) the schema forbids too, so that no race can write it.

pub mod account;
pub mod change;
pub mod fault;
pub mod history;
pub mod load;
pub mod open;
mod passkey;
pub mod pending;
pub mod rollout;
pub mod stick;

pub use account::{AccountChange, AccountRow, AlarmRow, ApiTokenRow, SessionRow};
pub use change::Change;
pub use fault::{CommitFault, StoreFault};
pub use history::VerdictRow;
pub use open::Store;
pub use passkey::{PackageRow, PasskeyChange, PasskeyRow};
pub use pending::{AcceptanceRow, FailureRow, PendingChange, PlanRow};
pub use rollout::{RolloutApprovalRow, RolloutChange, RolloutChangeRow, RolloutRow};
pub use stick::{BundleRow, ReturnRow, StickChallengeRow, StickChange};

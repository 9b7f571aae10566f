//! Approvals: people's passkeys over the plan that was shown, checked by the box against keys from the offline-signed policy.
//!
//! Refuses an approval of another plan, fleet or box, of the proposer, of somebody whom the policy does not name, by the same
//! person twice, after its time, and one that lacks people. Invariant: nothing that a console holds can make one; what the
//! console can do is to leave one out, and then the box refuses.
//!
//! What is signed is small: the [`Statement`] holds the root of a Merkle tree over the plan's box lines. A box gets the
//! statement, its own line and the path between them, never the list of all boxes.

mod approvers;
mod package;
mod rejection;
mod statement;

pub use approvers::{Approver, ApproverKey, Approvers, ApproversUnusable, MAX_APPROVERS, Rule};
pub use package::{
    Approval, ApprovalExpectation, ApprovalPackage, MAX_PACKAGE, WantedRelease, check_approvals, verify_approval,
    verify_assertion_of,
};
pub use rejection::ApprovalRejection;
pub use statement::{ApprovedRelease, BoxLine, BoxList, STATEMENT_KIND, Statement, line_list, line_path};

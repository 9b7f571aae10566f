//! Evidence: what a box says about itself, bound to one challenge by its TPM, and the verdict's facts that follow from it.
//!
//! Refuses evidence as a whole for faults of form, challenge, binding and signature. What the boot log shows is not a reason
//! to refuse but a fact with a reason: the policy denies, and a person sees the event. Invariant: every byte of accepted
//! evidence is covered by the quote's signature, directly or through a digest; but for the log of user space, which is read after the
//! quote and counts only for the PCR values that it leads to.

pub mod challenge;
pub mod claims;
pub mod codec;
pub mod package;
pub mod rejection;
pub mod verdict;

pub use challenge::{Challenge, answer};
pub use claims::{BootShown, Claims, PcrClaim, Shown};
pub use codec::{BootClaim, Bound, Checkpoint, Evidence, qualifying_data};
pub use package::{EvidencePackage, Inclusion, NamedAssignment, NamedModel, PackageFault};
pub use rejection::EvidenceRejection;
pub use verdict::{Expectation, verify_evidence};

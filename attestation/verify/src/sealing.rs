//! The sealed data volume, as far as it can be thought through without a TPM or a disk.
//!
//! Refuses to touch either: bytes come in, a decision or a refusal goes out. Invariant: a digest computed here is the one
//! that a TPM computes for the same policy commands, and nothing here says "open" or "make" unless every reason to refuse
//! that can be seen in software has been looked at. What it says is advice for people; the TPM decides.

pub mod blocks;
pub mod escrow;
pub mod floor;
pub mod partition;
pub mod policy;
pub mod preflight;
pub mod rejection;
pub mod signed;
pub mod volume;

pub use blocks::{RecoveryKey, Share};
pub use escrow::{Escrow, EscrowPerson};
pub use floor::{FLOOR_INDEX, Floor, Level};
pub use partition::{DATA_PARTITION_TYPE, Partition, parse_gpt};
pub use policy::{Pin, PolicyDigest, image_policy, policy_key_public, volume_policy};
pub use preflight::{BootState, may_make, may_open, may_recover};
pub use rejection::SealRejection;
pub use signed::{PcrPolicies, PcrPolicy, SEALING_PHASE};
pub use volume::{Contents, RecoverySlot, SealedKey, contents, volume_measurement};

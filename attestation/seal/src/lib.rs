//! The sealed key of the data volume, and the floor: the few TPM commands that opening a disk needs, spoken directly.
//!
//! Refuses to decide who may open what (that is `freehold_verify::sealing`) and to link a TPM software stack: the library
//! that the rest of the box uses has neither TPM2_PolicyNV nor TPM2_NV_SetBits, and a program of the initrd is better
//! without one. The one invariant: a secret crosses the bus only encrypted, in a session salted to the storage key, and
//! whatever a command leaves in the TPM is flushed again.

mod device;
mod fault;
mod link;
mod session;
mod tpm;
mod wire;

pub use fault::TpmFault;
pub use tpm::{AuthValue, Opening, SealingTpm, TpmState};

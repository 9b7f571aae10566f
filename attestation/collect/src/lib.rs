//! The TPM of a box: its keys, its quotes, its certificates, and the replay of a boot log into a software TPM.
//!
//! Refuses to judge: what comes from here is evidence for somebody else to verify. The only crate that links the TPM
//! software stack. The one invariant: every command runs on one thread that owns the connection, and a caller always gets
//! an answer: a TPM that is away, slow or talks nonsense is an error with a code, never a hang and never a leaked handle.

mod attest;
mod authorise;
mod counter;
mod device;
mod encode;
mod endorsement;
mod error;
mod keys;
mod replay;
mod tpm;
mod worker;

pub use attest::{Attested, Clock, EcdsaNumbers};
pub use counter::RECORD_COUNTER;
pub use endorsement::{EkKind, Endorsement};
pub use error::TpmError;
pub use keys::{KeyAuth, KeyBlob, KeyBlobRejected, Keys};
pub use replay::{BootEvent, Replayed};
pub use tpm::{Limits, Tpm};

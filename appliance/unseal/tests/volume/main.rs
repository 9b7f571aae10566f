//! `freehold-unseal` as it runs in the initrd: a real software TPM, real LUKS2 volumes in files, a person at the console.
//!
//! The kernel of a test machine may have no device mapper: the volume is then checked and not mapped (`--no-mapping`), which
//! is the only difference.

mod boots;
mod cuts;
mod people;
mod world;

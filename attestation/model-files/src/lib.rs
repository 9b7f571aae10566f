//! A model's files on disk: walked, hashed, compared with their signature, and copied into a store.
//!
//! Refuses to follow anything: links, mount points and second names are reported, not read. What is hashed is read from a
//! descriptor opened beneath the folder, without crossing links or file systems. Links no signing code: boxes use it, too.
//! The one invariant: a file appears under its final name only after its bytes were hashed and found to be the signed ones.

mod check;
mod fault;
mod hash;
mod header;
mod store;
mod walk;
mod watch;

pub use check::{check_download, check_folder, hash_folder};
pub use fault::FilesError;
pub use hash::{HashedFile, hash_files};
pub use header::{gate_file, gate_files};
pub use store::store_file;
pub use walk::walk;
pub use watch::Watch;

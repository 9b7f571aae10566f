//! The record on a disk: appended in groups, durable before it is acknowledged, checkable by a stranger.
//!
//! One thread writes. A batch of entries and the signed checkpoint over them go into a journal whose space was taken when the
//! log was made, one `fdatasync`, and then every caller of the batch gets its receipt. Quiet moments move the journal into the
//! tlog-tiles layout. Refuses to acknowledge what is not durable, to go on after a failed sync, and to open a log that is not
//! what was signed. The one invariant: an entry that was acknowledged is in the log that the next open finds, whatever ended
//! the process.

mod edge;
mod fault;
mod folder;
mod journal;
mod layout;
mod pending;
mod publish;
mod reader;
mod recorder;
mod writer;

pub use fault::RecordFault;
pub use folder::{Finding, FolderReport, KeySource, verify_folder};
pub use pending::{Pending, Receipt};
pub use reader::RecordReader;
pub use recorder::{Head, Kinds, Options, Recorder};

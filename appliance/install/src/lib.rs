//! The installer: it shows the disks, has a serial number typed, writes the image, reads it back, restarts.
//!
//! Refuses to choose a disk, to write on the disk that it runs from or on one in use, and to leave a disk that boots into
//! half a system. Invariant: what is executed is a [`Plan`] that was shown; the first MiB, which makes a disk bootable, is
//! erased before anything else and written after everything else was read back.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod disk;
mod execute;
pub mod gpt;
mod image;
mod options;
mod plan;
mod power;
mod progress;
mod rejection;
mod run;
mod show;

pub use disk::{Candidate, candidates};
pub use execute::{Bytes, Installed, execute};
pub use image::{Image, read_image};
pub use options::Arguments;
pub use plan::{Choice, Copy, Plan, Step, plan};
pub use power::{Power, restart_through};
pub use progress::{Progress, bar};
pub use rejection::InstallRejection;
pub use run::run;

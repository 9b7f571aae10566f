//! What tests and the tour share: worlds made of real parts: software TPMs and programs.
//!
//! Refuses to fake: nothing here stands in for a program that ships. The one invariant: everything that is started here
//! ends when its value is dropped, and nothing outside the world's own folder is touched.

pub mod program;
pub mod swtpm;
pub mod wait;

pub use program::Program;
pub use swtpm::{Swtpm, TpmAuthority};
pub use wait::wait_for;

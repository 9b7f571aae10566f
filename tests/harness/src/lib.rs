//! What tests and the tour share: worlds made of real parts: publishers, consoles, boxes, software TPMs.
//!
//! Refuses to fake: nothing here stands in for a program that ships. The one invariant: everything that is started here
//! ends when its value is dropped, and nothing outside the world's own folder is touched.

pub mod careless;
pub mod passkey;
pub mod program;
pub mod proxy;
pub mod publisher;
pub mod swtpm;
pub mod wait;
pub mod world;

pub use careless::{Careless, Parts};
pub use passkey::Passkey;
pub use program::Program;
pub use proxy::Wire;
pub use publisher::Publishing;
pub use swtpm::{Swtpm, TpmAuthority};
pub use wait::wait_for;
pub use world::{PATIENCE, ProcessBox, World};

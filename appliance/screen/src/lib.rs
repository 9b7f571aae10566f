//! The box's own screen: who the box is, how it is, what to compare, what to do next; in 80 columns and 25 rows.
//!
//! Refuses every input but the few wishes that the supervisor's protocol names: there is no shell behind it, no program that
//! it starts, no file that it writes. Invariant: what is shown is a pure function of the last view and of the keys typed
//! since ([`Screen`]); the terminal part only paints cells and reads bytes.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod form;
mod frame;
mod keys;
pub mod link;
mod page;
mod screen;
pub mod terminal;
mod text;
mod zones;

pub use frame::{COLUMNS, Frame, ROWS, Row};
pub use keys::{Key, Keys};
pub use screen::{Page, Screen};
pub use zones::names as time_zones;

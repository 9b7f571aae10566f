//! Boxes without a network: bundles for sticks, and the returns that come back.
//!
//! Refuses to do for a stick what it would not do over the wire: letters are the answers of the boxes' door, given ahead, and the
//! messages of a return go through the functions of that door. Invariant: a bundle's number is used once, also after an old backup.

mod key;
pub(crate) mod layout;
mod letter;
mod make;
mod serve;
mod show;
mod take;

pub use make::Wish;
pub use show::{BoxBack, BundleShown};

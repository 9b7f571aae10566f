//! A real browser for tests: Chromium without a window, driven through chromedriver on a loopback port.
//!
//! Refuses to reach any network: pages come from loopback only, and background services of the browser are off.
//! Invariant: driver and browser end with the value that owns them.

pub mod browser;
pub mod checks;
pub mod driver;
pub mod gallery;

pub use browser::{Browser, Scripts, Theme, View};
pub use gallery::Gallery;

//! A small fleet for the browser: the whole world of the harness, with names that a hospital would choose.
//!
//! Invariant: nobody has signed in yet; the first one to do so is the browser.

use anyhow::{Context as _, Result};
use freehold_harness::publisher::SYSTEM;
use freehold_harness::world::{BoxWish, Wish, engine};
use freehold_verify::boot::{BootDescription, generate};
use serde_json::Value;

/// Everything that runs.
pub struct World(freehold_harness::World);

impl World {
    /// A console that runs, with a signed repository; the box is not started yet.
    pub fn new() -> Result<Self> {
        let wish = Wish {
            fleet: "Riverside Hospitals".to_owned(),
            site: "Radiology B".to_owned(),
            one: BoxWish {
                interval: 0.2,
                ..BoxWish::named("rack 3")
            },
            models: vec![("freehold-guide".to_owned(), "1.0.0".to_owned())],
            ..Wish::default()
        };
        Ok(Self(freehold_harness::World::unattended(wish)?))
    }

    /// An address of the console.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.0.people())
    }

    /// The administrator's one-time password.
    pub fn password(&self) -> Result<String> {
        self.0.password()
    }

    /// Whether there is an engine to serve with.
    pub fn has_engine() -> bool {
        engine().is_some()
    }

    /// Starts the box.
    pub fn start_box(&mut self) -> Result<()> {
        self.0.one.start()
    }

    /// Waits until the box's own status satisfies `look`: what its screen would show.
    pub fn wait_box(&mut self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        self.0.one.wait(what, look)
    }

    /// Changes one byte of the boot loader, as malware in it would be measured, and cuts the box's power.
    pub fn tamper(&mut self) -> Result<()> {
        let one = &mut self.0.one;
        one.kill();
        one.tpm.kill();
        let mut boot = BootDescription::demonstration(SYSTEM.0, SYSTEM.1);
        *boot.loader.first_mut().context("the boot loader is empty")? ^= 1;
        std::fs::write(one.folder().join("boot.log"), generate(&boot).0)?;
        one.tpm.power_on()?;
        one.start()
    }
}

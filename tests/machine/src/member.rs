//! A machine that is a member of a fleet already, from a copy: so that a case costs one boot.
//!
//! Refuses a copy of another image. Invariant: the copy is made once, from a machine that was turned off, and never started
//! itself; every case has its own of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use freehold_harness::program::output_of;

use crate::image::Image;
use crate::machine::{Machine, Wish};
use crate::person;
use crate::site::{Site, TAP};

/// A member: its site, its machine's folder.
#[derive(Debug)]
pub struct Member {
    /// The console and the operator.
    pub site: Site,
    /// What the machine is made of.
    pub wish: Wish,
    /// The box's identifier.
    pub id: String,
}

/// Where the copy lies.
#[must_use]
pub fn kept(ground: &Path) -> PathBuf {
    ground.join("member")
}

/// Keeps what `site` and `machine` hold for other cases; both are off.
///
/// # Errors
/// When there is no room.
pub fn keep(ground: &Path, image: &Image, site: &Path, machine: &Path, id: &str) -> Result<()> {
    let kept = kept(ground);
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    fs::create_dir_all(&kept)?;
    copy(site, &kept.join("site"))?;
    copy(machine, &kept.join("machine"))?;
    fs::write(kept.join("id"), id)?;
    // Last: what is not whole has no name.
    fs::write(kept.join("image"), image.digest()?.to_hex())?;
    Ok(())
}

/// Takes a copy into the folder of a case. The console runs, the machine is off.
///
/// # Errors
/// When none was kept, or one of another image.
pub fn take(ground: &Path, image: &Image, folder: &Path) -> Result<Member> {
    let kept = kept(ground);
    let of = fs::read_to_string(kept.join("image"))
        .context("no member was kept\nhint: the case boots-and-attests makes one")?;
    ensure!(
        of == image.digest()?.to_hex(),
        "the member that was kept is of another image\nhint: run boots-and-attests"
    );
    fs::create_dir_all(folder)?;
    copy(&kept.join("site"), &folder.join("site"))?;
    copy(&kept.join("machine"), &folder.join("machine"))?;
    let mut site = Site::again(&folder.join("site"))?;
    site.start_console()?;
    Ok(Member {
        site,
        wish: Wish::on(&folder.join("machine").canonicalize()?, TAP),
        id: fs::read_to_string(kept.join("id"))?,
    })
}

impl Member {
    /// Turns the machine on.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<Machine> {
        Machine::start(&self.wish, &self.site.authority)
    }

    /// Turns it on and waits until the console has its fresh verdict.
    ///
    /// # Errors
    /// When it does not get one.
    pub fn join(&self) -> Result<Machine> {
        let mut machine = self.start()?;
        person::wait_for_the_screen(&mut machine)?;
        machine.wait("a fresh verdict on the box's screen", |_, screen| {
            screen.shows("trusted (simulated)").then_some(())
        })?;
        Ok(machine)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    output_of(
        "cp",
        &[
            "-a",
            "--sparse=always",
            "--reflink=auto",
            "--no-target-directory",
            &from,
            &to,
        ],
    )?;
    Ok(())
}

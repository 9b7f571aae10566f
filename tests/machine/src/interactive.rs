//! A machine for a person: this terminal is its serial line.
//!
//! Refuses to give it a network: there is nobody to speak to. Invariant: it ends with Ctrl-C on this terminal, or when it is off.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use freehold_harness::TpmAuthority;
use freehold_harness::publisher::repository_root;

use crate::chip::Chip;
use crate::image::Image;
use crate::machine::{Wish, arguments, prepare};

/// Boots the image; answers QEMU's exit code.
///
/// # Errors
/// When there is no image, or QEMU cannot be started.
pub fn boot(fresh: bool, stick: Option<PathBuf>) -> Result<i32> {
    let folder = repository_root().join("target/vm");
    if fresh && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    if !folder.join("disk.raw").exists() {
        prepare(&Image::built()?, &folder)?;
    }
    let authority = TpmAuthority::new(&folder.join("tpm-authority"))?;
    let _chip = Chip::start(&folder, &authority)?;
    let serial = format!(
        "stdio,id=serial,signal=on,logfile={}",
        folder.join("serial.log").display()
    );
    let status = Command::new("qemu-system-x86_64")
        .args(arguments(
            &Wish {
                stick,
                ..Wish::at(&folder)
            },
            &serial,
        ))
        .status()
        .context("starting `qemu-system-x86_64`\nhint: image/inputs.sh installs it")?;
    Ok(status.code().unwrap_or(1))
}

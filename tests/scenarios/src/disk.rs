//! A small disk: a tmpfs of a few megabytes, mounted for one scenario.
//!
//! Refuses to pretend when it may not mount: then it answers `None`, and the scenario says that it was skipped. Invariant: it
//! is unmounted when the value is dropped.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The disk.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// A disk of so many MiB at `at`; `None` when this process may not mount.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(at: &Path, mib: u64) -> Result<Option<Self>> {
        fs::create_dir_all(at)?;
        let size = format!("size={mib}m,mode=0755");
        match mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(size.as_str())) {
            Ok(()) => Ok(Some(Self { at: at.to_owned() })),
            Err(nix::errno::Errno::EPERM | nix::errno::Errno::EACCES) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("mounting at `{}`", at.display())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn free(&self) -> Result<u64> {
        let room = nix::sys::statvfs::statvfs(&self.at)?;
        Ok(room.blocks_available() * room.fragment_size())
    }

    /// Fills it until only `left` bytes are free.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn fill(&self, left: u64) -> Result<()> {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.at.join("ballast"))?;
        let block = vec![0xa5_u8; 16 << 10];
        while self.free()? > left {
            let count = usize::try_from(self.free()?.saturating_sub(left))?.min(block.len());
            match file.write_all(&block[..count]) {
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                other => other?,
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When nothing filled it.
    pub fn relieve(&self) -> Result<()> {
        Ok(fs::remove_file(self.at.join("ballast"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

//! What the installer is told on its command line.
//!
//! Refuses an option that would skip the serial number. Invariant: without `--disk` and `--serial` it asks a person.

use std::path::PathBuf;

use clap::Parser;

/// Puts the operating system onto a disk of this machine.
#[derive(Debug, Parser)]
#[command(name = "freehold-install", version, about)]
pub struct Arguments {
    /// The image: a raw disk image, or the device of the medium. Without it, the disk that this system runs from.
    #[arg(long)]
    pub image: Option<PathBuf>,
    /// SHA-256 that the copied partitions must have, in their order (`manifest.json` says it).
    #[arg(long)]
    pub sha256: Option<String>,
    /// The disk to write, by its name.
    #[arg(long, requires = "serial")]
    pub disk: Option<String>,
    /// Its serial number.
    #[arg(long, requires = "disk")]
    pub serial: Option<String>,
    /// Only show the disks, or with `--disk` and `--serial` the plan. Nothing is written.
    #[arg(long)]
    pub plan: bool,
    /// Disks and plan as JSON.
    #[arg(long)]
    pub json: bool,
    /// Do not restart at the end.
    #[arg(long)]
    pub stay: bool,
    /// Where this machine's file system begins; another folder holds a recorded machine whose disks are files in `dev/`.
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// The bus on which systemd listens; without it, the system's own.
    #[arg(long)]
    pub bus: Option<String>,
}

//! What the program is told: where things are. Every default is that of the image's initrd.
//!
//! Refuses secrets: no argument is one, and the environment is not read. Invariant: no argument weakens a check of the TPM.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Open the sealed data volume of a box.
///
/// Exit codes: 0 it is open, 1 refused (with a code and the next step), 2 could not tell.
#[derive(Debug, Parser)]
#[command(name = "freehold-unseal", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Open the volume; make it when the partition is empty.
    Open(Box<Places>),
    /// Raise the floor: images below LEVEL never open the volume again. There is no way back.
    RaiseFloor(Floor),
}

/// Where things are.
#[derive(Debug, Args)]
pub struct Places {
    /// The data partition. Without it, the one of our type on the disk that was booted.
    #[arg(long)]
    pub device: Option<PathBuf>,
    /// The TPM: `device:PATH` or `swtpm:host=IP,port=N`.
    #[arg(long, default_value = "device:/dev/tpmrm0")]
    pub tcti: String,
    /// The image's signed policies, as systemd-stub lays them down.
    #[arg(long, default_value = "/.extra/tpm2-pcr-signature.json")]
    pub signature: PathBuf,
    /// The public PCR-policy key of the image.
    #[arg(long, default_value = "/.extra/tpm2-pcr-public-key.pem")]
    pub public_key: PathBuf,
    /// The firmware's variables.
    #[arg(long, default_value = "/sys/firmware/efi/efivars")]
    pub efivars: PathBuf,
    /// Where the kernel lists disks.
    #[arg(long, default_value = "/sys/block")]
    pub disks: PathBuf,
    /// Where their nodes are.
    #[arg(long, default_value = "/dev")]
    pub nodes: PathBuf,
    /// What is left for the running system.
    #[arg(long, default_value = "/run/freehold")]
    pub runtime: PathBuf,
    /// The log of measurements of user space.
    #[arg(long, default_value = "/run/log/systemd/tpm2-measure.log")]
    pub log: PathBuf,
    /// The terminal that a person sits at; `-` is standard input and output. The recovery key is shown here and nowhere else.
    #[arg(long, default_value = "/dev/console")]
    pub console: PathBuf,
    /// Name of the mapped device.
    #[arg(long, default_value = "data")]
    pub name: String,
    /// A recovery person's public key (PEM), named by its file: two to five, any two of whom open the escrow together.
    #[arg(long, value_name = "FILE")]
    pub escrow_to: Vec<PathBuf>,
    /// Ask for a boot PIN when the volume is made or sealed anew.
    #[arg(long)]
    pub pin: bool,
    /// Seconds to wait for the disk.
    #[arg(long, default_value_t = 30)]
    pub wait: u64,
    /// Seconds that a question waits for a person.
    #[arg(long, default_value_t = 600)]
    pub patience: u64,
    /// Seconds after which the program ends, whatever it waits for.
    #[arg(long, default_value_t = 3600)]
    pub limit: u64,
    /// The program that reads and writes LUKS2.
    #[arg(long, default_value = "cryptsetup")]
    pub cryptsetup: PathBuf,
    /// The program that makes the file system.
    #[arg(long, default_value = "mkfs.ext4")]
    pub mkfs: PathBuf,
    /// Check keys instead of mapping the volume and making its file system: for a kernel without device mapper.
    #[arg(long)]
    pub no_mapping: bool,
}

/// Which floor.
#[derive(Debug, Args)]
pub struct Floor {
    /// The lowest level that still opens, 0 to 63.
    #[arg(value_parser = clap::value_parser!(u8).range(0..64))]
    pub level: u8,
    /// The TPM.
    #[arg(long, default_value = "device:/dev/tpmrm0")]
    pub tcti: String,
    /// Where `open` left the owner's authorisation.
    #[arg(long, default_value = "/run/freehold")]
    pub runtime: PathBuf,
}

impl Arguments {
    /// Runs and says how it went.
    pub fn run(self) -> ExitCode {
        match self.verb {
            Verb::Open(places) => crate::run::open(*places),
            Verb::RaiseFloor(floor) => crate::run::raise_floor(&floor),
        }
    }
}

//! The plan: which disk, what is lost on it, what is written where, in which order. Data, and nothing but data.
//!
//! Refuses a disk that was not named by its serial number, that runs this system, that is in use, or that is too small.
//! Invariant: the same disks, image and choice give the same plan, and the plan is all that [`crate::execute`] needs.

use serde::Serialize;

use crate::disk::Candidate;
use crate::gpt::{HEAD, TAIL};
use crate::image::Image;
use crate::rejection::InstallRejection;

/// What a person chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The disk's name.
    pub name: String,
    /// Its serial number as it was typed.
    pub serial: String,
    /// The SHA-256 over the copied bytes that the image must have, when somebody knows it.
    pub sha256: Option<String>,
}

/// Bytes that are copied to the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// What it is: `boot`, `root`, `root verity`.
    pub what: String,
    /// The partition's name.
    pub name: String,
    /// First byte, on the image as on the disk.
    pub first: u64,
    /// Bytes.
    pub length: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Zeros: from here on the disk does not boot.
    Erase {
        /// First byte.
        first: u64,
        /// Bytes.
        length: u64,
    },
    /// Copies a partition.
    Copy(Copy),
    /// Everything so far is on the disk, not only in memory.
    Flush,
    /// Reads the copied partitions back from the disk and compares.
    ReadBack,
    /// Writes the second partition table at the disk's end.
    WriteTail,
    /// Writes the first MiB and reads it back: from here on the disk boots.
    WriteHead,
    /// Restarts the machine.
    Restart,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Version of this form, 1.
    pub v: u32,
    /// The disk.
    pub disk: Candidate,
    /// The image's path.
    pub image: String,
    /// Bytes that are copied.
    pub bytes: u64,
    /// Bytes that the first boot makes into the data partition.
    pub left: u64,
    /// The SHA-256 that the copied bytes must have; `None` where nobody knows it.
    pub sha256: Option<String>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// Serial numbers are compared without case and blanks: people type them from a label.
fn same_serial(left: &str, right: &str) -> bool {
    let plain = |text: &str| {
        (text.chars().filter(|c| !c.is_whitespace()))
            .flat_map(char::to_uppercase)
            .collect::<String>()
    };
    !plain(left).is_empty() && plain(left) == plain(right)
}

/// Whether a disk can be chosen at all.
///
/// # Errors
/// `install.running_from_it`, `install.in_use`, `install.no_serial`, `install.disk_too_small`.
pub(crate) fn eligible(disk: &Candidate, image: &Image) -> Result<(), InstallRejection> {
    let name = disk.name.clone();
    if disk.running {
        return Err(InstallRejection::RunningFromIt { name });
    }
    if let Some(by) = disk.used_by.clone() {
        return Err(InstallRejection::InUse { name, by });
    }
    if disk.serial.is_none() {
        return Err(InstallRejection::NoSerial { name });
    }
    let needed = image.table.needs();
    if disk.size < needed {
        return Err(InstallRejection::DiskTooSmall {
            name,
            needed,
            there: disk.size,
        });
    }
    Ok(())
}

/// Makes the plan.
///
/// # Errors
/// [`InstallRejection`]: nothing was written.
pub fn plan(disks: &[Candidate], image: &Image, choice: &Choice) -> Result<Plan, InstallRejection> {
    if disks.is_empty() {
        return Err(InstallRejection::NoDisk);
    }
    let disk = disks
        .iter()
        .find(|disk| disk.name == choice.name)
        .ok_or_else(|| InstallRejection::UnknownDisk {
            found: choice.name.clone(),
        })?;
    eligible(disk, image)?;
    if !disk
        .serial
        .as_deref()
        .is_some_and(|serial| same_serial(serial, &choice.serial))
    {
        return Err(InstallRejection::SerialMismatch {
            name: disk.name.clone(),
            typed: choice.serial.clone(),
        });
    }
    let copies: Vec<Copy> = (image.table.partitions.iter())
        .map(|partition| Copy {
            what: partition.kind.purpose().unwrap_or_default().to_owned(),
            name: partition.name.clone(),
            first: partition.first,
            length: partition.length,
        })
        .collect();
    let bytes = copies.iter().map(|copy| copy.length).sum();
    // Both tables go first: with either of them the disk would boot what was on it, or half of what comes.
    let mut steps = vec![
        Step::Erase { first: 0, length: HEAD },
        Step::Erase {
            first: (disk.size / crate::gpt::SECTOR * crate::gpt::SECTOR).saturating_sub(TAIL),
            length: TAIL,
        },
        Step::Flush,
    ];
    steps.extend(copies.into_iter().map(Step::Copy));
    steps.extend([
        Step::Flush,
        Step::ReadBack,
        Step::WriteTail,
        Step::Flush,
        Step::WriteHead,
        Step::Restart,
    ]);
    Ok(Plan {
        v: 1,
        disk: disk.clone(),
        image: image.path.display().to_string(),
        bytes,
        left: disk.size.saturating_sub(image.table.needs()),
        sha256: choice.sha256.as_ref().map(|hex| hex.to_ascii_lowercase()),
        steps,
    })
}

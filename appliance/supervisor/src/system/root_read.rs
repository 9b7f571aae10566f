//! Reading the whole verified root once after the start (`freehold-supervisor read-root`).
//!
//! Refuses to judge: the kernel compares each block with the signed hash tree, and stops the machine at one that does not fit.
//! Invariant: every block of the device is read, with the lowest claim on the disk, and none of it is kept in memory.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use freehold_execute::write_atomic;
use serde::{Deserialize, Serialize};

/// How much is read at once: large enough for a disk, small enough to leave room between for others.
const PIECE: usize = 1 << 20;
/// How often it is said how far it is; a whole number of pieces.
const SAID_EVERY: u64 = 16 << 20;
/// The file that says how far it is.
pub(crate) const PROGRESS: &str = "root-read.json";

/// How far the read is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRead {
    /// Bytes that were read and are as signed.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Where things are.
#[derive(Debug, Clone, Args)]
pub struct ReadRoot {
    /// The verified device.
    #[arg(long, default_value = "/dev/mapper/root")]
    pub device: PathBuf,
    /// The folder in which it says how far it is.
    #[arg(long, default_value = "/run/freehold-root")]
    pub progress: PathBuf,
}

/// Reads it all.
///
/// # Errors
/// When the device cannot be read; a block that does not fit stops the machine before that.
pub fn read_root(read: &ReadRoot) -> std::io::Result<RootRead> {
    let device = File::open(&read.device)?;
    let total = length(&device)?;
    let mut buffer = vec![0_u8; PIECE];
    let mut far = RootRead { done: 0, total };
    while far.done < total {
        let piece = usize::try_from(total - far.done).map_or(PIECE, |left| left.min(PIECE));
        let part = buffer.get_mut(..piece).unwrap_or_default();
        device.read_exact_at(part, far.done)?;
        // What was read is not needed again soon: it must not push out what is.
        let piece = u64::try_from(piece).unwrap_or(0);
        let _ = rustix::fs::fadvise(&device, far.done, NonZeroU64::new(piece), rustix::fs::Advice::DontNeed);
        far.done = far.done.saturating_add(piece);
        if far.done.is_multiple_of(SAID_EVERY) || far.done == total {
            say(&read.progress, far)?;
        }
    }
    Ok(far)
}

fn say(folder: &Path, far: RootRead) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(&far).unwrap_or_default();
    write_atomic(&folder.join(PROGRESS), &bytes, 0o644).map_err(|error| std::io::Error::other(error.to_string()))
}

/// A block device's metadata says no length; its end does.
fn length(device: &File) -> std::io::Result<u64> {
    use std::io::{Seek as _, SeekFrom};
    let mut device = device;
    device.seek(SeekFrom::End(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read_and_how_far_is_said() {
        let world = tempfile::tempdir().unwrap();
        let device = world.path().join("device");
        // Not a whole number of pieces.
        let file = File::create(&device).unwrap();
        file.set_len((33 << 20) + 4096).unwrap();
        let read = ReadRoot {
            device,
            progress: world.path().to_owned(),
        };
        let far = read_root(&read).unwrap();
        assert_eq!(far.done, (33 << 20) + 4096);
        let said: RootRead = serde_json::from_slice(&std::fs::read(world.path().join(PROGRESS)).unwrap()).unwrap();
        assert_eq!(said, far);
        let missing = ReadRoot {
            device: world.path().join("nothing"),
            ..read
        };
        assert!(read_root(&missing).is_err());
    }
}

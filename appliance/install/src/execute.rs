//! Carries a plan out, step by step.
//!
//! Refuses to write the head before the rest was read back and found the same. Invariant: cut off anywhere, the disk has no
//! table, or it has everything.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use freehold_trust::Sha256Digest;
use freehold_trust::digest::Sha256Hasher;
use rustix::fs::{Advice, fadvise};

use crate::gpt::{HEAD, SECTOR, TAIL};
use crate::image::Image;
use crate::plan::{Copy, Plan, Step};
use crate::progress::Progress;
use crate::rejection::InstallRejection;

/// Bytes at once: enough for any disk to be fast, little enough to show progress.
const CHUNK: usize = 4 << 20;

/// A medium of bytes: a disk, or what stands for one in a test.
pub trait Bytes {
    /// How many.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> io::Result<u64>;
    /// Reads exactly `bytes.len()` bytes at `at`.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes all bytes at `at`.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Returns when everything written is on the medium, and later reads come from there.
    ///
    /// # Errors
    /// The system's.
    fn flush(&mut self) -> io::Result<()>;
}

/// Bytes of a file or a block device.
pub(crate) fn length(file: &File) -> io::Result<u64> {
    let mut file = file;
    file.seek(SeekFrom::End(0))
}

impl Bytes for File {
    fn length(&self) -> io::Result<u64> {
        length(self)
    }
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(bytes, at)
    }
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.sync_all()?;
        // What is read back comes from the disk, not from the memory that the writes went through.
        Ok(fadvise(&*self, 0, None, Advice::DontNeed)?)
    }
}

/// What an installation has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// SHA-256 over the copied partitions, in their order.
    pub sha256: Sha256Digest,
    /// Whether the plan ends with a restart.
    pub restart: bool,
}

struct Work<'a, D: Bytes> {
    plan: &'a Plan,
    image: &'a Image,
    source: &'a File,
    disk: &'a mut D,
    done: u64,
    tell: &'a mut dyn FnMut(Progress),
}

/// Carries `plan` out on `disk`. `tell` hears how far it is.
///
/// # Errors
/// [`InstallRejection`]: the disk does not boot.
pub fn execute<D: Bytes>(
    plan: &Plan,
    image: &Image,
    source: &File,
    disk: &mut D,
    tell: &mut dyn FnMut(Progress),
) -> Result<Installed, InstallRejection> {
    let there = disk
        .length()
        .map_err(|error| InstallRejection::device("the disk does not say its size", error))?;
    // The plan was made from what the kernel said; what was opened must be that disk.
    if there / SECTOR != plan.disk.size / SECTOR {
        return Err(InstallRejection::DiskTooSmall {
            name: plan.disk.name.clone(),
            needed: plan.disk.size,
            there,
        });
    }
    let (head, tail) = image
        .table
        .for_disk(plan.disk.size)
        .ok_or(InstallRejection::DiskTooSmall {
            name: plan.disk.name.clone(),
            needed: image.table.needs(),
            there,
        })?;
    let end = plan.disk.size / SECTOR * SECTOR;
    let mut written: Vec<(Copy, Sha256Digest)> = Vec::new();
    let mut whole = Sha256Hasher::new();
    let mut sha256 = None;
    let mut restart = false;
    let mut work = Work {
        plan,
        image,
        source,
        disk,
        done: 0,
        tell,
    };
    for step in &plan.steps {
        match step {
            Step::Erase { first, length } => work.write(&vec![0; usize::try_from(*length).unwrap_or(0)], *first)?,
            Step::Copy(copy) => {
                let digest = work.copy(copy, &mut whole)?;
                written.push((copy.clone(), digest));
            }
            Step::Flush => work.flush()?,
            Step::ReadBack => {
                let found = std::mem::replace(&mut whole, Sha256Hasher::new()).finish();
                if let Some(expected) = &plan.sha256
                    && *expected != found.to_hex()
                {
                    return Err(InstallRejection::OtherImage {
                        expected: expected.clone(),
                        found: found.to_hex(),
                    });
                }
                for (copy, digest) in &written {
                    work.read_back(copy, digest)?;
                }
                sha256 = Some(found);
            }
            Step::WriteTail => work.write(&tail, end.saturating_sub(TAIL))?,
            Step::WriteHead => {
                // A plan without its reading back is none of ours.
                if sha256.is_none() {
                    return Err(InstallRejection::ReadBack { at: 0 });
                }
                // The table itself last of all: until its sector is there, nothing else of the head counts.
                let (table, rest) = head.split_at(1024);
                work.write(rest, 1024)?;
                work.flush()?;
                work.write(table, 0)?;
                work.flush()?;
                work.compare(&head, 0)?;
                work.compare(&tail, end.saturating_sub(TAIL))?;
            }
            Step::Restart => restart = true,
        }
    }
    debug_assert_eq!(u64::try_from(head.len()), Ok(HEAD));
    match sha256 {
        Some(sha256) => Ok(Installed { sha256, restart }),
        None => Err(InstallRejection::ReadBack { at: 0 }),
    }
}

impl<D: Bytes> Work<'_, D> {
    fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), InstallRejection> {
        self.disk
            .write_at(bytes, at)
            .map_err(|error| InstallRejection::device(format!("the disk does not take bytes at {at}"), error))
    }

    fn flush(&mut self) -> Result<(), InstallRejection> {
        self.disk
            .flush()
            .map_err(|error| InstallRejection::device("the disk does not confirm what was written", error))
    }

    fn tell(&mut self, doing: &'static str, more: usize) {
        self.done = self.done.saturating_add(u64::try_from(more).unwrap_or(0));
        // Written and read back: twice the bytes.
        let total = self.plan.bytes.saturating_mul(2);
        (self.tell)(Progress {
            doing,
            done: self.done,
            total,
        });
    }

    fn copy(&mut self, copy: &Copy, whole: &mut Sha256Hasher) -> Result<Sha256Digest, InstallRejection> {
        let mut hasher = Sha256Hasher::new();
        let mut buffer = vec![0; CHUNK];
        let mut at = copy.first;
        let end = copy.first.saturating_add(copy.length);
        while at < end {
            let most = usize::try_from(end.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
            let Some(bytes) = buffer.get_mut(..most) else { break };
            self.source.read_exact_at(bytes, at).map_err(|error| {
                InstallRejection::device(
                    format!("the image `{}` cannot be read", self.image.path.display()),
                    error,
                )
            })?;
            hasher.update(bytes);
            whole.update(bytes);
            let bytes: &[u8] = bytes;
            self.disk
                .write_at(bytes, at)
                .map_err(|error| InstallRejection::device(format!("the disk does not take bytes at {at}"), error))?;
            at = at.saturating_add(u64::try_from(most).unwrap_or(0));
            self.tell("writing", most);
        }
        Ok(hasher.finish())
    }

    fn read_back(&mut self, copy: &Copy, expected: &Sha256Digest) -> Result<(), InstallRejection> {
        let mut hasher = Sha256Hasher::new();
        let mut buffer = vec![0; CHUNK];
        let mut at = copy.first;
        let end = copy.first.saturating_add(copy.length);
        while at < end {
            let most = usize::try_from(end.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
            let Some(bytes) = buffer.get_mut(..most) else { break };
            self.disk
                .read_at(bytes, at)
                .map_err(|error| InstallRejection::device(format!("the disk gives no bytes at {at}"), error))?;
            hasher.update(bytes);
            at = at.saturating_add(u64::try_from(most).unwrap_or(0));
            self.tell("reading back", most);
        }
        if hasher.finish() == *expected {
            Ok(())
        } else {
            Err(InstallRejection::ReadBack { at: copy.first })
        }
    }

    fn compare(&mut self, expected: &[u8], at: u64) -> Result<(), InstallRejection> {
        let mut found = vec![0; expected.len()];
        self.disk
            .read_at(&mut found, at)
            .map_err(|error| InstallRejection::device(format!("the disk gives no bytes at {at}"), error))?;
        if found == expected {
            Ok(())
        } else {
            Err(InstallRejection::ReadBack { at })
        }
    }
}

//! fs-verity: the kernel holds a stored file to a digest, page by page, from the moment it was admitted.
//!
//! Refuses to answer "held" for anything but the kernel's own word. Invariant: a file that is held once is never written again, by
//! nobody, root included; the digest is the one that `freehold_verify::fs_verity` computes.
//! Source: Linux, `Documentation/filesystems/fsverity.rst`.
#![allow(
    unsafe_code,
    reason = "two ioctls that no library here has a safe name for; the argument's size and the request's number are the kernel's"
)]

use std::fs::File;
use std::io;
use std::path::Path;

use freehold_trust::Sha256Digest;
use rustix::ioctl::{Setter, Updater, ioctl, opcode};

/// `struct fsverity_enable_arg`: version 1, SHA-256 (1), blocks of 4096 bytes, no salt, no signature.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Enable {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt_ptr: u64,
    sig_size: u32,
    reserved1: u32,
    sig_ptr: u64,
    reserved2: [u64; 11],
}

/// `struct fsverity_digest` with room for the digest behind it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Measure {
    algorithm: u16,
    size: u16,
    digest: [u8; 32],
}

const SHA256: u16 = 1;
/// `FS_IOC_ENABLE_VERITY`: `_IOW('f', 133, struct fsverity_enable_arg)`.
const ENABLE: rustix::ioctl::Opcode = opcode::write::<Enable>(b'f', 133);
/// `FS_IOC_MEASURE_VERITY`: `_IOWR('f', 134, struct fsverity_digest)`; the digest behind the head is no part of its size.
const MEASURE: rustix::ioctl::Opcode = opcode::read_write::<[u16; 2]>(b'f', 134);

/// What the kernel says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It holds the file to this digest.
    To(Sha256Digest),
    /// It does not, and could.
    NotYet,
    /// Kernel or file system have no fs-verity.
    Unsupported,
}

/// Asks the kernel which digest it holds a file to.
///
/// # Errors
/// When the file cannot be opened, or the kernel says something else.
pub fn measure(path: &Path) -> io::Result<Held> {
    let file = File::open(path)?;
    let mut answer = Measure {
        algorithm: 0,
        size: 32,
        digest: [0; 32],
    };
    // SAFETY: `MEASURE` is FS_IOC_MEASURE_VERITY, which writes at most `size` bytes behind the four bytes of the head; `Measure` has
    // room for exactly these.
    let asked = unsafe { ioctl(&file, Updater::<MEASURE, Measure>::new(&mut answer)) };
    match asked {
        Ok(()) if answer.algorithm == SHA256 && answer.size == 32 => {
            Ok(Held::To(Sha256Digest::from_bytes(answer.digest)))
        }
        Ok(()) => Err(io::Error::other("the kernel holds it by another algorithm")),
        Err(rustix::io::Errno::NODATA) => Ok(Held::NotYet),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOTTY) => Ok(Held::Unsupported),
        // A longer digest than SHA-256's is another algorithm.
        Err(error) => Err(error.into()),
    }
}

/// Has the kernel hold a file from now on. Nobody may have it open for writing. Answers what it holds it to.
///
/// # Errors
/// As [`measure`]; a file whose mode does not let its owner write is refused by the kernel.
pub fn enable(path: &Path) -> io::Result<Held> {
    match measure(path)? {
        Held::NotYet => {}
        other => return Ok(other),
    }
    let file = File::open(path)?;
    let wanted = Enable {
        version: 1,
        hash_algorithm: u32::from(SHA256),
        block_size: 4096,
        salt_size: 0,
        salt_ptr: 0,
        sig_size: 0,
        reserved1: 0,
        sig_ptr: 0,
        reserved2: [0; 11],
    };
    // SAFETY: `ENABLE` is FS_IOC_ENABLE_VERITY, which reads one `struct fsverity_enable_arg`; both its pointers are null with size 0.
    let asked = unsafe { ioctl(&file, Setter::<ENABLE, Enable>::new(wanted)) };
    match asked {
        Ok(()) => {}
        // Somebody was quicker.
        Err(rustix::io::Errno::EXIST) => {}
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOTTY) => return Ok(Held::Unsupported),
        Err(error) => return Err(error.into()),
    }
    measure(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_kernels() {
        // include/uapi/linux/fsverity.h on x86-64.
        assert_eq!(ENABLE, 0x4080_6685);
        assert_eq!(MEASURE, 0xc004_6686);
        assert_eq!(std::mem::size_of::<Enable>(), 128);
    }

    #[test]
    fn a_file_is_held_to_the_computed_digest_or_the_kernel_says_that_it_cannot() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("weights");
        let bytes = vec![7_u8; 300_000];
        std::fs::write(&path, &bytes).unwrap();
        match enable(&path).unwrap() {
            Held::Unsupported => {
                println!(
                    "skipped: the file system of the temporary folder has no fs-verity; the image's tests have one"
                );
                assert_eq!(measure(&path).unwrap(), Held::Unsupported);
            }
            held => {
                let mut computed = freehold_verify::fs_verity::FsVerity::new();
                computed.update(&bytes);
                assert_eq!(held, Held::To(computed.finish()));
                assert!(std::fs::OpenOptions::new().write(true).open(&path).is_err());
            }
        }
        assert!(measure(&world.path().join("missing")).is_err());
    }
}

//! The built image: its disk, its manifest, its keys, and the toolbox that it was built with.
//!
//! Refuses to go on without an image, with the command that makes one. Invariant: the built files are read, never written;
//! what a case changes is its own copy.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use freehold_harness::program::{Said, output_of};
use freehold_trust::Sha256Digest;

/// Bytes of a sector, in which partition tables count.
const SECTOR: u64 = 512;
/// Entries of a partition table, each of 128 bytes (UEFI 2.10, 5.3.3).
const ENTRIES: u64 = 128;
/// Where the entries begin: the third sector.
const TABLE: u64 = 2 * SECTOR;

/// An image that was built and signed.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
}

impl Image {
    /// The image of this checkout.
    ///
    /// # Errors
    /// When none was built.
    pub fn built() -> Result<Self> {
        Self::at(
            &freehold_harness::publisher::repository_root().join("target/image"),
            "make image",
        )
    }

    /// The image after it, for tests of updates: `next`, or one that was spoilt in a way that has a name.
    ///
    /// # Errors
    /// When it was not built.
    pub fn next(spoilt: Option<&str>) -> Result<Self> {
        let name = spoilt.map_or_else(|| "next".to_owned(), |way| format!("next-{way}"));
        let folder = freehold_harness::publisher::repository_root()
            .join("target/image")
            .join(&name);
        Self::at(&folder, &format!("image/build.sh {name}"))
    }

    fn at(folder: &Path, make: &str) -> Result<Self> {
        ensure!(
            folder.join("freehold.raw").exists(),
            "there is no image in `{}`\nhint: {make}",
            folder.display()
        );
        Ok(Self {
            folder: folder.canonicalize()?,
        })
    }

    /// The folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The signed disk.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join("freehold.raw")
    }

    /// What a verifier must see of it.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.folder.join("manifest.json")
    }

    /// A file that Nix built: `root.erofs`, `unsigned.efi` and so on.
    #[must_use]
    pub fn part(&self, name: &str) -> PathBuf {
        self.folder.join("unsigned").join(name)
    }

    /// Its version.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn version(&self) -> Result<String> {
        Ok(fs::read_to_string(self.part("version"))?.trim().to_owned())
    }

    /// What tells it from every other image: the digest of its manifest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn digest(&self) -> Result<Sha256Digest> {
        Ok(freehold_trust::sha256(&fs::read(self.manifest())?))
    }

    /// Runs a program of the toolbox; `folder` is `/case` to it, `read` is `/read`.
    ///
    /// # Errors
    /// When it fails; what it said is in the message.
    pub fn tool(&self, folder: &Path, read: &Path, arguments: &[&str]) -> Result<Said> {
        let toolbox = self.part("toolbox").canonicalize()?;
        let mut command = Command::new("bwrap");
        command.args(["--unshare-all", "--die-with-parent"]);
        for name in ["usr", "etc"] {
            command.arg("--ro-bind").arg(toolbox.join(name)).arg(format!("/{name}"));
        }
        for (target, link) in [
            ("usr/bin", "/bin"),
            ("usr/sbin", "/sbin"),
            ("usr/lib", "/lib"),
            ("usr/lib64", "/lib64"),
        ] {
            command.args(["--symlink", target, link]);
        }
        command.args([
            "--ro-bind",
            "/nix/store",
            "/nix/store",
            "--ro-bind",
            "/usr/share/OVMF",
            "/ovmf",
        ]);
        command
            .arg("--bind")
            .arg(folder)
            .arg("/case")
            .arg("--ro-bind")
            .arg(read)
            .arg("/read");
        command.args(["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]);
        // The partition lies where the table says; mtools would rather see a floppy.
        command.args([
            "--setenv",
            "PATH",
            "/usr/bin:/usr/sbin",
            "--setenv",
            "MTOOLS_SKIP_CHECK",
            "1",
        ]);
        Said::of(command.args(arguments))?
            .yes()
            .with_context(|| arguments.join(" "))
    }
}

/// A disk of a case.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Where it lies.
    pub path: PathBuf,
}

impl Disk {
    /// A copy of a file, as sparse as that is.
    ///
    /// # Errors
    /// When there is no room.
    pub fn copy(from: &Path, to: &Path) -> Result<Self> {
        let (source, target) = (from.display().to_string(), to.display().to_string());
        output_of(
            "cp",
            &[
                "--sparse=always",
                "--reflink=auto",
                "--remove-destination",
                &source,
                &target,
            ],
        )?;
        Ok(Self { path: to.to_owned() })
    }

    /// Where the partition with this name begins and how long it is, in bytes.
    ///
    /// # Errors
    /// When there is none.
    pub fn partition(&self, name: &str) -> Result<(u64, u64)> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(TABLE))?;
        for _ in 0..ENTRIES {
            let mut entry = [0; 128];
            file.read_exact(&mut entry)?;
            let (fields, label) = entry.split_at(56);
            let units: Vec<u16> = label
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            if String::from_utf16_lossy(&units).trim_end_matches('\0') == name {
                let number = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().unwrap_or_default());
                return Ok((number(32) * SECTOR, (number(40) - number(32) + 1) * SECTOR));
            }
        }
        bail!("there is no partition `{name}` on `{}`", self.path.display())
    }

    /// Bytes of the disk.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn read(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Overwrites bytes of the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut file = File::options().write(true).open(&self.path)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        Ok(())
    }

    /// Puts a file onto the disk, holes as holes.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn put(&self, at: u64, file: &Path) -> Result<()> {
        ensure!(at.is_multiple_of(1 << 20), "partitions begin at whole MiB");
        let (from, to) = (format!("if={}", file.display()), format!("of={}", self.path.display()));
        output_of(
            "dd",
            &[
                &from,
                &to,
                "bs=1M",
                &format!("seek={}", at >> 20),
                "conv=notrunc",
                "status=none",
            ],
        )?;
        Ok(())
    }

    /// Turns one bit round.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn flip(&self, at: u64) -> Result<()> {
        let byte = self.read(at, 1)?;
        self.write(at, &[byte[0] ^ 1])
    }

    /// Where these bytes stand first between `from` and `to`.
    ///
    /// # Errors
    /// When they do not.
    pub fn find(&self, bytes: &[u8], from: u64, to: u64) -> Result<u64> {
        const PIECE: u64 = 1 << 20;
        let mut at = from;
        while at < to {
            // Pieces overlap by what is looked for.
            let length = usize::try_from((to - at).min(PIECE + bytes.len() as u64))?;
            let piece = self.read(at, length)?;
            if let Some(found) = piece.windows(bytes.len()).position(|window| window == bytes) {
                return Ok(at + found as u64);
            }
            at += PIECE;
        }
        bail!("the bytes are not there")
    }
}

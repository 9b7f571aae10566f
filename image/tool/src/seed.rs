//! The seed: one static busybox, the only program that Nix starts without another one having unpacked it.
//!
//! Refuses a package without that one file. Invariant: the digest is over Nix's own archive format, so that `nix-store`
//! gives the folder the very path that the flake names, without building anything.

use freehold_trust::Sha256Digest;
use freehold_trust::digest::Sha256Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// The set whose one package holds the program.
pub const SET: &str = "seed";
/// Name of the folder, and so of the store path.
pub const NAME: &str = "freehold-seed";
/// Where the program lies in the package.
const INSIDE: &str = "./bin/busybox";
/// Where Debian's merged /usr may have moved it.
const INSIDE_USR: &str = "./usr/bin/busybox";

/// Why there is no seed.
#[derive(Debug, Error)]
pub enum SeedError {
    /// A folder or program of this machine failed.
    #[error("the seed cannot be unpacked")]
    Io(#[from] std::io::Error),
    /// The package does not hold the program.
    #[error("`{package}` holds no busybox: {message}")]
    Missing {
        /// The package's file.
        package: PathBuf,
        /// What tar said.
        message: String,
    },
}

/// Makes `below/freehold-seed/bin/busybox` from the package and answers the folder and its digest.
pub fn unpack(package: &Path, below: &Path) -> Result<(PathBuf, Sha256Digest), SeedError> {
    use std::os::unix::fs::PermissionsExt as _;
    let output = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).output()?;
    let archive = below.join("seed.tar");
    std::fs::write(&archive, &output.stdout)?;
    let mut program = Vec::new();
    let mut message = String::from_utf8_lossy(&output.stderr).into_owned();
    for inside in [INSIDE_USR, INSIDE] {
        let output = Command::new("tar")
            .args(["--extract", "--to-stdout", "--file"])
            .arg(&archive)
            .arg(inside)
            .output()?;
        if output.status.success() && !output.stdout.is_empty() {
            program = output.stdout;
            break;
        }
        message = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    if program.is_empty() {
        return Err(SeedError::Missing {
            package: package.to_owned(),
            message: message.trim().to_owned(),
        });
    }
    let folder = below.join(NAME);
    std::fs::create_dir_all(folder.join("bin"))?;
    let path = folder.join("bin/busybox");
    std::fs::write(&path, &program)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o555))?;
    Ok((folder, archive_digest(&program)))
}

/// SHA-256 of the Nix archive of a folder that holds `bin/busybox`, executable, and nothing else.
/// Format: E. Dolstra, The Purely Functional Software Deployment Model, figure 5.2.
fn archive_digest(program: &[u8]) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    let mut text = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
        // Strings are padded to a multiple of eight bytes.
        let padding = bytes.len().next_multiple_of(8).saturating_sub(bytes.len());
        hasher.update(&[0u8; 8][..padding.min(7)]);
    };
    let before: [&[u8]; 23] = [
        b"nix-archive-1",
        b"(",
        b"type",
        b"directory",
        b"entry",
        b"(",
        b"name",
        b"bin",
        b"node",
        b"(",
        b"type",
        b"directory",
        b"entry",
        b"(",
        b"name",
        b"busybox",
        b"node",
        b"(",
        b"type",
        b"regular",
        b"executable",
        b"",
        b"contents",
    ];
    before.iter().for_each(|part| text(part));
    text(program);
    (0..5).for_each(|_| text(b")"));
    hasher.finish()
}

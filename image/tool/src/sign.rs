//! Signs an image outside of Nix, and writes the disk: kernel image with PCR policy, boot loader, manifest, GPT.
//!
//! Refuses to sign a kernel image whose prediction of PCR 11 differs from the toolbox's `systemd-measure`, and a developer's
//! image, whose programs Nix did not build, with other keys than a development set. Invariant: keys never enter the Nix
//! store; the same unsigned image, keys and version give the same bytes.

use crate::expect::{self, Signed};
use crate::keys::{self, KeysError};
use crate::pe::{self, NotPe};
use crate::toolbox::{ToolFailed, Toolbox};
use base64::Engine as _;
use freehold_sign::pcr_policy::{self, Level, PcrPolicyError, SEALING_PHASE};
use freehold_verify::boot::uki::{self, SECTIONS};
use freehold_verify::release::{SYSTEM_KERNEL, SYSTEM_NAME, SYSTEM_ROOT, SYSTEM_VERITY, SystemRelease};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The same for every image of this layout: a disk is told from another by what it holds.
const DISK_SEED: &str = "6b6f9b1e-8a3c-4f43-9c2f-0e5b6ff6d800";
/// The boot loader's settings: no menu, no editor, no keys taken from the disk.
const LOADER: &str = "timeout 0\neditor no\nauto-entries no\nauto-firmware no\nsecure-boot-enroll off\n";

/// What to sign, with what, and where to.
#[derive(Debug)]
pub struct Request<'a> {
    /// The unsigned image: the flake's output `image`.
    pub image: &'a Path,
    /// The folder of keys.
    pub keys: &'a Path,
    /// The folder that is written.
    pub to: &'a Path,
    /// The image's level for the floor, 0 to 63.
    pub level: u8,
    /// The floor that boxes are to take over once both slots hold an image at or above it, at most the level.
    pub floor: u8,
    /// Size of the disk, as systemd-repart takes it.
    pub size: &'a str,
    /// See [`Toolbox::epoch`].
    pub epoch: &'a str,
}

/// What came out.
#[derive(Debug)]
pub struct Written {
    /// The disk.
    pub disk: PathBuf,
    /// A development set of keys was made.
    pub made_keys: bool,
    /// Bytes of the kernel image.
    pub kernel_image: usize,
}

/// Why an image was not signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// A file cannot be read or written.
    #[error("`{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Keys.
    #[error("no keys to sign with")]
    Keys(#[from] KeysError),
    /// A program of the toolbox.
    #[error("the toolbox could not do it")]
    Tool(#[from] ToolFailed),
    /// A built file is no PE image.
    #[error("a built file cannot be read")]
    Pe(#[from] NotPe),
    /// The PCR policy.
    #[error("the pcr policy was not signed")]
    Policy(#[from] PcrPolicyError),
    /// A level beyond what the floor can hold.
    #[error("level {0} is not between 0 and 63")]
    Level(u8),
    /// Programs that Nix did not build, and keys that are not for development.
    #[error("the programs of this image were built outside of nix, and these keys are no development set")]
    Outside,
    /// A floor above the image's own level.
    #[error("floor {0} is above the image's own level {1}")]
    Floor(u8, u8),
    /// A file of the build says something that it should not.
    #[error("`{0}` is no root hash")]
    RootHash(PathBuf),
    /// A certificate that is no PEM.
    #[error("`{0}` holds no certificate")]
    Certificate(PathBuf),
    /// Two ways to predict PCR 11 disagree.
    #[error("pcr 11 is predicted as {ours}, systemd-measure says {theirs}")]
    Disagree {
        /// Our prediction.
        ours: String,
        /// What systemd-measure printed.
        theirs: String,
    },
}

/// Signs and writes.
pub fn sign(request: &Request<'_>) -> Result<Written, SignError> {
    let level = Level::new(request.level).ok_or(SignError::Level(request.level))?;
    let floor = Level::new(request.floor)
        .filter(|floor| *floor <= level)
        .ok_or(SignError::Floor(request.floor, request.level))?;
    let parts = absolute(request.image)?;
    make(request.keys)?;
    let work = request.to.join("work");
    remove(&work)?;
    make(&work)?;
    let tools = Toolbox {
        root: absolute(&parts.join("toolbox"))?,
        keys: absolute(request.keys)?,
        work: absolute(&work)?,
        epoch: request.epoch.to_owned(),
        parts,
    };
    let made_keys = keys::make_where_missing(&tools)?;
    let version = read_text(&tools.parts.join("version"))?.trim().to_owned();
    may_sign(
        &read_text(&tools.parts.join("programs"))?,
        keys::development(&tools.keys),
    )?;

    // Once without the policy, to learn what it must say; then with it, which changes nothing that is measured.
    build(&tools, &["--output=/made/measured.efi"])?;
    let bytes = read(&work.join("measured.efi"))?;
    let sections = measured_sections(&bytes)?;
    let at_sealing = uki::predict(&sections, &[SEALING_PHASE]);
    agree(&tools, &at_sealing.to_hex())?;
    let key = keys::pcr_key(&tools.keys)?;
    let policies = pcr_policy::sign(&key, level, &[at_sealing])?;
    write(&work.join("pcrsig.json"), &policies.to_json())?;
    make(&work.join("esp/EFI/BOOT"))?;
    make(&work.join("esp/EFI/Linux"))?;
    make(&work.join("esp/loader"))?;
    let kernel_path = format!("esp/EFI/Linux/freehold-{version}.efi");
    build(
        &tools,
        &[
            "--section=.pcrsig:@/made/pcrsig.json",
            "--signtool=sbsign",
            "--secureboot-private-key=/keys/db.key",
            "--secureboot-certificate=/keys/db.pem",
            &format!("--output=/made/{kernel_path}"),
        ],
    )?;
    tools.run(&[
        "sbsign",
        "--key",
        "/keys/db.key",
        "--cert",
        "/keys/db.pem",
        "--output",
        "/made/esp/EFI/BOOT/BOOTX64.EFI",
        "/parts/loader.efi",
    ])?;
    write(&work.join("esp/loader/loader.conf"), LOADER.as_bytes())?;

    let kernel_image = read(&work.join(&kernel_path))?;
    let loader = read(&work.join("esp/EFI/BOOT/BOOTX64.EFI"))?;
    let certificates = certificates(&tools.keys)?;
    let [platform, exchange, signer] = certificates.each_ref().map(Vec::as_slice);
    let manifest = expect::manifest(&Signed {
        version: &version,
        development: keys::development(&tools.keys),
        certificates: [platform, exchange, signer],
        loader: pe::image_digest(&loader)?,
        kernel_image: pe::image_digest(&kernel_image)?,
        kernel: pe::image_digest(&read(&tools.parts.join("parts/linux"))?)?,
        sections: &measured_sections(&kernel_image)?,
    });
    write(&request.to.join("manifest.json"), &manifest.to_json())?;
    // The box names its release by it; what it says is believed by nobody, a verifier has its own.
    make(&work.join("esp/freehold"))?;
    write(&work.join("esp/freehold/manifest.json"), &manifest.to_json())?;

    write_release(&tools, request, (&version, level, floor), &kernel_path)?;
    let disk = write_disk(&tools, request)?;
    Ok(Written {
        disk,
        made_keys,
        kernel_image: kernel_image.len(),
    })
}

/// A developer's image is signed with a development set or not at all.
fn may_sign(programs: &str, development: bool) -> Result<(), SignError> {
    match programs.trim() {
        "locked" => Ok(()),
        _ if development => Ok(()),
        _ => Err(SignError::Outside),
    }
}

fn build(tools: &Toolbox, more: &[&str]) -> Result<(), SignError> {
    let uname = format!("--uname={}", read_text(&tools.parts.join("parts/uname"))?.trim());
    let mut arguments = vec![
        "ukify",
        "build",
        "--stub=/parts/stub.efi",
        "--linux=/parts/parts/linux",
        "--initrd=/parts/parts/initrd",
        "--microcode=/parts/parts/ucode",
        "--cmdline=@/parts/parts/cmdline",
        "--os-release=@/parts/parts/osrel",
        &uname,
        "--section=.pcrpkey:@/keys/pcr.pub",
    ];
    arguments.extend(more);
    tools.run(&arguments)?;
    Ok(())
}

/// The sections that the stub measures, from the file that it is in.
fn measured_sections(bytes: &[u8]) -> Result<Vec<uki::Section>, NotPe> {
    Ok(pe::sections(bytes)?
        .iter()
        .filter(|section| SECTIONS.contains(&section.name.as_str()))
        .map(|section| uki::Section::of(&section.name, section.contents))
        .collect())
}

/// The second opinion: systemd's own program over the same parts.
fn agree(tools: &Toolbox, ours: &str) -> Result<(), SignError> {
    tools.run(&[
        "objcopy",
        "-O",
        "binary",
        "--only-section=.sbat",
        "/made/measured.efi",
        "/made/sbat",
    ])?;
    let theirs = tools.run(&[
        "systemd-measure",
        "calculate",
        "--linux=/parts/parts/linux",
        "--initrd=/parts/parts/initrd",
        "--ucode=/parts/parts/ucode",
        "--cmdline=/parts/parts/cmdline",
        "--osrel=/parts/parts/osrel",
        "--uname=/parts/parts/uname.bare",
        "--sbat=/made/sbat",
        "--pcrpkey=/keys/pcr.pub",
        "--bank=sha256",
        &format!("--phase={SEALING_PHASE}"),
    ])?;
    if theirs.contains(ours) {
        return Ok(());
    }
    Err(SignError::Disagree {
        ours: ours.to_owned(),
        theirs: theirs.trim().to_owned(),
    })
}

/// The files of the release that updates a box to this image: what `freehold release publish --kind os` takes.
fn write_release(
    tools: &Toolbox,
    request: &Request<'_>,
    (version, level, floor): (&str, Level, Level),
    kernel: &str,
) -> Result<(), SignError> {
    let release = request.to.join("release");
    remove(&release)?;
    make(&release)?;
    let path = tools.parts.join("roothash");
    let root_hash = read_text(&path)?
        .trim()
        .parse()
        .map_err(|_| SignError::RootHash(path))?;
    let system = SystemRelease {
        v: 1,
        name: "freehold".to_owned(),
        version: version.to_owned(),
        root_hash,
        level,
        floor,
    };
    write(&release.join(SYSTEM_NAME), &system.to_json())?;
    for (from, name) in [
        (tools.work.join(kernel), SYSTEM_KERNEL),
        (tools.parts.join("root.erofs"), SYSTEM_ROOT),
        (tools.parts.join("root.verity"), SYSTEM_VERITY),
        (request.to.join("manifest.json"), "manifest.json"),
    ] {
        let to = release.join(name);
        std::fs::copy(&from, &to).map_err(failed(&to))?;
    }
    Ok(())
}

fn certificates(keys: &Path) -> Result<[Vec<u8>; 3], SignError> {
    let read = |name: &str| {
        let path = keys.join(format!("{name}.pem"));
        let text = read_text(&path)?;
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        base64::engine::general_purpose::STANDARD
            .decode(body)
            .map_err(|_| SignError::Certificate(path))
    };
    let [platform, exchange, signer] = keys::SECURE_BOOT;
    Ok([read(platform)?, read(exchange)?, read(signer)?])
}

fn write_disk(tools: &Toolbox, request: &Request<'_>) -> Result<PathBuf, SignError> {
    let definitions = tools.work.join("disk");
    make(&definitions)?;
    let from = tools.parts.join("disk");
    for entry in std::fs::read_dir(&from).map_err(failed(&from))? {
        let path = entry.map_err(failed(&from))?.path();
        let text = read_text(&path)?.replace("CopyFiles=/esp:/", "CopyFiles=/made/esp:/");
        write(&definitions.join(path.file_name().unwrap_or_default()), text.as_bytes())?;
    }
    let size = format!("--size={}", request.size);
    let seed = format!("--seed={DISK_SEED}");
    tools.run(&[
        "systemd-repart",
        "--offline=yes",
        "--empty=create",
        "--dry-run=no",
        "--discard=no",
        &size,
        &seed,
        "--definitions=/made/disk",
        "/made/freehold.raw",
    ])?;
    // A disk is mostly nothing, and need not take room for it.
    tools.run(&["fallocate", "--dig-holes", "/made/freehold.raw"])?;
    let disk = request.to.join("freehold.raw");
    std::fs::rename(tools.work.join("freehold.raw"), &disk).map_err(failed(&disk))?;
    Ok(disk)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> SignError {
    let path = path.to_owned();
    move |source| SignError::Io { path, source }
}

fn absolute(path: &Path) -> Result<PathBuf, SignError> {
    path.canonicalize().map_err(failed(path))
}

fn make(path: &Path) -> Result<(), SignError> {
    std::fs::create_dir_all(path).map_err(failed(path))
}

fn remove(path: &Path) -> Result<(), SignError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SignError> {
    std::fs::read(path).map_err(failed(path))
}

fn read_text(path: &Path) -> Result<String, SignError> {
    std::fs::read_to_string(path).map_err(failed(path))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SignError> {
    std::fs::write(path, bytes).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_developers_image_is_signed_with_development_keys_only() {
        assert!(may_sign("locked\n", false).is_ok());
        assert!(may_sign("outside\n", true).is_ok());
        assert!(matches!(may_sign("outside\n", false), Err(SignError::Outside)));
        // What is unknown is not locked.
        assert!(matches!(may_sign("", false), Err(SignError::Outside)));
    }
}

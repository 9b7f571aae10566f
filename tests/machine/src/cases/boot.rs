//! What starts, and what does not: firmware, boot loader, kernel image, command line.
//!
//! Refuses to take a silent machine for a refusal: each case waits for the words that say it.

use anyhow::{Result, ensure};
use freehold_verify::rejection::Refusal as _;
use freehold_verify::sealing::SealRejection;

use super::{Ground, Outcome};
use crate::image::Disk;
use crate::machine::{Machine, Wish, prepare};
use crate::site::{Site, TAP};
use crate::{frames, member, person};

/// What the firmware says of a file that is not signed by a key that it knows.
const NOT_STARTED: &[&str] = &["Access Denied", "Access denied", "Security Violation", "Error loading"];
/// What nothing may say that was not to be started.
const STARTED: &[&str] = &["EFI stub", "systemd[1]", "Linux version"];

/// The whole way of a new box: firmware with Secure Boot, verified root, volume made and sealed, settings typed, console
/// compared, keys enrolled, approved; the console's verdict on a measured boot. What is kept is where other cases begin.
pub fn boots_and_attests(ground: &Ground) -> Result<Outcome> {
    let site = &mut Site::new(&ground.folder.join("site"), &ground.image)?;
    let folder = ground.folder.join("machine");
    prepare(&ground.image, &folder)?;
    let machine = &mut Machine::start(&Wish::on(&folder.canonicalize()?, TAP), &site.authority)?;
    person::write_down_the_recovery_key(machine)
        .and_then(|key| Ok(std::fs::write(ground.folder.join("site/recovery-key"), key)?))?;
    person::wait_for_the_screen(machine)?;
    let booted = machine.age();
    // Nobody has said yet who may be spoken to.
    let early = frames::sent(&folder.join("frames.pcap"))?;
    ensure!(
        early.is_empty(),
        "without settings, {} frames were sent, the first is {}",
        early.len(),
        early[0]
    );
    person::type_the_settings(machine, site)?;
    person::confirm_the_console(machine, site)?;
    let id = person::approve_the_box(machine, site)?;
    let seen = site.wait_seen(
        &id,
        "a verdict on the box's evidence",
        || machine.still_on(),
        |seen| {
            seen["verdict"]
                .as_str()
                .is_some_and(|verdict| verdict == "trusted_simulated")
        },
    )?;
    let claims = &seen["claims"];
    ensure!(
        seen["tpm"] == "software",
        "a software TPM was not recognised as such: {seen:#}"
    );
    ensure!(
        claims["boot_kind"] == "measured",
        "the boot is not shown as measured: {claims:#}"
    );
    let version = ground.image.version()?;
    ensure!(
        seen.to_string().contains(&version),
        "the console does not name the image {version}: {seen:#}"
    );
    let evidence = ground.folder.join("site/evidence.bin");
    site.operate(&["box", "evidence", &id, "--out", &evidence.display().to_string()])?;
    person::shut_down(machine)?;
    site.stop_console()?;
    member::keep(&ground.shared, &ground.image, &ground.folder.join("site"), &folder, &id)?;
    Ok(Outcome::Seen(format!(
        "screen after {} s, 0 frames before settings; trusted (simulated), boot measured",
        booted.as_secs()
    )))
}

/// The same machine again: the volume opens by the TPM alone, nobody is asked, the verdict is fresh.
pub fn opens_again_without_a_person(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let machine = member.join()?;
    for question in ["Recovery key, eight", "Type block"] {
        ensure!(!machine.said().contains(question), "somebody was asked `{question}`");
    }
    Ok(Outcome::Seen(format!(
        "trusted (simulated) again after {} s",
        machine.age().as_secs()
    )))
}

/// The firmware does not start a kernel image without our signature.
pub fn refuses_an_unsigned_uki(ground: &Ground) -> Result<Outcome> {
    let disk = prepare(&ground.image, &ground.folder)?;
    let (start, _) = disk.partition("freehold-esp")?;
    let name = format!("::/EFI/Linux/freehold-{}.efi", ground.image.version()?);
    std::fs::copy(ground.image.part("unsigned.efi"), ground.folder.join("unsigned.efi"))?;
    let at = format!("/case/disk.raw@@{start}");
    ground.image.tool(
        &ground.folder,
        &ground.folder,
        &["mcopy", "-o", "-i", &at, "/case/unsigned.efi", &name],
    )?;
    is_not_started(ground)
}

/// The same for a changed bit of the signed one's command line.
pub fn refuses_a_changed_command_line(ground: &Ground) -> Result<Outcome> {
    let disk = prepare(&ground.image, &ground.folder)?;
    let (start, length) = disk.partition("freehold-esp")?;
    disk.flip(disk.find(b"systemd.import_credentials=no", start, start + length)?)?;
    is_not_started(ground)
}

fn is_not_started(ground: &Ground) -> Result<Outcome> {
    let authority = freehold_harness::TpmAuthority::new(&ground.folder.join("tpm-authority"))?;
    let mut machine = Machine::start(&Wish::at(&ground.folder.canonicalize()?), &authority)?;
    machine.until(NOT_STARTED, STARTED)?;
    Ok(Outcome::Seen(format!(
        "the firmware did not start it, after {} s",
        machine.age().as_secs()
    )))
}

/// A command line from the hypervisor reaches the kernel, is measured, and the volume stays closed: not even the recovery key
/// is asked for.
pub fn smbios_command_line_does_not_unseal(ground: &Ground) -> Result<Outcome> {
    let mut member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let text = "io.systemd.stub.kernel-cmdline-extra=systemd.log_level=info";
    member
        .wish
        .more
        .extend(["-smbios".to_owned(), format!("type=11,value={text}")]);
    let mut machine = member.start()?;
    let code = SealRejection::CommandLine {
        found: freehold_trust::Sha256Digest::default(),
    }
    .code();
    machine.until(&[code], &["Type block", "Recovery key, eight"])?;
    Ok(Outcome::Seen(format!("`{code}` after {} s", machine.age().as_secs())))
}

/// A credential from the hypervisor: not imported, nothing of it runs, the boot is the same.
pub fn smbios_credential_is_ignored(ground: &Ground) -> Result<Outcome> {
    let mut member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    // A unit that would write to the serial line.
    let unit = "[Service]\\nExecStart=/usr/bin/systemctl --version\\nStandardOutput=tty\\nTTYPath=/dev/ttyS0\\n";
    let credential = format!("io.systemd.credential:systemd.extra-unit.slipped-in.service={unit}");
    member
        .wish
        .more
        .extend(["-smbios".to_owned(), format!("type=11,value={credential}")]);
    let want = "io.systemd.credential:systemd.unit-dropin.multi-user.target=[Unit]\\nWants=slipped-in.service\\n";
    member
        .wish
        .more
        .extend(["-smbios".to_owned(), format!("type=11,value={want}")]);
    let machine = member.join()?;
    ensure!(
        !machine.said().contains("slipped-in"),
        "the unit of the credential was seen\n{}",
        machine.end()
    );
    Ok(Outcome::Seen("the same verdict, nothing of it was started".to_owned()))
}

/// The partition of the root of this image on a disk.
pub(super) fn root_of(ground: &Ground, disk: &Disk) -> Result<(u64, u64)> {
    disk.partition(&format!("freehold-{}", ground.image.version()?))
}

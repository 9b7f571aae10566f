//! What lies on the disk: the verified root, the sealed volume, and what becomes of them in other hands.
//!
//! Refuses to change anything but a case's own copy.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use freehold_harness::TpmAuthority;
use freehold_harness::wait_for;
use freehold_verify::rejection::Refusal as _;
use freehold_verify::sealing::SealRejection;

use super::boot::root_of;
use super::{Ground, Outcome};
use crate::image::Disk;
use crate::machine::{Machine, Wish, prepare};
use crate::{member, person};

/// What a machine with a changed block of its root says.
const CORRUPT: &[&str] = &["is corrupted", "device corrupted", "Kernel panic", "verity"];

/// One changed bit of the root: the block is never read as if it were good; the machine stops and starts again.
pub fn refuses_a_changed_root(ground: &Ground) -> Result<Outcome> {
    let disk = prepare(&ground.image, &ground.folder)?;
    let (start, _) = root_of(ground, &disk)?;
    // In the superblock's neighbourhood, which is read first.
    disk.flip(start + 1100)?;
    let authority = TpmAuthority::new(&ground.folder.join("tpm-authority"))?;
    let mut machine = Machine::start(&Wish::at(&ground.folder.canonicalize()?), &authority)?;
    machine.until(CORRUPT, &["Type block", "F fingerprints"])?;
    Ok(Outcome::Seen(format!("stopped after {} s", machine.age().as_secs())))
}

/// The disk alone, in a machine with another TPM: closed, and the recovery key is asked for.
pub fn seals_the_disk_to_this_machine(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    fs::remove_dir_all(member.wish.folder.join("tpm"))?;
    let mut machine = member.start()?;
    let code = SealRejection::OtherTpm.code();
    machine.until(&[code], &["Type block", "F fingerprints"])?;
    Ok(Outcome::Seen(format!("`{code}` after {} s", machine.age().as_secs())))
}

/// The same, and a person has the recovery key: the volume opens, is sealed to this machine, and the key is replaced.
pub fn opens_with_the_recovery_key(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let key = fs::read_to_string(ground.folder.join("site/recovery-key")).context("nobody kept the recovery key")?;
    fs::remove_dir_all(member.wish.folder.join("tpm"))?;
    let mut machine = member.start()?;
    machine.until(&["Recovery key, eight blocks"], &["Type block", "F fingerprints"])?;
    machine.press(&format!("{}\n", key.trim()))?;
    machine.until(&["the volume is sealed to this machine as it is now"], person::TROUBLE)?;
    let next = person::write_down_the_recovery_key(&mut machine)?;
    ensure!(next != key.trim(), "the recovery key that was typed is still the same");
    person::wait_for_the_screen(&mut machine)?;
    Ok(Outcome::Seen(format!(
        "open, sealed anew, another key shown; screen after {} s",
        machine.age().as_secs()
    )))
}

/// A data partition of another machine, and one that somebody made: neither is taken.
pub fn refuses_a_swapped_data_partition(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let disk = Disk {
        path: member.wish.folder.join("disk.raw"),
    };
    let (start, length) = disk.partition("freehold-data")?;
    // A plain file system where the volume was.
    let plain = ground.folder.join("plain");
    fs::File::create(&plain)?.set_len(length)?;
    ground
        .image
        .tool(&ground.folder, &ground.folder, &["mkfs.ext4", "-q", "/case/plain"])?;
    disk.put(start, &plain)?;
    let mut machine = member.start()?;
    let code = SealRejection::Foreign(String::new()).code();
    machine.until(&[code], &["Type block", "Recovery key, eight"])?;
    Ok(Outcome::Seen(format!(
        "a plain file system: `{code}` after {} s",
        machine.age().as_secs()
    )))
}

/// Power cuts of a member at growing ages; afterwards it opens, attests, and its record goes on from what was signed.
pub fn survives_a_power_cut(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let cuts: u64 = std::env::var("FREEHOLD_VM_CUTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4);
    let before = entries(&member.site, &member.id)?;
    // The whole of a boot is what another case measured; a cut falls somewhere in it.
    let whole = fs::read_to_string(ground.shared.join("boot-seconds"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(120);
    for cut in 1..=cuts {
        let mut machine = member.start()?;
        let at = Duration::from_secs(whole * cut / (cuts + 1));
        wait_for("the moment of the cut", at + Duration::from_secs(60), || {
            machine.still_on()?;
            std::thread::park_timeout(Duration::from_millis(100));
            Ok((machine.age() >= at).then_some(()))
        })?;
        machine.cut();
    }
    let machine = member.join()?;
    let after = entries(&member.site, &member.id)?;
    ensure!(after >= before, "the record had {before} entries and has {after}");
    Ok(Outcome::Seen(format!(
        "{cuts} cuts; trusted again after {} s, {before} entries before, {after} after",
        machine.age().as_secs()
    )))
}

/// Entries of the box's record, as the console saw them last.
fn entries(site: &crate::site::Site, id: &str) -> Result<u64> {
    Ok(site.seen(id)?["record_head"]["size"].as_u64().unwrap_or_default())
}

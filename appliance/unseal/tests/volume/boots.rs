//! Boots without a person: what opens, and what stays closed.

use std::fs;
use std::process::Command;

use freehold_seal::SealingTpm;
use freehold_trust::sha256;
use freehold_verify::boot::manifest::extend;
use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::sealing::volume::{LABEL, MAKING, SUBSYSTEM};

use crate::world::World;

#[test]
fn a_volume_is_made_on_the_first_boot_and_opens_on_every_later_one() {
    let (mut world, recovery) = World::made();
    let measured = world.measured();
    // The recovery key is an ordinary passphrase of the volume: any other machine opens it, too.
    assert!(world.opens_with(&recovery));
    for _ in 0..2 {
        world.plain_boot();
        let said = world.run_alone();
        assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
        assert_eq!(world.measured(), measured);
        assert!(world.json("volume.json").contains("\"opened_by\": \"tpm\""));
        // Measured once, and the log says what.
        let mut tpm = SealingTpm::open(&world.swtpm.tcti()).unwrap();
        let pcr15 = tpm.pcrs(&[15]).unwrap()[&15];
        assert_eq!(pcr15, extend(&Default::default(), measured.as_bytes()));
        assert!(tpm.state().unwrap().owned && tpm.state().unwrap().lockout_owned);
        let log = CanonicalLog::parse(&fs::read(world.at("run/measure.log")).unwrap()).unwrap();
        let mut pcrs = [Default::default(); 24];
        log.replay_sha256(&mut pcrs);
        assert_eq!(pcrs[15], pcr15);
        assert_eq!(log.records[0].kind, "volume-key");
    }
    // Started twice in one boot, PCR 15 stays.
    let said = world.run_alone();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
    let mut tpm = SealingTpm::open(&world.swtpm.tcti()).unwrap();
    assert_eq!(
        tpm.pcrs(&[15]).unwrap()[&15],
        extend(&Default::default(), measured.as_bytes())
    );
}

// promise S-90
#[test]
fn a_changed_boot_stays_closed_and_says_why() {
    let (mut world, _) = World::made();
    let before = world.disk_digest();
    for (code, asks, firmware, image, extra) in [
        ("seal.firmware", true, "other", "image", &[][..]),
        ("seal.image", false, "firmware", "image", &[(11, "leave-initrd")]),
        ("seal.command_line", false, "firmware", "image", &[(12, "init=/bin/sh")]),
        ("seal.extension", false, "firmware", "image", &[(13, "extension")]),
        // With several, the one that forbids the recovery key wins.
        ("seal.command_line", false, "other", "image", &[(12, "rd.break")]),
    ] {
        world.boot(firmware, image, extra, 1);
        let said = world.run_alone();
        assert_eq!(said.code, Some(1), "{code}: {}{}", said.console, said.log);
        assert!(said.console.contains(code), "{}", said.console);
        assert!(said.console.contains("next: "), "{}", said.console);
        assert_eq!(said.console.contains("Recovery key, eight blocks"), asks, "{code}");
        assert!(!world.at("run/volume.json").exists());
        let closed = world.json("closed.json");
        assert!(
            closed.contains(code) || (asks && closed.contains("seal.recovery_missing")),
            "{closed}"
        );
    }
    assert_eq!(world.disk_digest(), before);
    world.plain_boot();
    assert_eq!(world.run_alone().code, Some(0));
}

#[test]
fn another_signed_image_opens_and_one_below_the_floor_does_not() {
    let (mut world, _) = World::made();
    world.boot("firmware", "image 2", &[], 2);
    assert_eq!(world.run_alone().code, Some(0));
    let raise = |level: &str| {
        Command::new(env!("CARGO_BIN_EXE_freehold-unseal"))
            .args(["raise-floor", level])
            .arg(format!("--tcti={}", world.swtpm.tcti()))
            .arg(format!("--runtime={}", world.at("run").display()))
            .output()
            .unwrap()
    };
    let output = raise("2");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the floor is 2\n");
    assert_eq!(String::from_utf8_lossy(&raise("1").stdout), "the floor is 2\n");

    world.plain_boot();
    let said = world.run_alone();
    assert_eq!(said.code, Some(1));
    assert!(said.console.contains("seal.floor"), "{}", said.console);
    assert!(!said.console.contains("Recovery key, eight blocks"), "not even by hand");
    world.boot("firmware", "image 2", &[], 2);
    assert_eq!(world.run_alone().code, Some(0));
}

#[test]
fn without_secure_boot_no_volume_is_made() {
    let mut world = World::new();
    world.with_escrow();
    world.secure_boot(false);
    world.plain_boot();
    let before = world.disk_digest();
    let said = world.run_alone();
    assert_eq!(said.code, Some(1), "{}{}", said.console, said.log);
    assert!(said.console.contains("seal.secure_boot"), "{}", said.console);
    assert_eq!(world.disk_digest(), before);
    fs::remove_dir_all(world.at("efivars")).unwrap();
    assert_eq!(
        world.run_alone().code,
        Some(1),
        "firmware that does not say is not firmware that says yes"
    );
    world.secure_boot(true);
    assert_eq!(world.run_alone().code, Some(0));
}

#[test]
fn a_tpm_with_an_unknown_owner_gets_no_volume() {
    let mut world = World::new();
    world.with_escrow();
    world.tool("tpm2_changeauth -c o somebody");
    world.plain_boot();
    let before = world.disk_digest();
    let said = world.run_alone();
    assert_eq!(said.code, Some(1), "{}{}", said.console, said.log);
    assert!(said.console.contains("seal.owned"), "{}", said.console);
    assert_eq!(world.disk_digest(), before);
}

// promise S-94
#[test]
fn a_plain_or_foreign_partition_is_neither_opened_nor_written() {
    let mut world = World::new();
    world.with_escrow();
    world.plain_boot();
    type Fill = fn(&World);
    let fills: [(&str, Fill); 5] = [
        ("an ext4 file system", |world| {
            let made = Command::new("mkfs.ext4").arg("-q").arg("-F").arg(world.disk()).status();
            assert!(made.unwrap().success());
        }),
        ("a LUKS2 volume of somebody else", |world| luks(world, "data", "")),
        ("a LUKS2 volume of somebody else", |world| luks(world, LABEL, "")),
        ("data of an unknown kind", |world| {
            world.write_disk(5_000_000, b"a letter")
        }),
        ("data of an unknown kind", |world| {
            world.write_disk(World::tail() + 100, b"a letter")
        }),
    ];
    for (what, fill) in fills {
        world.empty_disk();
        fill(&world);
        let before = world.disk_digest();
        let said = world.run_alone();
        assert_eq!(said.code, Some(1), "{what}: {}{}", said.console, said.log);
        assert!(
            said.console.contains("seal.foreign_partition") && said.console.contains(what),
            "{}",
            said.console
        );
        assert_eq!(world.disk_digest(), before, "{what}");
    }
    // Our own mark of a volume in the making is the one thing that is begun anew.
    world.empty_disk();
    world.write_disk(4096, &sha256(b"what a cut left").as_bytes()[..]);
    world.write_disk(World::tail(), MAKING);
    assert_eq!(world.run_alone().code, Some(0));
}

fn luks(world: &World, label: &str, subsystem: &str) {
    fs::write(world.at("thief"), "thief's key").unwrap();
    let mut command = Command::new("cryptsetup");
    command
        .args([
            "luksFormat",
            "--type=luks2",
            "--batch-mode",
            "--pbkdf=pbkdf2",
            "--pbkdf-force-iterations=1000",
        ])
        .args(["--label", label])
        .arg("--key-file")
        .arg(world.at("thief"));
    if !subsystem.is_empty() {
        command.args(["--subsystem", subsystem]);
    }
    assert!(command.arg(world.disk()).status().unwrap().success());
}

// promise S-94
#[test]
fn a_swapped_partition_that_carries_our_notes_does_not_open() {
    let (mut world, recovery) = World::made();
    let tokens = ["0", "1"].map(|id| {
        Command::new("cryptsetup")
            .args(["token", "export", "--token-id", id])
            .arg(world.disk())
            .output()
            .unwrap()
            .stdout
    });
    world.empty_disk();
    luks(&world, LABEL, SUBSYSTEM);
    fs::write(world.at("second"), "thief's second key").unwrap();
    let added = Command::new("cryptsetup")
        .args([
            "luksAddKey",
            "--batch-mode",
            "--pbkdf=pbkdf2",
            "--pbkdf-force-iterations=1000",
            "--key-file",
        ])
        .arg(world.at("thief"))
        .arg(world.disk())
        .arg(world.at("second"))
        .status();
    assert!(added.unwrap().success());
    for (id, token) in ["0", "1"].iter().zip(tokens) {
        fs::write(world.at("token"), token).unwrap();
        let put = Command::new("cryptsetup")
            .args(["token", "import", "--token-id", id, "--json-file"])
            .arg(world.at("token"))
            .arg(world.disk())
            .status();
        assert!(put.unwrap().success());
    }
    world.plain_boot();
    let said = world.run_alone();
    assert_eq!(said.code, Some(1), "{}{}", said.console, said.log);
    assert!(said.console.contains("seal.other_volume"), "{}", said.console);
    assert!(!world.opens_with(&recovery));
}

#[test]
fn a_tpm_that_is_away_is_could_not_tell() {
    let (mut world, _) = World::made();
    world.tcti = Some("swtpm:host=127.0.0.1,port=1".to_owned());
    let said = world.run_alone();
    assert_eq!(said.code, Some(2), "{}{}", said.console, said.log);
    assert!(said.console.contains("seal.tpm_unavailable"), "{}", said.console);
    world.tcti = None;
    world.cryptsetup = world.at("no-such-program");
    let said = world.run_alone();
    assert_eq!(said.code, Some(2));
    assert!(said.console.contains("seal.tool"), "{}", said.console);
}

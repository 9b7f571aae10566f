//! Boots with a person at the console: recovery, PIN, escrow.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use freehold_seal::SealingTpm;
use freehold_verify::sealing::{Escrow, Floor, Level};

use crate::world::World;

#[test]
fn the_recovery_key_opens_after_a_firmware_change_and_is_replaced() {
    let (mut world, old) = World::made();
    let measured = world.measured();
    world.boot("new firmware", "image", &[], 1);
    let mut person = world.sit_down();
    let shown = person.read_until("eight blocks of six letters:");
    assert!(shown.contains("seal.firmware"), "{shown}");
    // Mistyped: the block is named.
    let wrong = if old.starts_with('c') { "b" } else { "c" };
    person.type_line(&format!("{wrong}{}", &old[1..]));
    assert!(
        person
            .read_until("eight blocks of six letters:")
            .contains("mistyped: block 1")
    );
    // Well typed, but of another volume.
    person.type_line(&freehold_verify::sealing::RecoveryKey::from_random([9; 16]).text());
    assert!(
        person
            .read_until("eight blocks of six letters:")
            .contains("not this volume's")
    );
    person.type_line(&old.to_uppercase().replace('-', " "));
    let new = person.write_down_and_confirm();
    let said = person.leave();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
    assert!(world.json("volume.json").contains("\"opened_by\": \"recovery\""));
    // The same volume as before, whoever opened it.
    assert_eq!(world.measured(), measured);
    assert!(world.opens_with(&new) && !world.opens_with(&old));
    // Sealed to the new firmware: nobody is needed any more. The old firmware no longer opens.
    world.boot("new firmware", "image", &[], 1);
    assert_eq!(world.run_alone().code, Some(0));
    world.plain_boot();
    assert_eq!(world.run_alone().code, Some(1));
}

#[test]
fn a_cleared_tpm_is_mended_by_the_recovery_key_and_keeps_the_floor() {
    let (mut world, key) = World::made();
    world.tool("tpm2_clear -c p");
    world.plain_boot();
    let mut person = world.sit_down();
    assert!(
        person
            .read_until("eight blocks of six letters:")
            .contains("seal.other_tpm")
    );
    person.type_line(&key);
    let key = person.write_down_and_confirm();
    let said = person.leave();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
    assert!(SealingTpm::open(&world.swtpm.tcti()).unwrap().state().unwrap().owned);
    world.plain_boot();
    assert_eq!(world.run_alone().code, Some(0));

    // A floor that rose before: the next sealing notes it, and the next cleared TPM gets it back.
    world.boot("firmware", "image 3", &[], 3);
    assert_eq!(world.run_alone().code, Some(0));
    let raised = std::process::Command::new(env!("CARGO_BIN_EXE_freehold-unseal"))
        .args(["raise-floor", "2"])
        .arg(format!("--tcti={}", world.swtpm.tcti()))
        .arg(format!("--runtime={}", world.at("run").display()))
        .status();
    assert!(raised.unwrap().success());
    world.boot("newer firmware", "image 3", &[], 3);
    let mut person = world.sit_down();
    person.read_until("eight blocks of six letters:");
    person.type_line(&key);
    let key = person.write_down_and_confirm();
    assert_eq!(person.leave().code, Some(0));
    world.tool("tpm2_clear -c p");
    // The image below that floor does not even ask for the key.
    world.boot("newer firmware", "image", &[], 1);
    let said = world.run_alone();
    assert!(
        said.console.contains("seal.floor") && !said.console.contains("eight blocks"),
        "{}",
        said.console
    );
    world.boot("newer firmware", "image 3", &[], 3);
    let mut person = world.sit_down();
    person.read_until("eight blocks of six letters:");
    person.type_line(&key);
    person.write_down_and_confirm();
    assert_eq!(person.leave().code, Some(0));
    let floor = SealingTpm::open(&world.swtpm.tcti()).unwrap().floor().unwrap();
    assert_eq!(floor, Floor::At(Level::new(2).unwrap()));
}

#[test]
fn nobody_at_the_console_and_no_escrow_leaves_no_volume() {
    let mut world = World::new();
    world.plain_boot();
    let said = world.run_alone();
    assert_eq!(said.code, Some(1), "{}{}", said.console, said.log);
    assert!(said.console.contains("seal.unconfirmed"), "{}", said.console);
    // The next start begins anew, with another key.
    let mut person = world.sit_down();
    let key = person.write_down_and_confirm();
    assert!(!said.console.contains(&key));
    assert_eq!(person.leave().code, Some(0));
}

// promise S-96
#[test]
fn two_persons_open_the_escrow_of_a_box_that_nobody_sat_at() {
    let mut world = World::new();
    let persons = world.with_escrow();
    world.plain_boot();
    let said = world.run_alone();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
    let escrow = Escrow::parse(world.json("escrow.json").as_bytes()).unwrap();
    let shares: Vec<_> = persons.iter().map(|key| escrow.share(key, None).unwrap()).collect();
    let key = escrow.combine(&shares[0], &shares[1]).unwrap();
    assert!(world.opens_with(&key.text()));
    for share in &shares {
        assert!(!world.opens_with(&share.to_string()));
    }
    // Used once, it is replaced, and so is the escrow.
    world.boot("new firmware", "image", &[], 1);
    let mut person = world.sit_down();
    person.read_until("eight blocks of six letters:");
    person.type_line(&key.text());
    person.write_down_and_confirm();
    assert_eq!(person.leave().code, Some(0));
    assert!(!world.opens_with(&key.text()));
    let second = Escrow::parse(world.json("escrow.json").as_bytes()).unwrap();
    let shares: Vec<_> = persons.iter().map(|key| second.share(key, None).unwrap()).collect();
    assert!(world.opens_with(&second.combine(&shares[0], &shares[1]).unwrap().text()));
}

#[test]
fn a_pin_is_asked_for_and_wrong_ones_are_counted() {
    let mut world = World::new();
    world.arguments.push("--pin".to_owned());
    world.plain_boot();
    let mut person = world.sit_down();
    for (question, typed) in [
        ("no PIN):", "314"),
        ("no PIN):", "314159"),
        ("Once more:", "314158"),
        ("no PIN):", "314159"),
        ("Once more:", "314159"),
    ] {
        person.read_until(question);
        person.type_line(typed);
    }
    let key = person.write_down_and_confirm();
    person.read_until("recovery key):");
    person.type_line("314159");
    let said = person.leave();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);

    world.plain_boot();
    let mut person = world.sit_down();
    let mut left = Vec::new();
    for typed in ["271828", "271829"] {
        person.read_until("recovery key):");
        person.type_line(typed);
        let said = person.read_until("are left");
        let number = said
            .split("the pin is wrong, ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        left.push(number.unwrap().parse::<u32>().unwrap());
    }
    // A TPM that lost power after a PIN was used counts that as a try, too.
    assert!(left[0] >= 8 && left[1] == left[0] - 1, "{left:?}");
    person.read_until("recovery key):");
    person.type_line("314159");
    assert_eq!(person.leave().code, Some(0));

    // Until the TPM takes none; the recovery key still works.
    world.plain_boot();
    while SealingTpm::open(&world.swtpm.tcti())
        .unwrap()
        .state()
        .unwrap()
        .tries_left
        > 0
    {
        let mut person = world.sit_down();
        for _ in 0..3 {
            person.type_line("000000");
        }
        assert_eq!(person.leave().code, Some(1));
    }
    let mut person = world.sit_down();
    let shown = person.read_until("eight blocks of six letters:");
    assert!(shown.contains("seal.lockout") && shown.contains("600 s"), "{shown}");
    person.type_line(&key);
    person.read_until("no PIN):");
    person.type_line("161803");
    person.read_until("Once more:");
    person.type_line("161803");
    // A locked TPM cannot prove the new PIN; the volume opens, and says that it was not sealed anew.
    let said = person.leave();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
    assert!(
        said.console
            .contains("warning: the volume opens, but was not sealed anew"),
        "{}",
        said.console
    );
    assert!(world.opens_with(&key));
}

// promise S-97
#[test]
fn no_secret_is_in_arguments_environment_or_log() {
    let mut world = World::new();
    let spy = world.at("spy");
    let notes = world.at("notes");
    fs::write(
        &spy,
        format!(
            "#!/bin/sh\n{{ echo \"$0 $*\"; tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/$$/environ; cat /proc/$PPID/environ \
             /proc/$PPID/cmdline; echo; }} >> {}\nexec cryptsetup \"$@\"\n",
            notes.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).unwrap();
    world.cryptsetup = spy;
    world.arguments.push("--pin".to_owned());
    world.plain_boot();
    let mut person = world.sit_down();
    for _ in 0..2 {
        person.type_line("correct horse");
    }
    let key = person.write_down_and_confirm();
    person.type_line("correct horse");
    let said = person.leave();
    assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
    let volume_key = volume_key(&world, &key);
    let owner = world.json("tpm-owner");
    let notes = String::from_utf8_lossy(&fs::read(notes).unwrap()).into_owned();
    assert!(
        notes.contains("luksFormat") && notes.contains("luksAddKey"),
        "the spy saw nothing"
    );
    let report = world.json("volume.json");
    for secret in [
        key.as_str(),
        &key.replace('-', ""),
        "correct horse",
        &volume_key,
        &owner,
    ] {
        for (place, text) in [
            ("arguments or environment", &notes),
            ("log", &said.log),
            ("report", &report),
        ] {
            assert!(!text.contains(secret), "a secret is in the {place}");
        }
    }
    assert!(said.console.contains(&key), "the console is where it is shown");
    assert!(!said.console.contains("correct horse") && !said.console.contains(&volume_key));
    // What is left for the running system is for its owner only.
    for name in ["tpm-owner", "volume.json"] {
        let mode = fs::metadata(world.at("run").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn volume_key(world: &World, key: &str) -> String {
    fs::write(world.at("typed"), key).unwrap();
    let output = std::process::Command::new("cryptsetup")
        .args(["luksDump", "--dump-volume-key", "--batch-mode", "--key-file"])
        .arg(world.at("typed"))
        .arg(world.disk())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let dump = text.split_once("dump:").unwrap().1;
    dump.split_whitespace().collect()
}

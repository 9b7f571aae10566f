//! A disk that was put back, found by the TPM's counter: real TPM commands, a real record, a real copy of the state folder.

use std::path::Path;
use std::process::Command;

use freehold_harness::{Swtpm, World};

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// Starts the box; what it said before is forgotten.
fn begin(world: &mut World) {
    world.one.forget_status();
    world.one.start().unwrap();
}

fn has(status: &serde_json::Value, code: &str) -> bool {
    let refusals = status["refusals"].as_array();
    refusals.is_some_and(|all| all.iter().any(|one| one["code"] == code))
}

/// The numbers that the record says the TPM has counted to.
fn counts(world: &World) -> Vec<u64> {
    let mut record = Vec::new();
    let reader = freehold_record_files::RecordReader::open(&world.at("box/state/record"));
    let Ok((_, checkpoint)) = reader.checkpoint() else {
        return record;
    };
    for bytes in reader.entries(0, checkpoint.size, checkpoint.size).unwrap_or_default() {
        let view = freehold_record::EntryView::parse(&bytes).unwrap();
        freehold_record::schema::check(&entry_of(&view)).unwrap();
        if view.what == "record.counted" {
            record.push(view.number("count").unwrap());
        }
    }
    record
}

/// The entry again, to hold every entry of a whole box against its schema.
fn entry_of(view: &freehold_record::EntryView) -> freehold_record::Entry {
    let mut entry = freehold_record::Entry::new(0, view.who.clone(), view.what.clone());
    for (name, value) in &view.fields {
        entry = entry.with(name.clone(), value.clone());
    }
    match &view.refusal {
        Some(refusal) => entry.refused(refusal.clone()),
        None => entry,
    }
}

// promise S-54
#[test]
fn i03_a_disk_that_was_put_back_is_found_by_the_tpms_counter() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    world.one.stop().unwrap();
    let first = counts(&world);
    assert_eq!(first.len(), 1, "one start of the machine, one count");
    // Somebody keeps a copy of the whole disk.
    let (state, kept) = (world.at("box/state"), world.at("box/kept"));
    copy(&state, &kept);

    // The machine starts again: it counts, and everything fits.
    world.one.tpm.restart().unwrap();
    begin(&mut world);
    let status = world
        .one
        .wait("the box to be proven again", |status| status["console"] == "ok")
        .unwrap();
    assert!(!has(&status, "record.rolled_back"), "{status:#}");
    world.one.stop().unwrap();
    assert_eq!(counts(&world), [first[0], first[0] + 1]);

    // The copy is put back: whole, signed, and too old.
    copy(&kept, &state);
    begin(&mut world);
    let status = world
        .one
        .wait("the old disk to be found", |status| has(status, "record.rolled_back"))
        .unwrap();
    let refusals = status["refusals"].as_array().unwrap();
    let found = refusals.iter().find(|one| one["code"] == "record.rolled_back").unwrap();
    assert_eq!(found["found"], format!("count {}", first[0]));
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    assert!(
        entries
            .iter()
            .any(|(what, code)| what == "record.rolled_back" && code.as_deref() == Some("record.rolled_back")),
        "{entries:?}"
    );
    // A person has looked and starts it again: record and TPM fit together from then on, and the entry stays.
    begin(&mut world);
    let status = world
        .one
        .wait("the box to be up", |status| status["tpm"]["state"] == "ok")
        .unwrap();
    assert!(!has(&status, "record.rolled_back"), "{status:#}");
}

#[test]
fn a_tpm_that_was_exchanged_or_cleared_is_found_too() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    world.one.stop().unwrap();
    assert_eq!(counts(&world).len(), 1);
    // The counter is gone: the owner cleared it away.
    let status = Command::new("tpm2_nvundefine")
        .args(["-C", "o", "0x0182f200"])
        .env("TPM2TOOLS_TCTI", world.one.tpm.tcti())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    begin(&mut world);
    world
        .one
        .wait("the missing counter to be found", |status| {
            has(status, "record.counter_lost")
        })
        .unwrap();
}

#[test]
fn the_counter_only_rises_and_anybody_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut swtpm = Swtpm::start(folder.path()).unwrap();
    let open = |tcti: &str, keys| freehold_collect::Tpm::new(tcti, keys, freehold_collect::Limits::default()).unwrap();
    let tpm = open(&swtpm.tcti(), None);
    assert_eq!(tpm.counter().unwrap(), None);
    let first = tpm.count(&[]).unwrap();
    assert_eq!(tpm.counter().unwrap(), Some(first));
    assert_eq!(tpm.count(&[]).unwrap(), first + 1);
    swtpm.restart().unwrap();
    assert_eq!(tpm.counter().unwrap(), Some(first + 1));
    // A software TPM serves one connection at a time.
    let keys = tpm.keys().unwrap();
    drop(tpm);
    // A box with a sealed volume: the storage key is kept, the TPM has an owner, and counts only for who knows the owner's value.
    let context = folder.path().join("storage.ctx");
    let context = context.to_str().unwrap();
    let attributes = "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda";
    for words in [
        vec![
            "tpm2_createprimary",
            "-C",
            "o",
            "-g",
            "sha256",
            "-G",
            "ecc256:aes128cfb",
            "-a",
            attributes,
            "-c",
            context,
        ],
        vec!["tpm2_evictcontrol", "-C", "o", "-c", context, "0x81020001"],
        vec!["tpm2_changeauth", "-c", "o", "hex:0102"],
    ] {
        let output = Command::new(words[0])
            .args(&words[1..])
            .env("TPM2TOOLS_TCTI", swtpm.tcti())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let tpm = open(&swtpm.tcti(), Some(keys));
    assert!(tpm.count(&[]).is_err());
    assert_eq!(tpm.count(&[1, 2]).unwrap(), first + 2);
    assert_eq!(tpm.counter().unwrap(), Some(first + 2));
}

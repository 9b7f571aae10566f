//! Full disks, under the box and under the console: nothing half done, nothing acknowledged is lost, and room cures it.

use freehold_harness::world::{BoxWish, Wish, engine};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_record_files::RecordReader;
use freehold_scenarios::client::{Server, code_of, runtime};
use freehold_scenarios::disk::SmallDisk;
use freehold_scenarios::explained;
use http::Method;
use serde_json::{Value, json};

const SKIPPED: &str = "skipped: a small disk, because this process may not mount one";

fn stored(status: &Value, version: &str) -> bool {
    let models = status["models"].as_array();
    let there = ["admitted", "serving", "stopped"];
    models.is_some_and(|models| {
        (models.iter()).any(|model| there.iter().any(|phase| model["phase"] == *phase) && model["version"] == version)
    })
}

fn size_of(record: &std::path::Path) -> u64 {
    RecordReader::open(record)
        .checkpoint()
        .map_or(0, |(_, checkpoint)| checkpoint.size)
}

// promise S-52
#[test]
fn d20_a_full_disk_under_the_box_loses_nothing_and_room_cures_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::new(&folder.path().join("disk"), 96).unwrap() else {
        println!("{SKIPPED}");
        return;
    };
    let one = BoxWish {
        state: Some(disk.at().join("state")),
        ..BoxWish::named("box1")
    };
    let mut world = World::with(Wish { one, ..Wish::default() }).unwrap();
    world.join().unwrap();
    // Room for the record and the box's own documents, none for a model: it waits and says how much is missing.
    disk.fill(66 << 20).unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    let status = world
        .one
        .wait("the box to say what it lacks", |status| {
            let waiting = status["waiting"].as_array();
            waiting.is_some_and(|all| {
                all.iter()
                    .any(|one| one.as_str().is_some_and(|one| one.contains("room on the disk")))
            })
        })
        .unwrap();
    assert!(!stored(&status, "1.0.0"), "{status:#}");
    // Then not a byte is left.
    let record = world.one.state().join("record");
    let before = size_of(&record);
    disk.fill(0).unwrap();
    let log = world.one.folder().join("supervisor.log");
    let id = world.one.id().unwrap();
    wait_for("the full disk to be said", PATIENCE, || {
        // News make it write.
        let _ = world.operate(["box", "attest", &id]);
        let said = std::fs::read_to_string(&log)?;
        let full = ["store.full", "record.full", "record.not_durable", "record.files"];
        Ok(full.iter().any(|code| said.contains(code)).then_some(()))
    })
    .unwrap();
    assert!(world.one.supervisor.as_mut().unwrap().ended().unwrap().is_none());
    // Killed on the full disk, it comes up again or says why not; nothing is half admitted.
    world.one.kill();
    assert!(size_of(&record) >= before, "entries are gone");
    disk.relieve().unwrap();
    world.one.start().unwrap();
    world
        .one
        .wait("the model", |status| {
            stored(status, "1.0.0") && (engine().is_none() || status["achieved"] == 1)
        })
        .unwrap();
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    assert!(u64::try_from(entries.len()).unwrap() >= before);
}

// promise S-72
#[test]
fn i07_a_full_disk_under_the_console_refuses_by_code_and_room_cures_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::new(&folder.path().join("disk"), 64).unwrap() else {
        println!("{SKIPPED}");
        return;
    };
    let wish = Wish {
        console_state: Some(disk.at().join("console")),
        ..Wish::default()
    };
    let mut world = World::with(wish).unwrap();
    world.join().unwrap();
    let record = world.console_state().join("record");
    let id = world.one.id().unwrap();
    let runtime = runtime();
    let people = Server::people(&world).unwrap();
    disk.fill(0).unwrap();
    let before = size_of(&record);
    // A change is refused with a code, and what can be answered without writing is answered.
    let path = format!("/api/v1/boxes/{id}/tokens");
    let code = wait_for("a change to be refused", PATIENCE, || {
        let body = json!({"name": "an application", "models": []});
        let (status, answer) = runtime.block_on(people.ask(Method::POST, &path, Some(body)))?;
        Ok((status >= 400).then(|| code_of(&answer)))
    })
    .unwrap();
    explained(&code);
    let (status, answer) = runtime
        .block_on(people.ask(Method::GET, "/api/v1/boxes", None))
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(world.console.as_mut().unwrap().ended().unwrap().is_none());
    // Killed on the full disk; with room it has everything that it acknowledged.
    drop(world.console.take());
    assert!(size_of(&record) >= before, "entries are gone");
    disk.relieve().unwrap();
    world.start_console().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world.one.wait("the model", |status| stored(status, "1.0.0")).unwrap();
    assert!(size_of(&record) > before);
}

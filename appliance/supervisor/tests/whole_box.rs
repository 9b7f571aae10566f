//! The supervisor as it ships, against a real console, publisher and TPM: joining, serving, refusing, and being killed.

use std::fs;

use freehold_harness::world::engine;
use freehold_harness::{PATIENCE, World, wait_for};

fn serving(status: &serde_json::Value, name: &str, version: &str) -> bool {
    let models = status["models"].as_array();
    models.is_some_and(|models| {
        models
            .iter()
            .any(|model| model["name"] == name && model["version"] == version && model["phase"] == "serving")
    })
}

fn stored(status: &serde_json::Value, version: &str) -> bool {
    let models = status["models"].as_array();
    models.is_some_and(|models| {
        models.iter().any(|model| {
            model["version"] == version
                && (model["phase"] == "serving" || model["phase"] == "admitted" || model["phase"] == "stopped")
        })
    })
}

#[test]
fn f14_a_box_joins_serves_refuses_to_go_back_and_drops_what_is_revoked() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let status = world.one.status().unwrap();
    assert_eq!(status["boot"], "simulated");
    assert_eq!(status["tpm"]["state"], "ok");

    let (target, root) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    if engine().is_none() {
        println!("skipped: no engine in target/engine, `make engine` brings it");
        return;
    }
    let status = world
        .one
        .wait("the model to serve", |status| {
            serving(status, "guide", "1.0.0") && status["achieved"] == 1
        })
        .unwrap();
    assert_eq!(status["models"][0]["digest"], root.to_hex());
    assert_ne!(status["models"][0]["memory_bound"], "");

    // A newer version takes the place of the older one.
    let (newer, newer_root) = world.publish("guide", "2.0.0").unwrap();
    world.assign(&[&newer]).unwrap();
    world
        .one
        .wait("the newer version to serve alone", |status| {
            serving(status, "guide", "2.0.0") && !stored(status, "1.0.0") && status["achieved"] == 2
        })
        .unwrap();

    // F14: going back is refused, whatever the console says, and what runs goes on.
    world.assign(&[&target]).unwrap();
    let status = world
        .one
        .wait("the older version to be refused", |status| {
            status["refusals"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["code"] == "release.rollback"))
        })
        .unwrap();
    assert!(serving(&status, "guide", "2.0.0"), "{status:#}");

    // Revoked: stopped and gone.
    world.publisher.revoke(newer_root).unwrap();
    world.import().unwrap();
    world
        .one
        .wait("the revoked model to be gone", |status| !stored(status, "2.0.0"))
        .unwrap();
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    for what in [
        "enrol.proven",
        "assignment.accepted",
        "model.store",
        "engine.start",
        "engine.stop",
        "model.remove",
    ] {
        assert!(
            entries.iter().any(|(found, _)| found == what),
            "{what} is not in {entries:?}"
        );
    }
    assert!(
        entries
            .iter()
            .any(|(_, code)| code.as_deref() == Some("release.rollback"))
    );
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(world.at(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("box/state/keys/record.pem"), 0o600);
    assert_eq!(mode("box/state/keys/tpm-keys"), 0o600);
}

#[test]
fn d20_killed_at_every_step_it_converges_and_nothing_half_admitted_is_left() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, root) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    let journal = world.at("box/state/record/journal");
    let models = world.at("box/state/models");
    let mut kills = 0;
    // Each entry of the record is a step. Run by run the supervisor gets one step further before it is killed. A fast or a
    // busy machine shows several entries in one look; then the import begins anew until it was killed often enough.
    let mut steps = 0;
    loop {
        steps += 1;
        world.one.kill();
        kills += 1;
        for model in fs::read_dir(&models).unwrap() {
            let model = model.unwrap().path();
            assert_eq!(model.file_name().unwrap().to_str().unwrap(), root.to_hex());
            for release in fs::read_dir(&model).unwrap() {
                let release = release.unwrap().path();
                assert!(
                    release.join("admitted.json").exists(),
                    "half a model: {}",
                    release.display()
                );
            }
        }
        let _ = fs::remove_file(world.at("box/state/status.json"));
        let mut before = fs::read(&journal).unwrap();
        world.one.start().unwrap();
        let mut seen = 0;
        let rested = wait_for("the next step", PATIENCE, || {
            let after = fs::read(&journal)?;
            seen += usize::from(after != before);
            before = after;
            let rest = world
                .one
                .status()
                .is_some_and(|status| stored(&status, "1.0.0") && (status["achieved"] == 1 || engine().is_none()));
            Ok((seen >= steps || rest).then_some(rest))
        });
        if rested.unwrap_or_else(|error| panic!("{error}\n{}", world.one.tail(60))) {
            if kills > 6 {
                break;
            }
            world.one.kill();
            for model in fs::read_dir(&models).unwrap() {
                fs::remove_dir_all(model.unwrap().path()).unwrap();
            }
            steps = 0;
        }
        assert!(steps < 60, "no rest after {steps} steps\n{}", world.one.tail(60));
    }
    let status = world
        .one
        .wait("the box to come to rest", |status| stored(status, "1.0.0"))
        .unwrap();
    assert_eq!(status["models"].as_array().unwrap().len(), 1, "{status:#}");
    if engine().is_some() {
        world
            .one
            .wait("the model to serve", |status| {
                serving(status, "guide", "1.0.0") && status["achieved"] == 1
            })
            .unwrap();
    }
    world.one.stop().unwrap();
    // Every entry that was acknowledged is there, in one consistent log.
    let found = world.one.entries().unwrap();
    // Killed between the entry and the counter it says so twice, and once more is not a different one.
    assert!(found.iter().any(|(what, _)| what == "assignment.accepted"), "{found:?}");
    assert_eq!(
        found.iter().filter(|(what, _)| what == "supervisor.started").count(),
        kills + 1
    );
    assert_eq!(fs::read_dir(world.at("box/state/staging")).unwrap().count(), 0);
}

#[test]
fn j01_what_runs_goes_on_without_console_and_without_tpm() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the model to be stored", |status| {
            stored(status, "1.0.0") && status["doing"] == "at rest" || engine().is_none()
        })
        .unwrap();
    world.stop_console().unwrap();
    world
        .one
        .wait("the console to be missed", |status| status["console"] == "console.away")
        .unwrap();
    // A restart without a console keeps what was accepted, and takes nothing back.
    world.one.kill();
    fs::remove_file(world.at("box/state/status.json")).unwrap();
    world.one.start().unwrap();
    world
        .one
        .wait("the model after a restart alone", |status| {
            stored(status, "1.0.0") && (engine().is_none() || serving(status, "guide", "1.0.0"))
        })
        .unwrap();
    // J01: no TPM, a clear word, and the model goes on.
    world.start_console().unwrap();
    world
        .one
        .wait("the console to be back", |status| status["console"] == "ok")
        .unwrap();
    world.one.tpm.kill();
    let id = world.one.id().unwrap();
    world.operate(["box", "attest", &id]).unwrap().yes().unwrap();
    let status = world
        .one
        .wait("the TPM to be missed", |status| {
            status["tpm"]["state"] == "tpm.unavailable"
        })
        .unwrap();
    assert!(engine().is_none() || serving(&status, "guide", "1.0.0"), "{status:#}");
    world.one.tpm.power_on().unwrap();
    world
        .one
        .wait("the TPM to be taken again", |status| {
            status["tpm"]["state"] == "ok" && status["console"] == "ok"
        })
        .unwrap();
}

#[test]
fn a_box_that_a_person_refused_says_so_and_waits() {
    let mut world = World::new().unwrap();
    world.one.start().unwrap();
    world
        .one
        .wait("the box to ask for approval", |status| {
            status["enrolment"] == "waiting_for_approval"
        })
        .unwrap();
    let id = world.one.id().unwrap();
    world.operate(["box", "refuse", &id]).unwrap().yes().unwrap();
    let status = world
        .one
        .wait("the refusal to be said", |status| {
            status["console"] == "enrol.refused_by_person"
        })
        .unwrap();
    assert_eq!(status["verdict"], "unknown");
    assert_eq!(status["models"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_stored_model_that_was_changed_is_not_started() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, root) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the model to be stored", |status| stored(status, "1.0.0"))
        .unwrap();
    world.one.stop().unwrap();
    // Somebody who can write to the disk: one byte in the middle of the weights.
    let content = world.at("box/state/models").join(root.to_hex());
    let release = fs::read_dir(content).unwrap().next().unwrap().unwrap().path();
    let file = release.join("files/model.gguf");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    world.one.start().unwrap();
    let status = world
        .one
        .wait("the change to be found", |status| {
            status["refusals"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["code"] == "store.changed"))
        })
        .unwrap();
    assert!(!serving(&status, "guide", "1.0.0"), "{status:#}");
}

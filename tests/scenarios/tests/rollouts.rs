//! Rollouts on a bad day: a console that is killed again and again, a box that is alone with a release that does not suit it.

use std::fs;

use freehold_harness::publisher::weights;
use freehold_harness::world::{PATIENCE, engine};
use freehold_harness::{World, wait_for};
use serde_json::Value;

fn serves(status: &Value, version: &str) -> bool {
    let models = status["models"].as_array();
    models.is_some_and(|models| (models.iter()).any(|model| model["version"] == version && model["phase"] == "serving"))
}

fn has(status: &Value, version: &str) -> bool {
    let models = status["models"].as_array();
    models.is_some_and(|models| {
        (models.iter()).any(|model| {
            model["version"] == version
                && !["refused", "fetching", "verifying"]
                    .iter()
                    .any(|phase| model["phase"] == *phase)
        })
    })
}

/// A box that serves guide 1.0.0, confirmed; `None` where there is no engine.
fn world() -> Option<World> {
    if engine().is_none() {
        println!("skipped: no engine in target/engine, `make engine` brings it");
        return None;
    }
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the first version", |status| {
            serves(status, "1.0.0") && status["achieved"] == 1
        })
        .unwrap();
    Some(world)
}

/// Publishes guide 2.0.0 with this self-test, and answers its target.
fn next(world: &World, selftest: &str) -> String {
    let folder = world.at("next");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(weights(), folder.join("model.gguf")).unwrap();
    fs::write(folder.join("selftest.json"), selftest).unwrap();
    let (target, _) = world.publisher.model_from("guide", "2.0.0", &folder).unwrap();
    world.import().unwrap();
    target
}

const GOOD: &str = r#"{"v":1,"max_tokens":96,"questions":[{"prompt":"Who are you?","contains":"Freehold Guide"}]}"#;
const BAD: &str = r#"{"v":1,"max_tokens":96,"questions":[{"prompt":"Who are you?","contains":"somebody else"}]}"#;

fn plan(world: &World, target: &str) -> String {
    let made = world
        .operate([
            "rollout",
            "plan",
            target,
            "--approvals",
            "0",
            "--speed",
            "1",
            "--wave",
            "percent=100",
        ])
        .unwrap();
    let made = made.yes().unwrap().json().unwrap();
    let (id, digest) = (made["id"].as_str().unwrap(), made["digest"].as_str().unwrap());
    world
        .operate(["rollout", "start", id, "--digest", digest])
        .unwrap()
        .yes()
        .unwrap();
    id.to_owned()
}

fn show(world: &World, id: &str) -> Option<Value> {
    world.operate(["rollout", "show", id]).ok()?.yes().ok()?.json().ok()
}

// promise S-187
#[test]
fn a_console_that_is_killed_again_and_again_brings_a_rollout_to_its_end() {
    let Some(mut world) = world() else { return };
    let target = next(&world, GOOD);
    let id = plan(&world, &target);
    for _ in 0..5 {
        // SIGKILL, as soon as it has said something about the rollout.
        let said = wait_for("the console", PATIENCE, || Ok(show(&world, &id)));
        said.unwrap();
        world.console = None;
        world.start_console().unwrap();
    }
    let ended = wait_for("the end", PATIENCE, || {
        Ok(show(&world, &id).filter(|one| one["over"] == true))
    })
    .unwrap();
    assert_eq!(ended["phase"], "done", "{ended:#}");
    assert_eq!(ended["counts"]["healthy"], 1);
    let status = world
        .one
        .wait("the new version", |status| {
            serves(status, "2.0.0") && status["doing"] == "at rest"
        })
        .unwrap();
    // It was told once: the first assignment was a person's, the second the rollout's.
    assert_eq!(status["achieved"], 2, "{status:#}");
    assert!(has(&status, "1.0.0"), "the way back is kept: {status:#}");
    // And a person may still take it back, although the old version is older.
    world.operate(["rollout", "rollback", &id]).unwrap().yes().unwrap();
    let status = world
        .one
        .wait("the old version again", |status| {
            serves(status, "1.0.0") && !has(status, "2.0.0") && status["achieved"] == 3
        })
        .unwrap();
    assert!(
        status["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["code"] != "release.rollback")
    );
}

// promise S-188
#[test]
fn a_box_without_its_console_goes_back_from_a_release_that_does_not_suit_it() {
    let Some(mut world) = world() else { return };
    let target = next(&world, BAD);
    // Without an engine the release is stored and cannot be tried yet.
    world.one.stop().unwrap();
    world.one.wish.engine = None;
    world.one.forget_status();
    world.one.start().unwrap();
    world
        .one
        .wait("the box again", |status| status["console"] == "ok")
        .unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the release in the store", |status| has(status, "2.0.0"))
        .unwrap();
    world.one.stop().unwrap();
    world.stop_console().unwrap();
    world.one.wish.engine = engine();
    world.one.forget_status();
    world.one.start().unwrap();
    let status = world
        .one
        .wait("the box to have gone back", |status| {
            serves(status, "1.0.0") && !has(status, "2.0.0")
        })
        .unwrap();
    assert_ne!(status["console"], "ok");
    assert!(
        status["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["code"] == "health.answers"),
        "{status:#}"
    );
    // It tells when its console is back.
    world.start_console().unwrap();
    let seen = world
        .wait_seen("the report", |seen| {
            let health = seen["report"]["health"].as_array();
            health.is_some_and(|all| {
                (all.iter())
                    .any(|one| one["version"] == "2.0.0" && one["state"]["went_back"]["code"] == "health.answers")
            })
        })
        .unwrap();
    assert!(seen["report"]["health"].as_array().unwrap().len() >= 2, "{seen:#}");
}

//! A console that is away for long, and clocks that are ten years off.

use std::time::{Duration, Instant};

use freehold_harness::world::{BoxWish, Wish, engine};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_scenarios::client::{Server, runtime};
use freehold_scenarios::explained;
use http::Method;
use serde_json::{Value, json};

fn stored(status: &Value, version: &str) -> bool {
    let models = status["models"].as_array();
    let there = ["admitted", "serving", "stopped"];
    models.is_some_and(|models| {
        (models.iter()).any(|model| there.iter().any(|phase| model["phase"] == *phase) && model["version"] == version)
    })
}

/// What starts a program with its clock so many days off; `None` when the library for it is not there.
fn days_off(days: i32) -> Option<Vec<String>> {
    let library = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = library
        .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists());
    let Some(library) = library else {
        println!("skipped: clocks, because libfaketime is not installed");
        return None;
    };
    // Only the time of day is wrong: what the kernel counts from its start stays right, as on a computer with a dead battery.
    Some(vec![
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME={days:+}d"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ])
}

const TEN_YEARS: i32 = 3652;

// promise S-49
#[test]
fn a_console_that_is_away_for_long_stops_nothing_and_hears_everything_later() {
    let mut world = World::new().unwrap();
    world.one.wish.interval = 0.05;
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the model", |status| {
            stored(status, "1.0.0") && (engine().is_none() || status["achieved"] == 1)
        })
        .unwrap();
    let address = world.one.start_gateway().unwrap();
    let gateway = Server::gateway(&world, address).unwrap();
    let runtime = runtime();
    let ask = |body: Option<Value>| match body {
        Some(body) => runtime.block_on(gateway.ask(Method::POST, "/v1/chat/completions", Some(body))),
        None => runtime.block_on(gateway.ask(Method::GET, "/v1/models", None)),
    };
    wait_for("the token to be known", PATIENCE, || {
        Ok(ask(None).ok().filter(|(status, _)| *status == 200).map(|_| ()))
    })
    .unwrap();
    world.stop_console().unwrap();
    let status = world
        .one
        .wait("the console to be missed", |status| status["console"] == "console.away")
        .unwrap();
    explained("console.away");
    let before = status["record"].as_u64().unwrap();
    // An hour of looks at an interval of thirty seconds, here at fifty milliseconds: 120 of them.
    let began = Instant::now();
    let question =
        json!({"model": "guide", "max_tokens": 4, "messages": [{"role": "user", "content": "Who are you?"}]});
    let mut asked = 0;
    wait_for("an hour to pass", PATIENCE, || {
        if engine().is_some() && asked < 3 {
            let (status, answer) = ask(Some(question.clone()))?;
            anyhow::ensure!(status == 200, "{answer}");
            asked += 1;
        }
        Ok((began.elapsed() > Duration::from_secs(6)).then_some(()))
    })
    .unwrap();
    let status = world.one.status().unwrap();
    assert!(stored(&status, "1.0.0"), "{status:#}");
    // That it is away fills no record; what was asked is in it.
    let after = status["record"].as_u64().unwrap();
    assert!(after <= before + asked + 2, "{before} entries became {after}");
    world.start_console().unwrap();
    let (newer, _) = world.publish("guide", "2.0.0").unwrap();
    world.assign(&[&newer]).unwrap();
    world
        .one
        .wait("the newer version", |status| {
            stored(status, "2.0.0") && status["console"] == "ok"
        })
        .unwrap();
    // The head of its record, with what happened meanwhile, is at the console.
    let shown = world.one.state().join("cosigned.json");
    wait_for("the record to be shown", PATIENCE, || {
        let size: u64 = std::fs::read_to_string(&shown)?.trim().parse()?;
        Ok((size > after).then_some(()))
    })
    .unwrap();
}

fn a_box_whose_clock_is_off(days: i32) {
    let Some(under) = days_off(days) else { return };
    let one = BoxWish {
        under,
        ..BoxWish::named("box1")
    };
    let mut world = World::with(Wish { one, ..Wish::default() }).unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world.one.wait("the model", |status| stored(status, "1.0.0")).unwrap();
    // What it reports is of today, by the console's signed time.
    let seen = world
        .wait_seen("a report of today", |seen| {
            let now = time::OffsetDateTime::now_utc().unix_timestamp();
            seen["report"]["at"].as_i64().is_some_and(|at| (at - now).abs() < 600)
        })
        .unwrap();
    assert_eq!(seen["verdict"], "trusted_simulated");
    let log = world.one.tail(400);
    assert!(log.contains("the system's clock differs from the console's"), "{log}");
}

#[test]
fn j02_a_box_whose_clock_is_ten_years_ahead_takes_the_signed_time() {
    a_box_whose_clock_is_off(TEN_YEARS);
}

#[test]
fn j02_a_box_whose_clock_is_ten_years_behind_takes_the_signed_time() {
    a_box_whose_clock_is_off(-TEN_YEARS);
}

/// The console's clock turns wrong under a box that serves: nothing new is believed that must not be, and what runs goes on.
fn a_console_whose_clock_is_off(days: i32) {
    let Some(under) = days_off(days) else { return };
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world.one.wait("the model", |status| stored(status, "1.0.0")).unwrap();
    world.stop_console().unwrap();
    world.start_console_under(&under).unwrap();
    let status = world
        .one
        .wait("the clock's effect", |status| {
            status["console"]
                .as_str()
                .is_some_and(|code| code != "ok" && code != "console.away")
                || status["doing"]
                    .as_str()
                    .is_some_and(|doing| doing.contains("has not expired"))
        })
        .unwrap();
    assert!(stored(&status, "1.0.0"), "{status:#}");
    if let Some(code) = status["console"].as_str().filter(|code| *code != "ok") {
        explained(code);
    }
    // With its clock right again, all is as before.
    world.stop_console().unwrap();
    world.start_console().unwrap();
    world
        .one
        .wait("the console to be believed again", |status| {
            status["console"] == "ok" && status["verdict"] == "trusted_simulated" && stored(status, "1.0.0")
        })
        .unwrap();
}

#[test]
fn j02_a_console_whose_clock_is_ten_years_behind_changes_nothing() {
    a_console_whose_clock_is_off(-TEN_YEARS);
}

#[test]
fn j02_a_console_whose_clock_is_ten_years_ahead_installs_nothing_new() {
    a_console_whose_clock_is_off(TEN_YEARS);
}

//! Verdict leases over a whole box: real console, real TPM commands. A model that policy ties to a fresh verdict starts with
//! one, stops when it is withdrawn, over or for another boot, and another model never notices.

use std::fs;
use std::time::{Duration, Instant};

use freehold_harness::World;
use freehold_scenarios::explained;
use serde_json::{Value, json};

/// What the status says about a model: serving is the empty text, else the reason.
fn standing(status: &Value, name: &str) -> Option<String> {
    let model = status["models"]
        .as_array()?
        .iter()
        .find(|model| model["name"] == name)?;
    match model["phase"].as_str()? {
        "serving" => Some(String::new()),
        "stopped" | "admitted" => Some(model["reason"].as_str().unwrap_or_default().to_owned()),
        _ => None,
    }
}

/// Whether policy and lease let it run: it serves, or only the engine is missing on this machine.
fn may_run(status: &Value, name: &str) -> bool {
    standing(status, name).is_some_and(|why| !why.starts_with("lease.") && !why.starts_with("policy."))
}

fn waits_for_lease(status: &Value, name: &str, code: &str) -> bool {
    standing(status, name).as_deref() == Some(code) && status["lease"]["state"] == code
}

/// A world whose policy ties `guide` to a verdict and lets `other` run freely; both are assigned.
fn leased(ttl: i64) -> World {
    let mut world = World::new().unwrap();
    world.stop_console().unwrap();
    let file = world.console_state().join("console.json");
    let mut settings: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    settings["rules"]["lease_ttl"] = json!(ttl);
    fs::write(&file, serde_json::to_vec_pretty(&settings).unwrap()).unwrap();
    world.start_console().unwrap();
    let signer = world.publisher.signer();
    world.publisher.policy_leasing("2.0.0", &[signer], &["guide"]).unwrap();
    world.import().unwrap();
    world.join().unwrap();
    let (guide, _) = world.publish("guide", "1.0.0").unwrap();
    let (other, _) = world.publish("other", "1.0.0").unwrap();
    world.assign(&[&guide, &other]).unwrap();
    world
}

// promise S-164
#[test]
fn a_withdrawn_lease_stops_its_model_within_a_minute_and_no_other_one() {
    let mut world = leased(3600);
    let status = world
        .one
        .wait("both models to be let run", |status| {
            may_run(status, "guide") && may_run(status, "other") && status["lease"]["state"] == "held"
        })
        .unwrap();
    assert_eq!(status["lease"]["models"], json!(["guide"]));
    let id = world.one.id().unwrap();
    world.operate(["box", "lease", &id, "show"]).unwrap().yes().unwrap();

    let began = Instant::now();
    world.operate(["box", "lease", &id, "withdraw"]).unwrap().yes().unwrap();
    let status = world
        .one
        .wait("the leased model to stop", |status| {
            waits_for_lease(status, "guide", "lease.withdrawn")
        })
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(may_run(&status, "other"), "{status:#}");
    explained("lease.withdrawn");
    // A good verdict alone gives it back to nobody.
    world.operate(["box", "attest", &id]).unwrap().yes().unwrap();
    let shown = world.operate(["box", "lease", &id, "show"]).unwrap();
    assert_eq!(shown.code, 1, "{shown:?}");

    world.operate(["box", "lease", &id, "grant"]).unwrap().yes().unwrap();
    world
        .one
        .wait("the leased model to be let run again", |status| {
            may_run(status, "guide") && status["lease"]["state"] == "held"
        })
        .unwrap();
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    for (what, code) in [("lease.held", None), ("lease.lost", Some("lease.withdrawn"))] {
        let found = |(found, with): &(String, Option<String>)| found == what && with.as_deref() == code;
        assert!(entries.iter().any(found), "{what} {code:?} is not in {entries:?}");
    }
}

// promise S-164
#[test]
fn a_lease_ends_by_itself_with_the_console_away_and_is_worth_nothing_in_another_boot() {
    let mut world = leased(3600);
    world
        .one
        .wait("the leased model to be let run", |status| may_run(status, "guide"))
        .unwrap();
    // The console goes. A restart of the program alone changes nothing: it is the same boot.
    world.stop_console().unwrap();
    world.one.kill();
    world.one.forget_status();
    world.one.start().unwrap();
    world
        .one
        .wait("the leased model after a restart of the program", |status| {
            may_run(status, "guide")
        })
        .unwrap();
    // Another boot: what was proved before says nothing about it.
    world.one.kill();
    world.one.forget_status();
    world.one.tpm.restart().unwrap();
    world.one.start().unwrap();
    world
        .one
        .wait("the leased model to wait", |status| {
            waits_for_lease(status, "guide", "lease.other_boot") && may_run(status, "other")
        })
        .unwrap();
    // With the console there again it proves itself, and goes on.
    world.start_console().unwrap();
    world
        .one
        .wait("the leased model to be let run", |status| may_run(status, "guide"))
        .unwrap();
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    // The engine of the leased model was never started between the new boot and the new lease.
    let lost = entries
        .iter()
        .rposition(|(_, code)| code.as_deref() == Some("lease.other_boot"))
        .unwrap();
    let held = entries.iter().rposition(|(what, _)| what == "lease.held").unwrap();
    assert!(lost < held, "{entries:?}");
}

// promise S-164
#[test]
fn a_lease_that_is_not_renewed_stops_its_model_at_its_end() {
    let mut world = leased(20);
    world
        .one
        .wait("the leased model to be let run", |status| may_run(status, "guide"))
        .unwrap();
    world.stop_console().unwrap();
    let status = world
        .one
        .wait("the lease to end", |status| {
            waits_for_lease(status, "guide", "lease.expired")
        })
        .unwrap();
    assert!(may_run(&status, "other"), "{status:#}");
    explained("lease.expired");
}

//! A TPM that vanishes, and one that talks nonsense: what runs goes on, nothing is believed, and a good TPM is taken again.

use freehold_harness::World;
use freehold_harness::world::{BoxWish, engine};
use freehold_scenarios::chip::{Chip, Speaks};
use freehold_scenarios::explained;
use serde_json::Value;

fn stored(status: &Value) -> bool {
    let models = status["models"].as_array();
    let there = ["admitted", "serving", "stopped"];
    models.is_some_and(|models| {
        (models.iter()).any(|model| there.iter().any(|phase| model["phase"] == *phase) && model["version"] == "1.0.0")
    })
}

/// A box with a model whose TPM sits behind a chip that can turn bad.
fn world() -> (World, Chip) {
    let mut world = World::new().unwrap();
    let chip = Chip::before(&world.one.tpm.tcti()).unwrap();
    world.one.wish = BoxWish {
        tcti: Some(chip.tcti()),
        ..world.one.wish.clone()
    };
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the model", |status| {
            stored(status) && status["achieved"] == 1 || stored(status) && engine().is_none()
        })
        .unwrap();
    (world, chip)
}

/// Asks for evidence and waits until the box says what its TPM did; answers the code.
fn trouble(world: &mut World) -> String {
    let id = world.one.id().unwrap();
    world.operate(["box", "attest", &id]).unwrap().yes().unwrap();
    let status = world
        .one
        .wait("the TPM's fault", |status| {
            status["tpm"]["state"]
                .as_str()
                .is_some_and(|state| state.starts_with("tpm."))
        })
        .unwrap();
    assert!(stored(&status), "{status:#}");
    assert!(
        engine().is_none() || status["models"][0]["phase"] == "serving",
        "{status:#}"
    );
    let code = status["tpm"]["state"].as_str().unwrap().to_owned();
    explained(&code);
    let message = status["tpm"]["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{status:#}");
    code
}

fn recovered(world: &mut World) {
    world
        .one
        .wait("the TPM to be taken again", |status| {
            status["tpm"]["state"] == "ok" && status["verdict"] == "trusted_simulated" && status["console"] == "ok"
        })
        .unwrap();
}

// promise S-48
#[test]
fn j01_a_tpm_that_vanishes_stops_nothing_and_is_taken_again() {
    let (mut world, _chip) = world();
    world.one.tpm.kill();
    assert_eq!(trouble(&mut world), "tpm.unavailable");
    world.one.tpm.power_on().unwrap();
    recovered(&mut world);
}

// promise S-48
#[test]
fn j01_a_tpm_that_answers_garbage_is_not_believed_and_a_good_one_is_taken_again() {
    let (mut world, chip) = world();
    for speaks in [Speaks::Noise, Speaks::Half, Speaks::Endless] {
        chip.speak(speaks);
        let code = trouble(&mut world);
        assert!(
            ["tpm.garbage", "tpm.unavailable", "tpm.slow"].contains(&code.as_str()),
            "{speaks:?}: {code}"
        );
        // The supervisor is alive, and its record whole.
        assert!(world.one.supervisor.as_mut().unwrap().ended().unwrap().is_none());
        chip.speak(Speaks::Truth);
        recovered(&mut world);
    }
    world.one.stop().unwrap();
    let entries = world.one.entries().unwrap();
    assert!(entries.iter().any(|(what, _)| what == "tpm.fault"), "{entries:?}");
}

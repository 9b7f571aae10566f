//! A second box that claims to be the first: its disk in another machine, and its TPM under another name.

use std::process::Command;

use freehold_harness::world::{BoxWish, ProcessBox};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_scenarios::explained;

// promise S-11
#[test]
fn b05_a_copied_state_folder_beside_another_tpm_speaks_for_nobody() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let id = world.one.id().unwrap();
    let mut second = ProcessBox::new(&world.at("second"), &world.authority, BoxWish::named("second")).unwrap();
    // The box goes on: a file that it replaces meanwhile spoils the copy, and the thief begins anew.
    wait_for("a whole copy", PATIENCE, || {
        let _ = std::fs::remove_dir_all(second.state());
        let mut copy = Command::new("cp");
        let copied = copy.arg("-a").arg(world.one.state()).arg(second.state()).status()?;
        Ok(copied.success().then_some(()))
    })
    .unwrap();
    std::fs::copy(world.one.pairing(), second.pairing()).unwrap();
    second.forget_status();
    second.start().unwrap();
    let status = second
        .wait("the other chip to be noticed", |status| {
            status["tpm"]["state"]
                .as_str()
                .is_some_and(|state| state.starts_with("tpm.other"))
        })
        .unwrap();
    assert_eq!(status["tpm"]["state"], "tpm.other_chip", "{status:#}");
    explained("tpm.other_chip");
    assert_eq!(status["verdict"], "unknown", "{status:#}");
    // The real one is not troubled, and the console still knows one box.
    let seen = world
        .wait_seen("the real box", |seen| seen["verdict"] == "trusted_simulated")
        .unwrap();
    assert_eq!(seen["id"], id.as_str());
    let all = world.operate(["box", "list"]).unwrap().yes().unwrap().json().unwrap();
    assert_eq!(all["boxes"].as_array().map(Vec::len), Some(1), "{all}");
}

// promise S-11
#[test]
fn b06_the_same_tpm_under_a_second_name_is_refused() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let id = world.one.id().unwrap();
    // The TPM's computer is started from another disk.
    world.one.stop().unwrap();
    let own = world.one.wish.clone();
    world.one.wish = BoxWish {
        label: "another".to_owned(),
        state: Some(world.at("box/another")),
        ..own.clone()
    };
    world.one.start().unwrap();
    let status = world
        .one
        .wait("the refusal", |status| {
            status["console"]
                .as_str()
                .is_some_and(|code| code.starts_with("enrol."))
        })
        .unwrap();
    let code = status["console"].as_str().unwrap().to_owned();
    assert_eq!(code, "enrol.same_ek", "{status:#}");
    explained(&code);
    world.one.stop().unwrap();
    // From its own disk it is who it was.
    world.one.wish = own;
    world.one.forget_status();
    world.one.start().unwrap();
    let status = world
        .one
        .wait("the verdict", |status| status["verdict"] == "trusted_simulated")
        .unwrap();
    assert_eq!(status["box"], id.as_str());
}

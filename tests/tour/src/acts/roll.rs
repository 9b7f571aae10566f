//! Act 5: a second version of the model goes to the boxes in three waves, to the island by stick; one box finds it unfit and keeps
//! what it ran.
//!
//! The box that fails is not told to: its engine has 256 tokens of context, and one question of the new version's self-test is
//! longer.

use std::fs;

use anyhow::{Context as _, ensure};

use super::ask::{MODEL, VERSION, publish, target};
use super::fleet::export_to_running_console;
use super::island;
use crate::stage::Stage;
use crate::summary::{RolloutLine, Summary};
use crate::world::{SMALL, World};

/// The version that is rolled out.
pub const NEXT: &str = "1.1.0";
/// Who approves: not the one who proposes.
const APPROVER: &str = "noor";

/// Plays the act.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.act(5, "Roll it out");
    stage.step("The publisher brings 1.1.0, with a longer self-test", || {
        sign(world)?;
        publish(world, "guide-next", NEXT)?;
        export_to_running_console(world)?;
        Ok((String::new(), ()))
    })?;
    let (id, digest) = stage.step("The operator plans it: three waves, one box may fail", || {
        let far = island::id(world)?;
        let planned = world
            .operate(&[
                "--json",
                "rollout",
                "plan",
                &target(NEXT),
                "--wave",
                "canaries=box1",
                "--wave",
                "count=1",
                "--wave",
                "percent=100",
                "--by-stick",
                &far,
                "--budget",
                "1",
                "--unavailable",
                "1",
                // Two cores are shared by everything here: what is slow says little about the model.
                "--speed",
                "10",
            ])?
            .yes()?
            .json()?;
        let text = |name: &str| planned[name].as_str().unwrap_or_default().to_owned();
        let waves = planned["waves"].as_array().map_or(0, Vec::len);
        ensure!(waves == 3, "{waves} waves");
        let mut said = format!("plan {}\n", text("words"));
        for risk in planned["risks"].as_array().into_iter().flatten() {
            said.push_str(&format!("▲ {}\n", risk.as_str().unwrap_or_default()));
        }
        Ok((said, (text("id"), text("digest"))))
    })?;
    stage.step("Nobody approves their own; another person does", || {
        let refused = world.operate(&["--json", "rollout", "start", &id, "--digest", &digest])?;
        let code = refused.code()?;
        ensure!(code == "rollout.not_approved", "begun without approval: {code}");
        approve(world, &id, &digest)?;
        Ok((format!("{code}, then approved by {APPROVER}"), ()))
    })?;
    stage.step("It begins", || {
        world.operate(&["rollout", "start", &id, "--digest", &digest])?.yes()?;
        Ok((String::new(), ()))
    })?;
    stage.say(&format!("freehold rollout watch {id}"));
    println!();
    let world: &World = world;
    let back = std::thread::scope(|scope| {
        let carrying = scope.spawn(|| {
            let carried = island::bring_along(world, &target(NEXT));
            if carried.is_err() {
                // Nobody waits for a stick that does not come.
                let _ = world.operate(&["rollout", "abort", &id]);
            }
            carried
        });
        let watched = world.operate_on_screen(&["rollout", "watch", &id]);
        let carried = carrying.join().map_err(|_| anyhow::anyhow!("the stick was lost"))?;
        watched.and(carried)
    })?;
    println!();
    stage.step(
        "The island was brought along by a stick, while the others went on",
        || Ok((island::told(&back)?, ())),
    )?;
    summary.rollout = stage.step(
        "Two boxes and the island run 1.1.0; the one it does not suit keeps 1.0.0",
        || {
            let ended = world.operate(&["--json", "rollout", "show", &id])?.yes()?.json()?;
            let line = line(&ended);
            ensure!(line.state == "done", "it is {}", line.state);
            let small = &world.boxes[SMALL].label;
            ensure!(line.rolled_back == [small.clone()], "went back: {:?}", line.rolled_back);
            ensure!(line.by_stick.len() == 1, "by stick: {:?}", line.by_stick);
            for index in 0..world.boxes.len() {
                let version = if index == SMALL { VERSION } else { NEXT };
                world.wait_seen(index, "the version to serve", |seen| serves(seen, version))?;
            }
            Ok((format!("{small} went back by itself: {}", why(&ended)), line))
        },
    )?;
    Ok(())
}

/// Whether the console sees this version answer.
fn serves(seen: &serde_json::Value, version: &str) -> bool {
    let models = seen["models"].as_array();
    models.is_some_and(|models| {
        (models.iter())
            .any(|model| model["phase"] == "serving" && model["version"] == version && model["name"] == MODEL)
    })
}

fn boxes(ended: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    let waves = ended["waves"].as_array().into_iter().flatten();
    waves.flat_map(|wave| wave["boxes"].as_array().into_iter().flatten())
}

fn line(ended: &serde_json::Value) -> RolloutLine {
    let labels = |holds: &dyn Fn(&serde_json::Value) -> bool| -> Vec<String> {
        let chosen = boxes(ended).filter(|one| holds(one));
        chosen
            .filter_map(|one| one["label"].as_str().map(str::to_owned))
            .collect()
    };
    RolloutLine {
        state: ended["phase"].as_str().unwrap_or_default().to_owned(),
        waves: ended["waves"]
            .as_array()
            .map_or(0, |waves| u64::try_from(waves.len()).unwrap_or(0)),
        rolled_back: labels(&|one| matches!(one["stage"].as_str(), Some("went_back" | "returned"))),
        by_stick: labels(&|one| one["by_stick"] == true),
    }
}

fn why(ended: &serde_json::Value) -> String {
    let code = boxes(ended).find_map(|one| one["code"].as_str());
    code.unwrap_or_default().to_owned()
}

/// A second person: an account of its own, a profile of its own, a password that the first one never saw.
fn approve(world: &World, id: &str, digest: &str) -> anyhow::Result<()> {
    let (once, own) = (
        world.path("operator/approver-once"),
        world.path("operator/approver-password"),
    );
    for file in [&once, &own] {
        let _ = fs::remove_file(file);
    }
    world
        .operate(&[
            "console",
            "account",
            APPROVER,
            "--role",
            "approver",
            "--password-file",
            &once,
        ])?
        .yes()?;
    fs::write(&own, "another four plain words")?;
    let profile = world.path("operator/approver.json");
    let fleet_ca = world.fleet_ca()?;
    world
        .as_person(
            &profile,
            &[
                "console",
                "login",
                "--url",
                &world.people_url(),
                "--fleet-ca",
                &fleet_ca,
                "--user",
                APPROVER,
                "--password-file",
                &once,
                "--new-password-file",
                &own,
            ],
        )?
        .yes()?;
    world
        .as_person(
            &profile,
            &["rollout", "approve", id, "--digest", digest, "--password-file", &own],
        )?
        .yes()?;
    Ok(())
}

fn sign(world: &World) -> anyhow::Result<()> {
    let folder = world.folder.join("publisher/guide-next");
    fs::create_dir_all(&folder)?;
    let here = std::env::current_dir()?.join("tests/demonstration-model");
    for (from, to) in [
        ("weights/freehold-guide.gguf", "freehold-guide.gguf"),
        ("selftest-1.1.0.json", "selftest.json"),
    ] {
        fs::copy(here.join(from), folder.join(to)).with_context(|| format!("copying {from}"))?;
    }
    let next = world.path("publisher/guide-next");
    let key = world.path("publisher/release/keys/model-1.pem");
    world
        .publish(&[
            "model",
            "sign",
            &next,
            "--key",
            &key,
            "--name",
            MODEL,
            "--model-version",
            NEXT,
            "--licence",
            "Apache-2.0",
            "--description",
            "Answers questions about the box, its console and its terms; asked more before it serves",
        ])?
        .yes()?;
    Ok(())
}

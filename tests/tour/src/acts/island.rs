//! A box that no network reaches: it joins the fleet, takes its model and is proven, all by sticks.
//!
//! Refuses to help the box along: what is carried between the two machines is the folder of a stick and nothing else.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use freehold_harness::wait_for;
use freehold_verify::boot::{BootDescription, generate};
use serde_json::Value;

use super::ask::{VERSION, target};
use super::fleet::SYSTEM;
use crate::command::{Said, run};
use crate::process::ROOT;
use crate::stage::Stage;
use crate::summary::{RefusalLine, Summary};
use crate::world::{PATIENCE, World};

/// Plays it.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.say("A fourth box, on an island that no network reaches:");
    stage.step(
        "It has no interface but loopback; it knows its console by the stick",
        || {
            arrive(world)?;
            Ok((format!("{}, not a member yet", id(world)?), ()))
        },
    )?;
    stage.step(
        "Two round trips of a stick: its keys, then their proof; a person approves",
        || {
            let name = id(world)?;
            carry(world, "stick-1", &[])?;
            carry(world, "stick-2", &["--box", &name])?;
            let screen = status(world).context("the island says nothing")?;
            let shown = screen["fingerprint"]
                .as_str()
                .context("the island shows no fingerprint")?;
            let (words, fingerprint) = shown.split_once(" · ").context("a fingerprint in words and digits")?;
            world
                .operate(&["box", "approve", &name, "--fingerprint", fingerprint])?
                .yes()?;
            Ok((words.to_owned(), ()))
        },
    )?;
    stage.step(
        "The third stick brings the model; the box shows its plan, imports, starts",
        || visit(world, "stick-3", VERSION),
    )?;
    stage.step("An old stick is put in again", || {
        let said = import(world, "stick-2")?;
        let code = said.json()?["refused"]["code"].as_str().unwrap_or_default().to_owned();
        ensure!(said.code == 1 && code == "stick.replayed", "{}{}", said.out, said.err);
        summary.refusals.push(RefusalLine {
            case: "an old stick is put in again".to_owned(),
            code: code.clone(),
        });
        Ok((format!("refused: {code}"), ()))
    })
}

/// Brings `version` to the island by stick and takes back what it says; answers a line about it.
fn visit(world: &World, stick: &str, version: &str) -> anyhow::Result<(String, ())> {
    let name = id(world)?;
    world.operate(&["box", "assign", &name, &target(version)])?.yes()?;
    let back = carry(world, stick, &["--box", &name])?;
    let says = world.operate(&["--json", "bundle", "list"])?.yes()?.json()?;
    let says = says["bundles"][0]["says"].as_str().unwrap_or_default();
    Ok((format!("{version} serves there; {}; {says}", told(&back)?), ()))
}

/// What came back on a stick, as a line.
pub fn told(back: &Value) -> anyhow::Result<String> {
    let returned = &back["returns"][0];
    ensure!(returned["achieved"] == true, "the island did not get there: {back}");
    let verdict = returned["verdict"].as_str().unwrap_or_default();
    Ok(format!(
        "verdict on the evidence that came back: {verdict}; {} entries of its record",
        returned["entries"]
    ))
}

/// Waits until somebody, here a rollout, assigns `target` to the island, and brings it there. Answers what the console says of
/// the stick that came back.
pub fn bring_along(world: &World, target: &str) -> anyhow::Result<Value> {
    let name = id(world)?;
    wait_for("the rollout to reach the island", PATIENCE, || {
        let seen = world.operate(&["--json", "box", "show", &name])?.yes()?;
        Ok(seen.out.contains(target).then_some(()))
    })?;
    carry(world, "stick-4", &["--box", &name])
}

fn arrive(world: &mut World) -> anyhow::Result<()> {
    world.make_island()?;
    let folder = world
        .island
        .as_ref()
        .map(|one| one.folder.clone())
        .context("no island")?;
    let (log, manifest) = generate(&BootDescription::demonstration(SYSTEM.0, SYSTEM.1));
    fs::write(folder.join("boot.log"), log)?;
    fs::write(folder.join("boot.manifest.json"), manifest.to_json())?;
    // What a person brings first, and compares on the box's screen.
    let pairing = world.operate(&["console", "pairing", "--by-stick"])?.yes()?;
    fs::write(folder.join("pairing.json"), pairing.out)?;
    world.start_island()?;
    wait_for("the island to have a name", PATIENCE, || {
        Ok(id(world).ok().filter(|id| !id.is_empty()))
    })?;
    Ok(())
}

fn status(world: &World) -> Option<Value> {
    world.island.as_ref()?.status()
}

/// The island's identifier.
pub fn id(world: &World) -> anyhow::Result<String> {
    world
        .island
        .as_ref()
        .and_then(|one| one.id())
        .context("the island has no identifier yet")
}

fn folder(world: &World, stick: &str) -> PathBuf {
    world.folder.join("sticks").join(stick)
}

/// There and back: made at the console, imported on the island, taken in at the console. Answers what the console says.
fn carry(world: &World, stick: &str, more: &[&str]) -> anyhow::Result<Value> {
    let path = folder(world, stick).display().to_string();
    let make = ["bundle", "make", "--out", &path]
        .into_iter()
        .chain(more.iter().copied());
    world.operate(&make.collect::<Vec<&str>>())?.yes()?;
    import(world, stick)?.yes()?;
    world.operate(&["--json", "bundle", "take", &path])?.yes()?.json()
}

fn import(world: &World, stick: &str) -> anyhow::Result<Said> {
    let one = world.island.as_ref().context("no island")?;
    let (path, runtime) = (folder(world, stick).display().to_string(), one.folder.join("runtime"));
    let runtime = runtime.display().to_string();
    let words = ["--json", "bundle", "import", &path, "--apply", "--runtime", &runtime];
    run(&one.namespace, ROOT, &world.program("freehold"), &words)
}

//! Act 1: a publisher, a console, three boxes; enrolment and approval.

use std::fs;

use anyhow::{Context as _, ensure};
use freehold_harness::wait_for;
use freehold_verify::boot::{BootDescription, generate};

use crate::process::CONSOLE;
use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::{PATIENCE, World, readable_by};

/// Name and version of the (made-up) system that the process boxes say they booted.
pub const SYSTEM: (&str, &str) = ("demonstration", "1.0.0");

/// Plays the act.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.act(1, "A fleet of three");
    let began = stage.seconds();
    stage.step("Three computers, each with a TPM 2.0 and an EK certificate", || {
        for (index, label) in ["box1", "box2", "box3"].into_iter().enumerate() {
            world.make_box(label, 11 + u8::try_from(index)?)?;
        }
        Ok((
            "software TPMs, certified by an authority of this demonstration".into(),
            (),
        ))
    })?;
    stage.step("A console makes its four keys and a one-time password", || {
        let (state, password) = (world.path("console/state"), world.path("console/one-time-password"));
        let root = world.authority.root_path().display().to_string();
        // The TPM authority's folder belongs to root; the console gets a copy of the certificate alone.
        let copy = world.path("console/ek-root.pem");
        fs::copy(root, &copy)?;
        world
            .console_once(&[
                "init",
                "--state",
                &state,
                "--fleet",
                "Demonstration",
                "--site",
                "ward-7",
                "--allow-simulated",
                "--ek-root",
                &copy,
                "--ek-root-kind",
                "software",
                "--admin-password-file",
                &password,
            ])?
            .yes()?;
        Ok((
            "fleet CA, director, timestamp, record; accepts simulated boxes because it was made so".into(),
            (),
        ))
    })?;
    stage.step("A publisher makes its keys, on a machine without a network", || {
        let (folder, key) = (
            world.path("publisher/release"),
            world.path("console/state/public/timestamp.pem"),
        );
        let said = world
            .publish(&["--json", "release", "init", &folder, "--timestamp-key", &key])?
            .yes()?
            .json()?;
        let secret = world.path("publisher/release/keys/targets-1.pem");
        ensure!(!readable_by(CONSOLE, &secret)?, "the console's user can read {secret}");
        Ok((
            format!(
                "root {}; the console's user cannot read the keys",
                short(&said["root_fingerprint"])
            ),
            (),
        ))
    })?;
    stage.step("The publisher signs which boot and which policy may exist", || {
        publish_system(world)
    })?;
    stage.step("The console takes the export and listens", || {
        export_to_console(world)?;
        world.start_console()?;
        Ok((world.people_url(), ()))
    })?;
    stage.step("An operator signs in and changes the password", || {
        let fleet_ca = world.fleet_ca()?;
        let new = world.path("operator/password");
        fs::write(&new, "a calm instrument for tired people\n")?;
        world
            .operate(&[
                "console",
                "login",
                "--url",
                &world.people_url(),
                "--fleet-ca",
                &fleet_ca,
                "--password-file",
                &world.path("console/one-time-password"),
                "--new-password-file",
                &new,
            ])?
            .yes()?;
        Ok((
            format!("console known by fleet CA {}…", fleet_ca.get(..16).unwrap_or_default()),
            (),
        ))
    })?;
    summary.seconds.setup = stage.seconds() - began;

    let began = stage.seconds();
    stage.step(
        "Boxes enrol: EK chain, credential activation, certified TLS key",
        || {
            for index in 0..world.boxes.len() {
                world.start_box(index)?;
            }
            for index in 0..world.boxes.len() {
                waiting(world, index)?;
            }
            Ok(("three boxes wait for a person".into(), ()))
        },
    )?;
    stage.step("The operator compares fingerprints and approves", || {
        let mut lines = String::new();
        for index in 0..world.boxes.len() {
            let screen = world.boxes[index].status().context("a box without status")?;
            let shown = screen["fingerprint"].as_str().context("a box shows no fingerprint")?;
            let (words, fingerprint) = shown.split_once(" · ").context("a fingerprint in words and digits")?;
            let id = world.boxes[index].id().context("a box without identifier")?;
            world
                .operate(&["box", "approve", &id, "--fingerprint", fingerprint])?
                .yes()?;
            lines.push_str(&format!("{}  {id}  {words}\n", world.boxes[index].label));
        }
        Ok((lines, ()))
    })?;
    stage.step("From now on: mutual TLS, boxes known by their keys", || {
        for index in 0..world.boxes.len() {
            world.wait_seen(index, "the box to be a member", |seen| seen["membership"] == "approved")?;
        }
        let operator = world.operator.clone();
        world.network.prove_the_counter(&operator)?;
        Ok((
            "a probe shows that the counter of leaving frames counts: 1, subtracted".into(),
            (),
        ))
    })?;
    summary.seconds.enrol = stage.seconds() - began;
    Ok(())
}

/// Waits until a box waits for approval.
fn waiting(world: &mut World, index: usize) -> anyhow::Result<()> {
    let one = &mut world.boxes[index];
    let label = one.label.clone();
    let state = one.state().join("status.json");
    let result = wait_for(&format!("{label} to ask for approval"), PATIENCE, || {
        if let Some(program) = &mut one.supervisor {
            crate::world::alive(program)?;
        }
        let status: Option<serde_json::Value> = fs::read(&state)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(status
            .filter(|status| status["enrolment"] == "waiting_for_approval")
            .map(|_| ()))
    });
    result.with_context(|| {
        one.supervisor
            .as_ref()
            .map(|program| program.tail(12))
            .unwrap_or_default()
    })
}

/// Publishes the boot manifest and the policy bundle, and writes each box's boot log.
fn publish_system(world: &mut World) -> anyhow::Result<(String, ())> {
    let (log, manifest) = generate(&BootDescription::demonstration(SYSTEM.0, SYSTEM.1));
    for one in &world.boxes {
        fs::write(one.folder.join("boot.log"), &log)?;
        fs::write(one.folder.join("boot.manifest.json"), manifest.to_json())?;
    }
    let folder = world.path("publisher/release");
    let file = world.path("publisher/manifest.json");
    fs::write(&file, manifest.to_json())?;
    world
        .publish(&[
            "release",
            "publish",
            &folder,
            "--kind",
            "os",
            "--file",
            &file,
            "--name",
            SYSTEM.0,
            "--release-version",
            SYSTEM.1,
            "--licence",
            "Apache-2.0",
        ])?
        .yes()?;
    let policy = world.path("publisher/policy.json");
    let signer = world.path("publisher/release/keys/model-1.pub.pem");
    world
        .publish(&[
            "policy",
            "bundle",
            "--out",
            &policy,
            "--name",
            "ward",
            "--policy-version",
            "1.0.0",
            "--signer",
            &signer,
        ])?
        .yes()?;
    world
        .publish(&[
            "release",
            "publish",
            &folder,
            "--kind",
            "policy",
            "--file",
            &policy,
            "--file",
            &signer,
            "--name",
            "ward",
            "--release-version",
            "1.0.0",
            "--licence",
            "Apache-2.0",
        ])?
        .yes()?;
    Ok((
        format!(
            "boot log of {} events, replayed into each TPM at start",
            world.boot_events(&log)
        ),
        (),
    ))
}

/// Exports the publisher's repository and gives it to the console that does not run yet, confirming the root's fingerprint.
fn export_to_console(world: &World) -> anyhow::Result<()> {
    let (folder, export) = (world.path("publisher/release"), world.path("export"));
    world.publish(&["release", "export", &folder, &export])?.yes()?;
    let state = world.path("console/state");
    let bytes = fs::read(world.folder.join("publisher/release/metadata/1.root.json"))?;
    let root = freehold_trust::digest::sha256(&bytes).to_string();
    world
        .console_once(&[
            "import",
            "--state",
            &state,
            "--repository",
            &export,
            "--root-sha256",
            &root,
        ])?
        .yes()?;
    Ok(())
}

/// Exports the publisher's repository and gives it to the running console, as an operator would.
pub fn export_to_running_console(world: &World) -> anyhow::Result<()> {
    let (folder, export) = (world.path("publisher/release"), world.path("export"));
    world.publish(&["release", "export", &folder, &export])?.yes()?;
    world.operate(&["console", "import", &export])?.yes()?;
    Ok(())
}

fn short(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().chars().take(16).collect::<String>() + "…"
}

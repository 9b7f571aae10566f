//! Act 6: an auditor checks evidence and records in a namespace without any interface; the leaving frames are counted.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use freehold_harness::wait_for;

use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::{PATIENCE, World};

/// Plays the act.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.act(6, "Check it without us");
    stage.step("The auditor has no network: not even loopback is up", || {
        let said =
            crate::command::run(&world.auditor, crate::process::ROOT, "cat".as_ref(), &["/proc/net/dev"])?.yes()?;
        let interfaces: Vec<&str> = said
            .out
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim())
            .collect();
        ensure!(interfaces == ["lo"], "the auditor's namespace has {interfaces:?}");
        Ok(("interfaces: lo, down".into(), ()))
    })?;
    stage.step("The auditor verifies each box's evidence", || {
        let mut lines = String::new();
        for index in 0..world.boxes.len() {
            fresh_evidence(world, index)?;
        }
        for one in &world.boxes {
            let id = one.id().unwrap_or_default();
            let file = world.path(&format!("auditor/{}.evidence", one.label));
            world.operate(&["box", "evidence", &id, "--out", &file])?.yes()?;
            let said = world.inspect(&["evidence", &file])?.yes()?;
            lines.push_str(&format!(
                "{}  {}\n",
                one.label,
                said.out.lines().next().unwrap_or_default()
            ));
        }
        Ok((lines, ()))
    })?;
    stage.step("The auditor verifies every record, entry by entry", || {
        let mut lines = String::new();
        let mut records = vec![("console".to_owned(), world.folder.join("console/state/record"))];
        records.extend(
            world
                .boxes
                .iter()
                .map(|one| (one.label.clone(), one.state().join("record"))),
        );
        for (name, folder) in records {
            // A copy, as an auditor would carry it away; the originals go on growing.
            let copy = world.folder.join("auditor").join(format!("{name}-record"));
            crate::command::here(
                "cp",
                &["-a", &folder.display().to_string(), &copy.display().to_string()],
            )?
            .yes()?;
            let said = world
                .inspect(&["--json", "record", &copy.display().to_string()])?
                .yes()?
                .json()?;
            let size = said["size"].as_u64().unwrap_or_default();
            let root = said["root"].as_str().unwrap_or_default();
            summary.audit.entries += size;
            if name == "console" {
                summary.audit.root = root.to_owned();
            }
            lines.push_str(&format!(
                "{name:<8} {size:>5} entries  root {}…\n",
                root.get(..16).unwrap_or_default()
            ));
        }
        summary.audit.verified = true;
        Ok((lines, ()))
    })?;
    stage.step(
        "The auditor's file: one signed report, checked without a network",
        || {
            let key = fs::read_to_string(world.folder.join("console/state/record/verifier"))?;
            let file = world.folder.join("report.fhz");
            world
                .operate(&["report", "make", "--out", &file.display().to_string()])?
                .yes()?;
            // The auditor carries a copy away, as on a stick.
            let copy = world.folder.join("auditor/report.fhz");
            fs::copy(&file, &copy)?;
            let copy = copy.display().to_string();
            let page = world.path("auditor/report.html");
            let said = world
                .inspect(&["--json", "--html", &page, "report", &copy, "--key", key.trim()])?
                .yes()?
                .json()?;
            let count = |word: &str| {
                let all = said["controls"].as_array().cloned().unwrap_or_default();
                all.iter().filter(|one| one["status"] == word).count()
            };
            let mut bytes = fs::read(&file)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(world.folder.join("auditor/changed.fhz"), &bytes)?;
            let changed = world.inspect(&["--json", "report", &world.path("auditor/changed.fhz")])?;
            ensure!(changed.code == 1, "a changed report: {}{}", changed.out, changed.err);
            let code = changed.json()?["refused"]["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let lines = format!(
                "target/demo/report.fhz  {} boxes, {} entries: {} controls satisfied, {} not, {} unknown\n\
             simulated boxes prove nothing, and the report says so\none changed byte in it: {code}\n",
                said["boxes"],
                said["entries"],
                count("satisfied"),
                count("not satisfied"),
                count("unknown"),
            );
            Ok((lines, ()))
        },
    )?;
    stage.step("One changed byte in a copy of a record is found", || {
        let copy = world.folder.join("auditor/box1-record/tile");
        let bundle = largest_file_with(&copy, b"\"what\"")?;
        let mut bytes = fs::read(&bundle)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&bundle, bytes)?;
        let said = world.inspect(&["--json", "record", &world.path("auditor/box1-record")])?;
        ensure!(
            said.code == 1,
            "exit code {} for a changed record: {}{}",
            said.code,
            said.out,
            said.err
        );
        let code = said.json()?["findings"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        ensure!(code.starts_with("record."), "no code: {}", said.out);
        Ok((code, ()))
    })?;
    stage.step("Frames that left the demonstration's networks", || {
        let frames = world.network.frames_left()?;
        summary.frames_left = frames;
        ensure!(frames == 0, "{frames} frames left");
        Ok(("0".into(), ()))
    })
}

/// Asks a box for evidence until the console has some of a later second than before: its times are whole seconds, so an
/// answer within the same one would not show.
fn fresh_evidence(world: &World, index: usize) -> anyhow::Result<()> {
    let before = world.seen(index)?["verdict_at"].clone();
    let id = world.boxes[index].id().unwrap_or_default();
    let mut asked: Option<Instant> = None;
    wait_for("fresh evidence", PATIENCE, || {
        if world.seen(index)?["verdict_at"] != before {
            return Ok(Some(()));
        }
        if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            world.operate(&["box", "attest", &id])?.yes()?;
            asked = Some(Instant::now());
        }
        Ok(None)
    })
}

/// The largest file below `folder` that holds `needle`: of the partial bundles of a growing record, the newest.
fn largest_file_with(folder: &std::path::Path, needle: &[u8]) -> anyhow::Result<std::path::PathBuf> {
    let mut largest: Option<(usize, std::path::PathBuf)> = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path)?;
            let more = largest.as_ref().is_none_or(|(size, _)| bytes.len() > *size);
            if more && bytes.windows(needle.len()).any(|window| window == needle) {
                largest = Some((bytes.len(), path));
            }
        }
    }
    largest
        .map(|(_, path)| path)
        .with_context(|| format!("no entries in {}", folder.display()))
}

//! Act 3: a signed model is published, assigned, admitted, and answers.

use std::fs;

use anyhow::{Context as _, ensure};

use super::fleet::export_to_running_console;
use crate::stage::Stage;
use crate::summary::{ChatLine, ModelLine, Summary};
use crate::world::World;

/// The demonstration model's name.
pub const MODEL: &str = "freehold-guide";
/// The version that is to run.
pub const VERSION: &str = "1.0.0";
/// What the tour asks.
const QUESTION: &str = "What does trusted (simulated) mean?";

/// The descriptor's target name of a version.
pub fn target(version: &str) -> String {
    format!("models/{MODEL}/{version}/release.json")
}

/// Plays the act.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.act(3, "Ask it");
    let model = stage.step(
        "The publisher signs a model: OpenSSF Model Signing, with a key and with a chain",
        || sign(world),
    )?;
    summary.model = model;
    stage.step("Published as TUF releases, exported, imported by the console", || {
        // Two earlier versions, for what is tried in act 4.
        for version in ["0.8.0", "0.9.0", VERSION] {
            publish(world, "guide", version)?;
        }
        export_to_running_console(world)?;
        Ok((format!("{MODEL} 0.8.0, 0.9.0 and {VERSION}"), ()))
    })?;

    let began = stage.seconds();
    stage.step(
        "The operator assigns it; boxes fetch, verify, admit, store, start",
        || {
            for index in 0..world.boxes.len() {
                let id = world.boxes[index].id().context("a box without identifier")?;
                world.operate(&["box", "assign", &id, &target(VERSION)])?.yes()?;
            }
            let mut lines = String::new();
            for index in 0..world.boxes.len() {
                let seen = world.wait_seen(index, "the model to serve", serving)?;
                let model = &seen["models"][0];
                lines.push_str(&format!(
                    "{}  {} {}  memory bound: {}\n",
                    world.boxes[index].label,
                    model["name"].as_str().unwrap_or_default(),
                    model["version"].as_str().unwrap_or_default(),
                    model["memory_bound"].as_str().unwrap_or_default()
                ));
            }
            Ok((lines, ()))
        },
    )?;
    summary.seconds.admit = stage.seconds() - began;

    let began = stage.seconds();
    stage.say(&format!("freehold ask box1 \"{QUESTION}\""));
    println!();
    world.operate_on_screen(&["ask", "box1", QUESTION])?;
    println!();
    let chat = stage.step(
        "The reply streamed over TLS; the engine has no network; once more, with a watch",
        || {
            let said = world.operate(&["--json", "ask", "box1", QUESTION])?.yes()?.json()?;
            let reply = said["reply"].as_str().unwrap_or_default().to_owned();
            ensure!(!reply.trim().is_empty(), "the reply is empty");
            let chat = ChatLine {
                prompt: QUESTION.to_owned(),
                reply,
                tokens: said["tokens"].as_u64().unwrap_or_default(),
                ttft_ms: said["ttft_ms"].as_f64().unwrap_or_default(),
                tokens_per_s: said["tokens_per_s"].as_f64().unwrap_or_default(),
            };
            let facts = format!(
                "{} tokens, first after {:.0} ms, then {:.0} a second",
                chat.tokens, chat.ttft_ms, chat.tokens_per_s
            );
            Ok((facts, chat))
        },
    )?;
    summary.seconds.first_token = stage.seconds() - began;
    summary.chat = chat;
    Ok(())
}

/// Whether the console sees the current version answer.
pub fn serving(seen: &serde_json::Value) -> bool {
    seen["models"].as_array().is_some_and(|models| {
        models
            .iter()
            .any(|model| model["phase"] == "serving" && model["version"] == VERSION && model["name"] == MODEL)
    })
}

fn sign(world: &World) -> anyhow::Result<(String, ModelLine)> {
    let folder = world.folder.join("publisher/guide");
    fs::create_dir_all(&folder)?;
    let weights = std::env::current_dir()?.join("tests/demonstration-model/weights/freehold-guide.gguf");
    fs::copy(&weights, folder.join("freehold-guide.gguf")).with_context(|| format!("copying {}", weights.display()))?;
    // The questions that each box asks the model before it lets it serve.
    let questions = std::env::current_dir()?.join("tests/demonstration-model/selftest.json");
    fs::copy(&questions, folder.join("selftest.json")).with_context(|| format!("copying {}", questions.display()))?;
    let guide = world.path("publisher/guide");
    let key = world.path("publisher/release/keys/model-1.pem");
    world
        .publish(&[
            "model",
            "sign",
            &guide,
            "--key",
            &key,
            "--name",
            MODEL,
            "--model-version",
            VERSION,
            "--licence",
            "Apache-2.0",
            "--description",
            "Answers questions about the box, its console and its terms",
            "--dataset",
            "questions and answers written by the Freehold project",
        ])?
        .yes()?;
    let public = world.path("publisher/release/keys/model-1.pub.pem");
    let bundle = world.path("publisher/guide.sigstore.json");
    let said = world
        .publish(&[
            "--json", "model", "verify", &guide, "--bundle", &bundle, "--key", &public,
        ])?
        .yes()?
        .json()?;
    let (root, leaf) = (
        world.path("publisher/chain"),
        world.path("publisher/by-chain.sigstore.json"),
    );
    world
        .publish(&[
            "model",
            "new-certificate",
            &root,
            "--name",
            "Demonstration model signer",
        ])?
        .yes()?;
    let chain_key = format!("{root}/signer-key.pem");
    let certificate = format!("{root}/signer.pem");
    let authority = format!("{root}/root.pem");
    world
        .publish(&[
            "model",
            "sign",
            &guide,
            "--key",
            &chain_key,
            "--certificate",
            &certificate,
            "--bundle",
            &leaf,
            "--no-bom",
        ])?
        .yes()?;
    world
        .publish(&["model", "verify", &guide, "--bundle", &leaf, "--roots", &authority])?
        .yes()?;
    let digest = said["root"].as_str().unwrap_or_default().to_owned();
    let signer = freehold_trust::key::PublicKey::from_spki_pem(&fs::read_to_string(&public)?)?
        .fingerprint()
        .to_string();
    Ok((
        format!(
            "digest {}…  signed, verified, with a CycloneDX bill of materials",
            digest.get(..16).unwrap_or_default()
        ),
        ModelLine {
            name: format!("{MODEL} {VERSION}"),
            digest,
            signer,
        },
    ))
}

/// Publishes a version of a model folder of the publisher, by the command line.
pub fn publish(world: &World, folder: &str, version: &str) -> anyhow::Result<()> {
    let (release, model) = (
        world.path("publisher/release"),
        world.path(&format!("publisher/{folder}")),
    );
    world
        .publish(&[
            "release",
            "publish",
            &release,
            "--model",
            &model,
            "--name",
            MODEL,
            "--release-version",
            version,
        ])?
        .yes()?;
    Ok(())
}

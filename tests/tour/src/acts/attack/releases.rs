//! Releases that are signed as releases, but whose model is not what the signature or the bill of materials says.

use anyhow::Context as _;

use super::{refused, wait_reported};
use crate::acts::ask::{self, VERSION};
use crate::acts::fleet::export_to_running_console;
use crate::careless::{Careless, Parts};
use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::World;

/// The box that they are assigned to.
const VICTIM: usize = 1;

type Change = fn(&mut Parts) -> anyhow::Result<()>;

/// Plays the cases.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    let cases: [(&str, &str, &[&str], Change); 5] = [
        ("A model that nobody signed", "unsigned", &["model.signature"], unsigned),
        (
            "A model with one flipped byte",
            "flipped",
            &["model.file_digest"],
            flipped,
        ),
        (
            "A model with a file that is not listed",
            "unlisted",
            &["model.file_unlisted"],
            unlisted,
        ),
        (
            "A model without a bill of materials",
            "no-bom",
            &["model.bom_missing"],
            no_bom,
        ),
        (
            "A model whose BOM does not match",
            "other-bom",
            &["model.bom_mismatch"],
            other_bom,
        ),
    ];
    // Made from a model that no box has: what a box has verified before, it does not fetch again.
    let honest = stage.step(
        "It signs a second model, with its licence text beside the weights",
        || second_model(world),
    )?;
    let careless = Careless::open(&world.folder.join("publisher/release"));
    let (like, _) = careless.parts(&honest)?;
    for (case, name, codes, change) in cases {
        refused(stage, summary, case, codes, || {
            let (_, mut parts) = careless.parts(&honest)?;
            change(&mut parts)?;
            let target = careless.publish(&like, name, &parts)?;
            export_to_running_console(world)?;
            let id = world.boxes[VICTIM].id().context("a box without identifier")?;
            world
                .operate(&["box", "assign", &id, &ask::target(VERSION), &target])?
                .yes()?;
            wait_reported(world, VICTIM, codes)
        });
    }
    let id = world.boxes[VICTIM].id().context("a box without identifier")?;
    world.operate(&["box", "assign", &id, &ask::target(VERSION)])?.yes()?;
    Ok(())
}

/// Signs and publishes a model that is not assigned to anybody; returns its descriptor's target name.
fn second_model(world: &World) -> anyhow::Result<(String, String)> {
    let folder = world.folder.join("publisher/second");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(
        world.folder.join("publisher/guide/freehold-guide.gguf"),
        folder.join("weights.gguf"),
    )?;
    std::fs::copy("LICENSE", folder.join("LICENSE"))?;
    let (model, release) = (world.path("publisher/second"), world.path("publisher/release"));
    let key = world.path("publisher/release/keys/model-1.pem");
    world
        .publish(&[
            "model",
            "sign",
            &model,
            "--key",
            &key,
            "--name",
            "second",
            "--model-version",
            "1.0.0",
            "--licence",
            "Apache-2.0",
        ])?
        .yes()?;
    world
        .publish(&[
            "release",
            "publish",
            &release,
            "--model",
            &model,
            "--name",
            "second",
            "--release-version",
            "1.0.0",
        ])?
        .yes()?;
    Ok((String::new(), "models/second/1.0.0/release.json".to_owned()))
}

/// The signature's own bytes are changed.
fn unsigned(parts: &mut Parts) -> anyhow::Result<()> {
    let mut bundle: serde_json::Value = serde_json::from_slice(&parts.bundle)?;
    let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"]
        .as_str()
        .context("no signature")?
        .to_owned();
    // Another, well-formed base64 text of the same length: a signature that nobody made.
    let last = signature.find(|c: char| c.is_ascii_lowercase()).context("no letter")?;
    let other = format!(
        "{}{}{}",
        &signature[..last],
        if &signature[last..=last] == "a" { "b" } else { "a" },
        &signature[last + 1..]
    );
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = serde_json::Value::String(other);
    parts.bundle = serde_json::to_vec(&bundle)?;
    Ok(())
}

fn flipped(parts: &mut Parts) -> anyhow::Result<()> {
    let (_, bytes) = parts
        .files
        .iter_mut()
        .find(|(path, _)| path == "weights.gguf")
        .context("no weights")?;
    let last = bytes.last_mut().context("an empty file")?;
    *last ^= 1;
    Ok(())
}

fn unlisted(parts: &mut Parts) -> anyhow::Result<()> {
    parts.files.push(("tokenizer_extra.json".into(), b"{}".to_vec()));
    Ok(())
}

fn no_bom(parts: &mut Parts) -> anyhow::Result<()> {
    parts.bom = None;
    Ok(())
}

fn other_bom(parts: &mut Parts) -> anyhow::Result<()> {
    let text = String::from_utf8(parts.bom.take().context("no bill")?)?;
    let weights = parts
        .files
        .iter()
        .find(|(path, _)| path == "weights.gguf")
        .context("no weights")?;
    let digest = freehold_trust::digest::sha256(&weights.1).to_string();
    anyhow::ensure!(text.contains(&digest), "the bill does not name the file's digest");
    parts.bom = Some(
        text.replace(&digest, &freehold_trust::digest::sha256(b"another model").to_string())
            .into_bytes(),
    );
    Ok(())
}

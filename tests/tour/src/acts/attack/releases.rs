//! Releases that are signed as releases, but whose model is not what the signature or the bill of materials says.

use anyhow::Context as _;
use freehold_harness::careless::{Careless, Parts};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::model::ModelFile;

use super::{refused, wait_reported};
use crate::acts::ask::{self, VERSION};
use crate::acts::fleet::export_to_running_console;
use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::World;

/// The box that they are assigned to.
const VICTIM: usize = 1;

type Change = fn(&mut Parts) -> anyhow::Result<()>;

/// Plays the cases.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    let cases: [(&str, &str, &[&str], Change); 6] = [
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
        (
            "The very model that it runs, signed by somebody else",
            "other-signer",
            &["model.signer_unknown"],
            other_signer,
        ),
    ];
    // Made from the model that the box runs: that it has these very bytes, verified, admits no other release of them.
    let honest = ask::target(VERSION);
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
        .find(|(path, _)| path.ends_with(".gguf"))
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
        .find(|(path, _)| path.ends_with(".gguf"))
        .context("no weights")?;
    let digest = freehold_trust::digest::sha256(&weights.1).to_string();
    anyhow::ensure!(text.contains(&digest), "the bill does not name the file's digest");
    parts.bom = Some(
        text.replace(&digest, &freehold_trust::digest::sha256(b"another model").to_string())
            .into_bytes(),
    );
    Ok(())
}

fn other_signer(parts: &mut Parts) -> anyhow::Result<()> {
    let key = SigningKey::generate(KeyKind::P256)?;
    let files: Vec<ModelFile> = parts
        .files
        .iter()
        .map(|(path, bytes)| ModelFile {
            path: path.clone(),
            sha256: freehold_trust::digest::sha256(bytes),
        })
        .collect();
    parts.bundle = sign_model(ask::MODEL, &files, &[], ModelSigner::Key(&key))?;
    Ok(())
}

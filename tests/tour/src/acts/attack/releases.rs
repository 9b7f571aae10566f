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
        ("A model that nobody signed", "unsigned", &["model.signature", "model.unsigned", "model.bundle", "model.signer"], unsigned),
        ("A model with one flipped byte", "flipped", &["model.digest", "model.file_digest", "model.changed"], flipped),
        ("A model with a file that is not listed", "unlisted", &["model.unlisted", "model.unlisted_file"], unlisted),
        ("A model without a bill of materials", "no-bom", &["model.bom_missing"], no_bom),
        ("A model whose BOM does not match", "other-bom", &["model.bom_mismatch"], other_bom),
    ];
    let careless = Careless::open(&world.folder.join("publisher/release"));
    let (like, _) = careless.parts(&ask::target(VERSION))?;
    for (case, name, codes, change) in cases {
        refused(stage, summary, case, codes, || {
            let (_, mut parts) = careless.parts(&ask::target(VERSION))?;
            change(&mut parts)?;
            let target = careless.publish(&like, name, &parts)?;
            export_to_running_console(world)?;
            let id = world.boxes[VICTIM].id().context("a box without identifier")?;
            world.operate(&["box", "assign", &id, &ask::target(VERSION), &target])?.yes()?;
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
    let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str().context("no signature")?.to_owned();
    // Another, well-formed base64 text of the same length: a signature that nobody made.
    let last = signature.find(|c: char| c.is_ascii_lowercase()).context("no letter")?;
    let other = format!("{}{}{}", &signature[..last], if &signature[last..=last] == "a" { "b" } else { "a" }, &signature[last + 1..]);
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = serde_json::Value::String(other);
    parts.bundle = serde_json::to_vec(&bundle)?;
    Ok(())
}

fn flipped(parts: &mut Parts) -> anyhow::Result<()> {
    let (_, bytes) = parts.files.first_mut().context("no file")?;
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
    let digest = freehold_trust::digest::sha256(&parts.files.first().context("no file")?.1).to_string();
    anyhow::ensure!(text.contains(&digest), "the bill does not name the file's digest");
    parts.bom = Some(text.replace(&digest, &freehold_trust::digest::sha256(b"another model").to_string()).into_bytes());
    Ok(())
}

//! Act 2: each box proves what it booted; the verdict says why.

use crate::stage::Stage;
use crate::summary::{BoxLine, Summary};
use crate::world::World;

/// Plays the act.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.act(2, "Prove it");
    let began = stage.seconds();
    let seen = stage.step(
        "Each box proves its boot: fresh nonce, quote, bound to its TLS key",
        || {
            let mut all = Vec::new();
            for index in 0..world.boxes.len() {
                all.push(world.wait_seen(index, "a verdict", |seen| seen["verdict"] == "trusted_simulated")?);
            }
            Ok(("a nonce of 256 bits for each, answered once".into(), all))
        },
    )?;
    summary.seconds.attest = stage.seconds() - began;
    stage.step("The verdict and its reasons", || {
        let mut lines = String::new();
        for (one, seen) in world.boxes.iter().zip(&seen) {
            let word = seen["word"].as_str().unwrap_or_default();
            lines.push_str(&format!(
                "{} {}  {word}\n",
                seen["shape"].as_str().unwrap_or_default(),
                one.label
            ));
        }
        if let Some(because) = seen.first().and_then(|seen| seen["because"].as_array()) {
            for sentence in because.iter().filter_map(serde_json::Value::as_str) {
                lines.push_str(&format!("  {sentence}\n"));
            }
        }
        anyhow::ensure!(
            seen.iter().all(|seen| seen["tpm"] == "software"),
            "a software TPM was not recognised as such"
        );
        lines.push_str(
            "  that the TPM is software follows from the root of its EK certificate: never more than simulated\n",
        );
        Ok((lines, ()))
    })?;
    summary.boxes = world
        .boxes
        .iter()
        .zip(&seen)
        .map(|(one, seen)| BoxLine {
            id: one.id().unwrap_or_default(),
            verdict: seen["verdict"].as_str().unwrap_or_default().to_owned(),
            tpm: seen["tpm"].as_str().unwrap_or_default().to_owned(),
            boot: seen["claims"]["boot_kind"].as_str().unwrap_or("unknown").to_owned(),
        })
        .collect();
    Ok(())
}

//! Act 4: what must be refused is tried, and refused by code; then an import is killed twenty times.

mod evidence;
mod import;
mod releases;
mod thief;

use crate::stage::Stage;
use crate::summary::{RefusalLine, Summary};
use crate::world::World;

/// Plays the act.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.act(4, "Attack it");
    stage.say("We steal the console's keys and its database:");
    thief::play(stage, world, summary)?;
    stage.say("A careless publisher signs what is not what it says:");
    releases::play(stage, world, summary)?;
    stage.say("A box turned against its console:");
    evidence::play(stage, world, summary)?;
    stage.say("Bad days:");
    import::play(stage, world, summary)
}

/// A step whose outcome is a refusal code; it fails when nothing is refused or another code comes.
fn refused(
    stage: &mut Stage,
    summary: &mut Summary,
    case: &str,
    expected: &[&str],
    attempt: impl FnOnce() -> anyhow::Result<String>,
) -> bool {
    let mut found = None;
    let held = stage.try_step(case, || {
        let code = attempt()?;
        anyhow::ensure!(
            expected.contains(&code.as_str()),
            "refused with `{code}`, expected {expected:?}"
        );
        let sentence = freehold_explain::explain(&code)
            .map(|said| said.what)
            .unwrap_or_default();
        found = Some(code.clone());
        Ok(format!("refused: {code}  {sentence}"))
    });
    if let Some(code) = found {
        summary.refusals.push(RefusalLine {
            case: case.to_owned(),
            code,
        });
    }
    held
}

/// Codes in a box's last report, as the console shows it.
fn reported(seen: &serde_json::Value) -> Vec<String> {
    let list = seen["report"]["refusals"].as_array().cloned().unwrap_or_default();
    list.iter()
        .filter_map(|refusal| refusal["code"].as_str().map(str::to_owned))
        .collect()
}

/// Waits until a box reports one of the codes that start with `areas`, and returns it.
fn wait_reported(world: &World, index: usize, expected: &[&str]) -> anyhow::Result<String> {
    let seen = world.wait_seen(index, &format!("a refusal {expected:?}"), |seen| {
        reported(seen).iter().any(|code| expected.contains(&code.as_str()))
    })?;
    reported(&seen)
        .into_iter()
        .find(|code| expected.contains(&code.as_str()))
        .ok_or_else(|| anyhow::anyhow!("no code"))
}

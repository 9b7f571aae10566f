//! Verbs about a fleet as a whole that need no console: play a rollout before there is one.
//!
//! Refuses to touch anything: a simulation reads one file and prints.

use std::path::PathBuf;

use clap::Subcommand;
use freehold_fleet::simulate::{Scenario, ScenarioFault, play};
use freehold_sign::files::read_bounded;
use serde_json::json;

use crate::answer::Fault;
use crate::arguments::Setting;
use crate::model::refused;

/// Longest scenario: a file that somebody else wrote.
const MAX_SCENARIO: u64 = 1 << 20;

/// Verbs about a fleet as a whole.
#[derive(Debug, Subcommand)]
pub enum FleetVerb {
    /// Play a rollout over boxes that do not exist, with the console's own state machine, in simulated days.
    ///
    /// Exit codes: 0 when it ends without anything that must never happen, 1 otherwise, 2 when it cannot be played.
    Simulate {
        /// The scenario (TOML); `docs/rollouts.md` describes it.
        scenario: PathBuf,
    },
}

/// Runs a verb.
pub fn run(verb: &FleetVerb, setting: &Setting) -> Result<(), Fault> {
    let FleetVerb::Simulate { scenario } = verb;
    let text = String::from_utf8(read_bounded(scenario, MAX_SCENARIO)?)
        .map_err(|_| wrong("the scenario is not text".to_owned()))?;
    let scenario: Scenario = toml::from_str(&text).map_err(|fault| wrong(fault.to_string().trim().to_owned()))?;
    let played = match play(&scenario) {
        Ok(played) => played,
        Err(ScenarioFault::Plan(rejection)) => return Err(refused(rejection)),
        Err(fault) => return Err(wrong(fault.to_string())),
    };
    if setting.json {
        let stages = played.rollout.progress().iter().fold(
            std::collections::BTreeMap::<&str, usize>::new(),
            |mut counts, one| {
                let count = counts.entry(one.stage.word()).or_default();
                *count = count.saturating_add(1);
                counts
            },
        );
        println!(
            "{}",
            json!({
                "phase": played.rollout.phase().word(),
                "boxes": stages,
                "waves_begun": played.rollout.waves_begun().len(),
                "findings": played.findings.iter().map(|finding| format!("{finding:?}")).collect::<Vec<_>>(),
                "plan_digest": played.rollout.plan().digest().to_string(),
            })
        );
    } else {
        print!("{}", played.transcript);
    }
    if played.findings.is_empty() {
        return Ok(());
    }
    Err(wrong("the rollout did what it must never do".to_owned()))
}

fn wrong(message: String) -> Fault {
    Fault::could_not_tell(message, "compare with the scenarios in tests/scenarios/rollouts")
}

//! A model on the operating system: admitted, in its engine, answering.
//!
//! Refuses an empty answer.

use anyhow::{Context as _, Result, ensure};

use super::{Ground, Outcome};
use crate::machine::Machine;
use crate::member::{self, Member};

/// What the model knows.
const QUESTION: &str = "What does trusted (simulated) mean?";
/// Its name.
const MODEL: &str = "freehold-guide";

/// A signed model is published, assigned, fetched over the wire, admitted, started as a unit with its own root, and answers a
/// question through the gateway; the evidence after it names it.
pub fn runs_a_model_and_answers(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let mut machine = member.join()?;
    serve(&member, &mut machine, "1.0.0")?;
    let said = member.site.operate(&["ask", &member.id, QUESTION])?.json()?;
    let reply = said["reply"].as_str().context("no reply")?.trim().to_owned();
    ensure!(
        reply.to_lowercase().contains("tpm") || reply.to_lowercase().contains("simulat"),
        "the reply is {reply:?}"
    );
    let rate = said["tokens_per_s"].as_f64().unwrap_or_default();
    Ok(Outcome::Seen(format!(
        "{} tokens, {rate:.0} a second: {}",
        said["tokens"],
        reply.chars().take(60).collect::<String>()
    )))
}

/// Publishes and assigns the model, and waits until it serves.
pub(super) fn serve(member: &Member, machine: &mut Machine, version: &str) -> Result<()> {
    let target = member.site.publish_model(MODEL, version)?;
    member.site.import()?;
    member.site.operate(&["box", "assign", &member.id, &target])?;
    member
        .site
        .wait_seen(
            &member.id,
            "the model to serve",
            || machine.still_on(),
            |seen| {
                let all = seen["models"].as_array();
                all.is_some_and(|all| {
                    all.iter()
                        .any(|one| one["phase"] == "serving" && one["version"] == version)
                })
            },
        )
        .with_context(|| machine.end())?;
    Ok(())
}

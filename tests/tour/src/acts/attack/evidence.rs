//! Replayed quotes, foreign nonces, unknown computers, one TPM under two names, a changed boot log.

use anyhow::Context as _;
use freehold_protocol::report::Challenge;

use super::refused;
use crate::rogue::{self, Rogue, inside};
use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::{DemoBox, World};

/// The box that turns against its console.
const ROGUE: usize = 2;
/// The box whose boot log is changed.
const TAMPERED: usize = 1;

/// Plays the cases.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    // The rogue uses the TPM itself: its honest supervisor has to let go of it.
    world.boxes[ROGUE].gateway = None;
    world.boxes[ROGUE].supervisor = None;
    let pairing = rogue::pairing(world)?;
    let namespace = world.boxes[ROGUE].namespace.clone();
    let one = &world.boxes[ROGUE];
    let issued = std::fs::read(one.state().join("certificate.der")).ok();

    refused(
        stage,
        summary,
        "A quote that was shown before",
        &["quote.nonce_used"],
        || {
            inside(&namespace, || async {
                let tpm = rogue::tpm_of(one)?;
                let (rogue, _, tls) = Rogue::with_tpm(&pairing, &tpm, issued.clone())?;
                let challenge: Challenge = serde_json::from_slice(&rogue.challenge().await?.taken()?)?;
                let nonce: [u8; 32] = challenge.nonce.0.as_slice().try_into()?;
                let evidence = rogue::evidence(one, &tpm, tls, &challenge, nonce)?;
                rogue
                    .evidence(evidence.clone())
                    .await?
                    .taken()
                    .context("the honest showing")?;
                rogue.evidence(evidence).await?.code()
            })
        },
    );
    refused(stage, summary, "A quote for another nonce", &["quote.nonce"], || {
        inside(&namespace, || async {
            let tpm = rogue::tpm_of(one)?;
            let (rogue, _, tls) = Rogue::with_tpm(&pairing, &tpm, issued.clone())?;
            let challenge: Challenge = serde_json::from_slice(&rogue.challenge().await?.taken()?)?;
            let evidence = rogue::evidence(one, &tpm, tls, &challenge, [7; 32])?;
            rogue.evidence(evidence).await?.code()
        })
    });
    refused(
        stage,
        summary,
        "A computer that nobody knows",
        &["console.unknown_key"],
        || {
            inside(&namespace, || async {
                Rogue::stranger(&pairing)?.challenge().await?.code()
            })
        },
    );
    let chain = vec![pem_to_der(&world.authority.intermediate_pem()?)?];
    refused(
        stage,
        summary,
        "The same TPM under a second name",
        &["enrol.same_ek"],
        || {
            let tcti = one.tpm.tcti();
            inside(&namespace, || async {
                rogue::enrol_again(&pairing, &tcti, chain).await?.code()
            })
        },
    );
    // A power cycle ends the rogue: the TPM, its keys and its state are the honest ones again.
    world.power_cycle(ROGUE)?;

    refused(
        stage,
        summary,
        "One byte changed in a box's boot loader",
        &["boot.event"],
        || {
            world.tamper(TAMPERED)?;
            let seen = world.wait_seen(TAMPERED, "the box to turn red", |seen| seen["verdict"] == "refused")?;
            name_the_event(&world.boxes[TAMPERED], &seen)
        },
    );
    stage.step("Its boot log is put right again; it is trusted again", || {
        world.restore(TAMPERED)?;
        world.wait_seen(TAMPERED, "the verdict", |seen| seen["verdict"] == "trusted_simulated")?;
        world.wait_seen(TAMPERED, "the model to serve", crate::acts::ask::serving)?;
        Ok((String::new(), ()))
    })
}

/// The refusal's code, when the console names the event that differs.
fn name_the_event(one: &DemoBox, seen: &serde_json::Value) -> anyhow::Result<String> {
    let refusals = seen["refusals"].as_array().cloned().unwrap_or_default();
    let first = refusals
        .first()
        .with_context(|| format!("{} is refused without a reason", one.label))?;
    let message = first["message"].as_str().unwrap_or_default();
    anyhow::ensure!(message.contains("event"), "the event is not named: {message}");
    println!("       {message}");
    Ok(first["code"].as_str().unwrap_or_default().to_owned())
}

fn pem_to_der(pem: &str) -> anyhow::Result<Vec<u8>> {
    use base64::Engine as _;
    let body: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .collect();
    Ok(base64::engine::general_purpose::STANDARD.decode(body)?)
}

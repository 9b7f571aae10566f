//! The console's keys and database are copied; the thief orders what the offline keys never allowed.

use std::fs;

use anyhow::Context as _;
use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;
use freehold_trust::signing::SigningKey;
use freehold_verify::document::{AssignedTarget, Assignment, sign_assignment};
use sqlx::Row as _;

use super::{refused, wait_reported};
use crate::acts::ask::{self, MODEL, VERSION};
use crate::acts::fleet::export_to_running_console;
use crate::stage::Stage;
use crate::summary::Summary;
use crate::world::World;

/// The box that is ordered about.
const VICTIM: usize = 1;

/// Plays the thefts.
pub fn play(stage: &mut Stage, world: &mut World, summary: &mut Summary) -> anyhow::Result<()> {
    stage.step("The publisher revokes 0.8.0, as it would on any day", || {
        let folder = world.path("publisher/release");
        world
            .publish(&[
                "release",
                "revoke",
                &folder,
                "--release",
                &format!("models/{MODEL}/0.8.0"),
            ])?
            .yes()?;
        export_to_running_console(world)?;
        Ok((String::new(), ()))
    })?;
    let own = target_of("models/thiefs-own/6.6.6/release.json", b"{\"mine\":true}");
    let orders = [
        ("The thief orders a model of their own", own, "release.unknown_target"),
        (
            "The thief orders a revoked model",
            known(world, "0.8.0")?,
            "release.revoked",
        ),
        (
            "The thief orders an older model",
            known(world, "0.9.0")?,
            "release.rollback",
        ),
    ];
    for (case, target, code) in orders {
        refused(stage, summary, case, &[code], || {
            order(world, VICTIM, target)?;
            wait_reported(world, VICTIM, &[code])
        });
    }
    stage.step("The box goes on with what was signed and assigned", || {
        let id = world.boxes[VICTIM].id().context("a box without identifier")?;
        world.operate(&["box", "assign", &id, &ask::target(VERSION)])?.yes()?;
        world.wait_seen(VICTIM, "the model to serve", ask::serving)?;
        Ok((format!("{MODEL} {VERSION} serves"), ()))
    })
}

fn target_of(name: &str, bytes: &[u8]) -> AssignedTarget {
    AssignedTarget {
        name: name.to_owned(),
        length: u64::try_from(bytes.len()).unwrap_or(0),
        sha256: sha256(bytes),
        hardware: Vec::new(),
    }
}

/// A published release as an assignment pins it.
fn known(world: &World, version: &str) -> anyhow::Result<AssignedTarget> {
    let careless = freehold_harness::Careless::open(&world.folder.join("publisher/release"));
    let (name, info) = careless.target(&ask::target(version))?;
    Ok(AssignedTarget {
        name,
        length: info.length,
        sha256: info.sha256,
        hardware: Vec::new(),
    })
}

/// Signs an assignment with the stolen director key and writes it into the stolen database, as the newest.
fn order(world: &mut World, index: usize, target: AssignedTarget) -> anyhow::Result<()> {
    let pairing = crate::rogue::pairing(world)?;
    let box_id = world.boxes[index].id().context("a box without identifier")?;
    let director = SigningKey::from_pkcs8_pem(&fs::read_to_string(
        world.folder.join("console/state/keys/director.pem"),
    )?)?;
    let honest = known(world, VERSION)?;
    world.stop_console()?;
    let database = format!("sqlite://{}", world.path("console/state/console.db"));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let pool = sqlx::SqlitePool::connect(&database).await?;
        let last = sqlx::query("SELECT counter, envelope, site FROM assignments WHERE box_id = ? ORDER BY counter DESC LIMIT 1")
            .bind(&box_id)
            .fetch_one(&pool)
            .await?;
        let counter: i64 = last.get("counter");
        let envelope: Vec<u8> = last.get("envelope");
        let before: Assignment = payload(&envelope)?;
        let assignment = Assignment {
            v: 1,
            fleet: pairing.fleet,
            site: last.get("site"),
            box_id: box_id.clone(),
            counter: u64::try_from(counter)? + 1,
            not_after: time::OffsetDateTime::now_utc().unix_timestamp() + 86_400,
            targets: vec![honest, target],
            fallback: Vec::new(),
            settings_digest: before.settings_digest,
            approvals: Vec::<Sha256Digest>::new(),
        };
        let forged = sign_assignment(&assignment, &director);
        sqlx::query("INSERT INTO assignments SELECT site, box_id, counter + 1, ?, at + 1, made_by, targets, ? FROM assignments WHERE box_id = ? AND counter = ?")
            .bind(assignment.not_after)
            .bind(&forged)
            .bind(&box_id)
            .bind(counter)
            .execute(&pool)
            .await?;
        pool.close().await;
        anyhow::Ok(())
    })?;
    world.chown_console()?;
    world.start_console()
}

fn payload(envelope: &[u8]) -> anyhow::Result<Assignment> {
    use base64::Engine as _;
    let envelope: serde_json::Value = serde_json::from_slice(envelope)?;
    let payload = envelope["payload"].as_str().context("an envelope without payload")?;
    Ok(serde_json::from_slice(
        &base64::engine::general_purpose::STANDARD.decode(payload)?,
    )?)
}

//! A thief with a copy of the console: every key, the whole database, and a place on the line to the boxes.
//!
//! Refuses nothing: it orders what it likes, signed as it should be. Invariant: what it lacks is what the console never had:
//! the publisher's keys and people's passkeys.

use std::fs;

use anyhow::{Context as _, Result};
use freehold_harness::World;
use freehold_trust::dsse::Envelope;
use freehold_trust::{SigningKey, sha256};
use freehold_verify::document::{AssignedTarget, Assignment, sign_assignment};
use sqlx::Row as _;

/// Largest envelope that is read.
const LIMIT: usize = 1 << 20;

/// A published release as an assignment pins it.
///
/// # Errors
/// When the publisher never signed it.
pub fn known(world: &World, target: &str) -> Result<AssignedTarget> {
    let (name, info) = world.publisher.careless().target(target)?;
    Ok(AssignedTarget {
        name,
        length: info.length,
        sha256: info.sha256,
        hardware: Vec::new(),
    })
}

/// Everything that the console's database holds of what people approved, newest first.
///
/// # Errors
/// When it cannot be read.
pub fn packages(world: &World) -> Result<Vec<Vec<u8>>> {
    with_database(world, async |pool| {
        let rows = sqlx::query("SELECT bytes FROM approval_packages ORDER BY at DESC, rowid DESC")
            .fetch_all(&pool)
            .await?;
        Ok(rows.iter().map(|row| row.get("bytes")).collect())
    })
}

/// Orders the world's box to run `targets`, with these packages beside the assignment, as its newest assignment: signed with
/// the copied director key, written into the copied database, served at the console's place.
///
/// # Errors
/// When keys or database are not there.
pub fn order(world: &mut World, targets: Vec<AssignedTarget>, packages: Vec<Vec<u8>>) -> Result<u64> {
    let state = world.console_state();
    let director = SigningKey::from_pkcs8_pem(&fs::read_to_string(state.join("keys/director.pem"))?)?;
    let box_id = world.one.id()?;
    world.stop_console()?;
    let counter = with_database(world, async |pool| {
        let last =
            sqlx::query("SELECT counter, envelope FROM assignments WHERE box_id = ? ORDER BY counter DESC LIMIT 1")
                .bind(&box_id)
                .fetch_one(&pool)
                .await?;
        let counter: i64 = last.get("counter");
        let envelope: Vec<u8> = last.get("envelope");
        let before: Assignment = serde_json::from_slice(&Envelope::parse(&envelope, LIMIT)?.payload)?;
        let assignment = Assignment {
            counter: u64::try_from(counter)? + 1,
            targets,
            approvals: packages.iter().map(|package| sha256(package)).collect(),
            ..before
        };
        for package in &packages {
            sqlx::query(
                "INSERT OR IGNORE INTO approval_packages (site, box_id, sha256, at, bytes) VALUES ('', ?, ?, 0, ?)",
            )
            .bind(&box_id)
            .bind(sha256(package).to_hex())
            .bind(package)
            .execute(&pool)
            .await?;
        }
        sqlx::query(
            "INSERT INTO assignments SELECT site, box_id, counter + 1, ?, at + 1, made_by, targets, ? FROM assignments
             WHERE box_id = ? AND counter = ?",
        )
        .bind(assignment.not_after)
        .bind(sign_assignment(&assignment, &director))
        .bind(&box_id)
        .bind(counter)
        .execute(&pool)
        .await?;
        Ok(assignment.counter)
    })?;
    world.start_console()?;
    Ok(counter)
}

fn with_database<T>(world: &World, work: impl AsyncFnOnce(sqlx::SqlitePool) -> Result<T>) -> Result<T> {
    let database = world.console_state().join("console.db");
    let url = format!("sqlite://{}", database.to_str().context("a path of letters")?);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let pool = sqlx::SqlitePool::connect(&url).await?;
            let done = work(pool.clone()).await;
            pool.close().await;
            done
        })
}

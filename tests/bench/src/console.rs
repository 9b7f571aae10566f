//! The console under load: boxes that check in every half minute, a person who loads the fleet page, and one page that is live.
//!
//! The console is the program that ships, with its own state folder, asked over loopback. The boxes are this program's: their
//! endorsement, attestation and TLS keys are software (1,000 TPMs do not fit beside them), everything else is real: enrolment
//! by credential activation, client certificates, quotes over a boot log. Refuses to count a run in which a round failed or a
//! box was not trusted at the end.

mod load;
mod person;
mod process;
mod record;
mod simulated;
mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::row::Row;
use person::Latencies;

/// What is measured, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of boxes.
    pub boxes: usize,
    /// Seconds between two rounds of one box.
    pub every: u64,
    /// Seconds before measuring, at least one round of every box.
    pub warm: u64,
    /// Seconds that are measured.
    pub window: u64,
    /// Folder of `freehold-console`.
    pub programs: PathBuf,
}

/// Most of one core that the console may use.
const CORES: f64 = 0.5;
/// Largest p99 of the fleet page, in milliseconds.
const PAGE_MS: f64 = 200.0;

/// Measures.
pub fn measure(scratch: &Path, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    freehold_channel::install_provider();
    process::raise_file_limit()?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run(scratch, plan))
}

async fn run(scratch: &Path, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let world = world::World::start(scratch, &plan.programs)?;
    let administrator = world.administrator().await?;
    eprintln!("enrolling {} boxes", plan.boxes);
    let boxes = load::enrol_all(&world, &administrator, plan.boxes).await?;
    let rounds = load::Rounds::start(boxes, Duration::from_secs(plan.every));
    let visitor = person::Visitor::sign_in(&world).await?;
    eprintln!("warming up for {} s", plan.warm);
    let looking = visitor.keep_looking();
    tokio::time::sleep(Duration::from_secs(plan.warm)).await;

    let pid = world.pid();
    let (before, own_before, counted_before) = (
        process::spent(pid)?,
        process::spent(std::process::id())?,
        rounds.counts(),
    );
    looking.begin();
    eprintln!("measuring for {} s", plan.window);
    let began = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(plan.window)).await;
    let seconds = began.elapsed().as_secs_f64();
    let (after, own_after, counted) = (
        process::spent(pid)?,
        process::spent(std::process::id())?,
        rounds.counts(),
    );
    let seen = looking.end().await?;
    let memory = process::memory(pid)?;
    rounds.stop();

    let failed = counted.failed;
    ensure!(
        failed == 0,
        "{failed} rounds failed; the last: {}",
        counted.last_failure
    );
    let trusted = world.trusted(&administrator).await?;
    ensure!(
        trusted == plan.boxes,
        "{trusted} of {} boxes are trusted at the end",
        plan.boxes
    );
    let rate = |now: u64, then: u64| (now.saturating_sub(then)) as f64 / seconds;
    let cores = (after - before) / seconds;
    let load = format!(
        "{} boxes (software keys) every {} s, measured {seconds:.0} s: {:.1} reports/s, {:.2} evidence/s, {:.1} heads of records/s, {:.1} pages/s; \
         the generator itself used {:.2} cores",
        plan.boxes,
        plan.every,
        rate(counted.reports, counted_before.reports),
        rate(counted.evidence, counted_before.evidence),
        rate(counted.records, counted_before.records),
        seen.fleet.len() as f64 / seconds,
        (own_after - own_before) / seconds,
    );
    let disk = process::folder_size(&world.state())?;
    Ok(rows(plan, &load, cores, &seen, memory, disk))
}

fn rows(plan: &Plan, load: &str, cores: f64, seen: &person::Seen, memory: process::Memory, disk: u64) -> Vec<Row> {
    let fleet = Latencies::of(&seen.fleet);
    let live = Latencies::of(&seen.live);
    let mib = |bytes: u64| bytes / (1 << 20);
    vec![
        Row {
            what: format!("console, {} boxes: processor", plan.boxes),
            ours: format!("{cores:.3} cores"),
            peer: load.to_owned(),
            ratio: None,
            wanted: format!("under {CORES} cores"),
            holds: Some(cores < CORES),
        },
        Row {
            what: format!("console, {} boxes: fleet page", plan.boxes),
            ours: format!(
                "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms of {} pages; live fragment p99 {:.1} ms of {}",
                fleet.p50, fleet.p99, fleet.most, fleet.count, live.p99, live.count
            ),
            peer: "the same run; bodies read whole, over one kept TLS connection".to_owned(),
            ratio: None,
            wanted: format!("p99 under {PAGE_MS} ms"),
            holds: Some(fleet.p99 < PAGE_MS),
        },
        Row {
            what: format!("console, {} boxes: memory and disk", plan.boxes),
            ours: format!(
                "{} MiB resident (most {} MiB), state folder {} MiB after enrolment and {} s",
                mib(memory.resident),
                mib(memory.most),
                mib(disk),
                plan.warm + plan.window
            ),
            peer: "the same run".to_owned(),
            ratio: None,
            wanted: "–".to_owned(),
            holds: None,
        },
    ]
}

/// Unix seconds.
fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// A JSON answer, or an error that says what came instead.
fn json(what: &str, answer: &freehold_dial::Answer) -> anyhow::Result<serde_json::Value> {
    ensure!(
        answer.status.is_success(),
        "{what}: {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
            .chars()
            .take(300)
            .collect::<String>()
    );
    if answer.body.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(&answer.body).with_context(|| what.to_owned())
}

//! A writer that is killed at random moments loses nothing that it acknowledged. Case I07.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use freehold_record::{Entry, NoteSigner};
use freehold_record_files::{Options, Recorder, verify_folder};
use freehold_trust::{KeyKind, SigningKey};

const KILLS: u32 = 40;

fn signer(pem: &str) -> NoteSigner {
    NoteSigner::new("killed", SigningKey::from_pkcs8_pem(pem).unwrap()).unwrap()
}

/// The child: appends from four threads and prints each number as soon as its receipt is there, until it is killed.
#[test]
#[ignore = "run and killed by i07_kill_at_random_moments_loses_no_acknowledged_entry"]
fn child_that_appends() {
    let folder = PathBuf::from(std::env::var("KILL_LOG").unwrap());
    let pem = std::fs::read_to_string(std::env::var("KILL_KEY").unwrap()).unwrap();
    let run = std::env::var("KILL_RUN").unwrap();
    // A small journal, so that it wraps and publishes often.
    let log = Recorder::open(
        &folder,
        signer(&pem),
        Options {
            journal_bytes: 1,
            ..Options::default()
        },
    )
    .unwrap();
    println!("\nopen");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (log, run) = (log.clone(), run.clone());
            scope.spawn(move || {
                for n in 0u64.. {
                    let id = format!("{run}-{thread}-{n}");
                    let entry = Entry::new(0, "child", "test.kill")
                        .with("id", id.as_str())
                        .with("pad", "x".repeat(300));
                    let receipt = log.append(&entry).unwrap();
                    let mut out = std::io::stdout().lock();
                    let _ = writeln!(out, "ack {} {id}", receipt.index).and_then(|()| out.flush());
                }
            });
        }
    });
}

fn kill_once(folder: &Path, key: &Path, run: u32, life: Duration) -> Vec<(u64, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "child_that_appends",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env("KILL_LOG", folder)
        .env("KILL_KEY", key)
        .env("KILL_RUN", run.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Some die before they have opened the log, most later.
    if !run.is_multiple_of(5) {
        assert!(
            lines.by_ref().any(|line| line.unwrap() == "open"),
            "the child opened the log"
        );
    }
    let killer = std::thread::spawn(move || {
        let until = Instant::now() + life;
        while Instant::now() < until {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    });
    // A last line that was cut short is no acknowledgement.
    let acknowledged = lines
        .map_while(Result::ok)
        .filter_map(|line| {
            let mut words = line.strip_prefix("ack ")?.split(' ');
            let index = words.next()?.parse().ok()?;
            let id = words.next().filter(|id| id.split('-').count() == 3)?;
            Some((index, id.to_owned()))
        })
        .collect();
    killer.join().unwrap();
    acknowledged
}

#[test]
fn i07_kill_at_random_moments_loses_no_acknowledged_entry() {
    let world = tempfile::tempdir().unwrap();
    let (folder, key) = (world.path().join("log"), world.path().join("key.pem"));
    let pem = SigningKey::generate(KeyKind::Ed25519)
        .unwrap()
        .to_pkcs8_pem()
        .unwrap()
        .to_string();
    std::fs::write(&key, &pem).unwrap();
    let mut acknowledged = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64 ^ u64::from(std::process::id());
    for run in 0..KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_micros(random >> 32 & 0x3_ffff); // up to 262 ms: batches, quiet and publications
        acknowledged.extend(kill_once(&folder, &key, run, life));
        if !folder.join("checkpoint").exists() {
            continue; // killed while the log was being made
        }
        let report = verify_folder(&folder, Some(signer(&pem).verifier())).unwrap();
        assert_eq!(report.findings, [], "after kill {run}");
        let log = Recorder::open(&folder, signer(&pem), Options::default()).unwrap();
        let head = log.head();
        for (index, id) in &acknowledged {
            assert!(
                *index < head.size,
                "acknowledged entry {index} is lost after kill {run}: {} are there",
                head.size
            );
            let entries = log.entries(*index, index + 1).unwrap();
            let text = String::from_utf8(entries[0].1.clone()).unwrap();
            assert!(
                text.contains(&format!("\"id\":\"{id}\"")),
                "entry {index} is {text}, {id} was acknowledged"
            );
        }
        // Those of earlier runs have been looked at; keep some for the end.
        let keep = acknowledged.len().saturating_sub(200);
        acknowledged.drain(..keep);
    }
    assert!(!acknowledged.is_empty(), "nothing was ever acknowledged");
}

/// How many entries a second are made durable by 64 callers; printed, not judged: the machine decides.
#[test]
#[ignore = "a measurement: cargo test -p freehold-record-files --test kill -- --ignored --nocapture measured_rate"]
fn measured_rate() {
    let world = tempfile::tempdir_in(std::env::var("RATE_IN").unwrap_or_else(|_| ".".into())).unwrap();
    let pem = SigningKey::generate(KeyKind::Ed25519)
        .unwrap()
        .to_pkcs8_pem()
        .unwrap()
        .to_string();
    for callers in [1u64, 8, 64, 256] {
        let folder = world.path().join(callers.to_string());
        let log = Recorder::open(&folder, signer(&pem), Options::default()).unwrap();
        let begin = Instant::now();
        let each = 4000 / callers;
        std::thread::scope(|scope| {
            for caller in 0..callers {
                let log = log.clone();
                scope.spawn(move || {
                    for n in 0..each {
                        log.append(&Entry::new(0, "a", "test.rate").with("n", n).with("caller", caller))
                            .unwrap();
                    }
                });
            }
        });
        let rate = f64::from(u32::try_from(each * callers).unwrap()) / begin.elapsed().as_secs_f64();
        println!("{callers} callers: {rate:.0} durable entries per second");
        drop(log);
        let begin = Instant::now();
        let report = verify_folder(&folder, Some(signer(&pem).verifier())).unwrap();
        println!(
            "  verified {} entries in {:?}, {} findings",
            report.entries,
            begin.elapsed(),
            report.findings.len()
        );
    }
}

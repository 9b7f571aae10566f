//! The record and the report: a million entries, one proof, durable entries a second, ten thousand boxes.
//!
//! Refuses to count an entry before its receipt, and a report before it was checked. Invariant: making the material is not timed.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use freehold_audit::{BoxLine, BoxMaterial, Document, Material, RecordPlace, Scope, check_report, make};
use freehold_record::{Entry, NoteSigner, SignedNote, TlogProof, verify_inclusion};
use freehold_record_files::{Options, Recorder, verify_folder};
use freehold_trust::{KeyKind, SigningKey, sha256};
use freehold_verify::container::{Container, Kind, write};
use freehold_verify::evidence::EvidencePackage;
use freehold_verify::identity::TpmKind;

use crate::paper_tpm::{NOW, PaperBox, REQUIRED};
use crate::row::Row;
use crate::timing::rate;

/// Entries that wait for their receipts at the same time: group commit needs a group.
const IN_FLIGHT: usize = 256;
/// A log's name.
const ORIGIN: &str = "freehold/console/bench";

fn entry(n: u64) -> Entry {
    Entry::new(1_795_000_000_000, "client:bench", "request.answered")
        .with("request", format!("{n:016x}"))
        .with("route", "chat")
        .with("total_ms", n % 1000)
}

/// Measures.
pub fn measure(scratch: &Path, entries: u64, boxes: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = durable(&scratch.join("durable"))?;
    rows.extend(million(&scratch.join("million"), entries)?);
    rows.extend(report(scratch, boxes)?);
    Ok(rows)
}

fn row(what: String, ours: String, peer: &str, wanted: &str, holds: bool) -> Row {
    Row {
        what,
        ours,
        peer: peer.to_owned(),
        ratio: None,
        wanted: wanted.to_owned(),
        holds: Some(holds),
    }
}

fn open(folder: &Path) -> anyhow::Result<Recorder> {
    let signer = NoteSigner::new(ORIGIN, SigningKey::generate(KeyKind::Ed25519)?)?;
    Ok(Recorder::open(folder, signer, Options::declared())?)
}

/// Appends `wanted` entries, many in flight; or as many as fit into `limit`. Answers how many had their receipt.
fn append(log: &Recorder, wanted: u64, limit: Duration) -> anyhow::Result<u64> {
    let began = Instant::now();
    let mut waiting = VecDeque::new();
    let (mut handed, mut done) = (0, 0);
    while handed < wanted && began.elapsed() < limit {
        waiting.push_back(log.submit(&entry(handed))?);
        handed += 1;
        if waiting.len() >= IN_FLIGHT
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.wait()?;
            done += 1;
        }
    }
    for one in waiting {
        one.wait()?;
        done += 1;
    }
    Ok(done)
}

fn durable(folder: &Path) -> anyhow::Result<Vec<Row>> {
    let log = open(folder)?;
    let began = Instant::now();
    let done = append(&log, u64::MAX, Duration::from_secs(10))?;
    let second = done as f64 / began.elapsed().as_secs_f64();
    Ok(vec![row(
        format!("durable entries a second, {IN_FLIGHT} in flight"),
        format!("{second:.0}"),
        "Tessera's published 2,900",
        "5,000",
        second >= 5_000.0,
    )])
}

fn million(folder: &Path, entries: u64) -> anyhow::Result<Vec<Row>> {
    let log = open(folder)?;
    append(&log, entries, Duration::from_secs(3600))?;
    log.publish()?;
    let key = log.verifier().clone();
    drop(log);
    let began = Instant::now();
    let report = verify_folder(folder, Some(&key))?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(report.findings.is_empty() && report.entries == entries, "{report:?}");
    let reader = freehold_record_files::RecordReader::open(folder);
    let (note, checkpoint) = reader.checkpoint()?;
    let proof = TlogProof {
        extra: None,
        index: entries / 3,
        path: reader.inclusion(entries / 3, entries)?,
        checkpoint: SignedNote::parse(&note)?,
    };
    let bytes = reader
        .entries(entries / 3, entries / 3 + 1, entries)?
        .pop()
        .context("no entry")?;
    let leaf = freehold_record::leaf_hash(&bytes);
    verify_inclusion(&leaf, proof.index, entries, &proof.path, &checkpoint.root)?;
    let text = proof.to_string();
    let proofs = rate(5, || {
        let proof = TlogProof::parse(text.as_bytes()).expect("it was made here");
        assert!(proof.verify(&bytes, ORIGIN, &key).is_ok());
    });
    let milliseconds = 1000.0 / proofs;
    Ok(vec![
        row(
            format!("verify a record of {entries} entries"),
            format!("{seconds:.2} s"),
            "–",
            "under 5 s",
            seconds < 5.0,
        ),
        row(
            "verify one inclusion proof, its file and its signed head".to_owned(),
            format!("{milliseconds:.3} ms"),
            "–",
            "under 1 ms",
            milliseconds < 1.0,
        ),
    ])
}

fn package(id: &str) -> EvidencePackage {
    let paper = PaperBox::new(id);
    EvidencePackage {
        v: 1,
        box_id: id.to_owned(),
        evidence: paper.evidence().encode(),
        challenge: paper.challenge.clone(),
        ak_public: paper.ak.public().to_bytes(),
        tpm: TpmKind::Software,
        tls: paper.tls.public().fingerprint(),
        pcrs: REQUIRED.to_vec(),
        manifests: paper.manifests.clone(),
        previous: None,
        volume: None,
        at: NOW + 2,
        verdict: serde_json::json!({"word": "trusted_simulated"}),
        models: Vec::new(),
        assignment: None,
        inclusion: None,
    }
}

fn report(scratch: &Path, count: usize) -> anyhow::Result<Vec<Row>> {
    let folder = scratch.join("report");
    let pem = SigningKey::generate(KeyKind::Ed25519)?.to_pkcs8_pem()?;
    let signer = || -> anyhow::Result<NoteSigner> { Ok(NoteSigner::new(ORIGIN, SigningKey::from_pkcs8_pem(&pem)?)?) };
    let log = Recorder::open(&folder, signer()?, Options::declared())?;
    let mut packages = Vec::with_capacity(count);
    let mut pending = VecDeque::new();
    for number in 0..count {
        let package = package(&format!("box-{number:06}"));
        pending.push_back(
            log.submit(
                &Entry::new((NOW + 2) * 1000, "console", "verdict.reached")
                    .with("about", package.box_id.as_str())
                    .with("verdict", "trusted_simulated")
                    .with("evidence", sha256(&package.evidence))
                    .with("policies", vec!["evidence.trusted_simulated"]),
            )?,
        );
        packages.push(package);
    }
    for one in pending {
        one.wait()?;
    }
    let signing = signer()?;
    let began = Instant::now();
    log.publish()?;
    let reader = log.reader();
    let (note, checkpoint) = reader.checkpoint()?;
    let entries = reader.entries(0, checkpoint.size, checkpoint.size)?;
    let mut boxes = BTreeMap::new();
    let mut lines = Vec::with_capacity(count);
    for (index, (package, entry)) in (0u64..).zip(packages.iter().zip(&entries)) {
        let proof = TlogProof {
            extra: None,
            index,
            path: reader.inclusion(index, checkpoint.size)?,
            checkpoint: SignedNote::parse(&note)?,
        };
        lines.push(BoxLine {
            box_id: package.box_id.clone(),
            label: package.box_id.clone(),
            site: "north".to_owned(),
            verdict: Some("trusted_simulated".to_owned()),
            inventory: false,
        });
        let material = BoxMaterial {
            package: Some(serde_json::to_vec(package)?),
            told: Some((entry.clone(), proof)),
            inventory: None,
        };
        boxes.insert(package.box_id.clone(), material);
    }
    let material = Material {
        document: Document {
            v: 1,
            fleet: "bench".to_owned(),
            name: "bench".to_owned(),
            scope: Scope::Fleet {},
            from: NOW - 86_400,
            at: NOW + 60,
            made_by: "bench".to_owned(),
            max_age: 86_400,
            record: RecordPlace {
                origin: ORIGIN.to_owned(),
                key: signing.verifier().to_string(),
                first: 0,
                before: Vec::new(),
            },
            boxes: lines,
            models: Vec::new(),
        },
        checkpoint: note.clone(),
        entries,
        boxes,
    };
    let files = make(&material, |text| signing.sign(text))?;
    let bytes = write(Kind::Report, sha256(b"bench"), &files)?;
    let made = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let container = Container::parse(&bytes, Kind::Report)?;
    let checked = check_report(&container.entries().collect(), Some(signing.verifier()))?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(checked.boxes.len() == count, "{} boxes", checked.boxes.len());
    Ok(vec![
        row(
            format!("make a report over {count} boxes, {} MB", bytes.len() / 1_000_000),
            format!("{made:.1} s"),
            "–",
            "under 60 s",
            made < 60.0,
        ),
        row(
            format!("check it: {} files, {count} verdicts and proofs", checked.files),
            format!("{seconds:.1} s"),
            "–",
            "–",
            true,
        ),
    ])
}

//! Two verifiers, written apart, judge the same fixtures: this program and a Python script that was written from the documents.

#[path = "../../verify/tests/support/paper_tpm.rs"]
mod paper_tpm;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_record::{
    Checkpoint, Entry, Frontier, HashSource, NoteSigner, TlogProof, empty_root, inclusion, leaf_hash, node_hash,
};
use freehold_record_files::{Options, Recorder};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};
use freehold_verify::event_log::EventLog;
use freehold_verify::evidence::Evidence;
use paper_tpm::{NOW, PaperBox, REQUIRED};
use serde_json::{Value, json};

fn judge() -> Option<PathBuf> {
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/bin/python");
    let works = judge.exists()
        && Command::new(&judge)
            .args(["-c", "import cryptography"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: target/judges has no `cryptography` (tests/judges.sh brings it)");
    }
    works.then_some(judge)
}

fn ours(arguments: &[&str]) -> bool {
    let status = Command::new(env!("CARGO_BIN_EXE_freehold-inspect"))
        .args(arguments)
        .output()
        .unwrap()
        .status;
    status.code() == Some(0)
}

fn theirs(judge: &Path, arguments: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/second_opinion.py");
    let output = Command::new(judge)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
    (output.status.success(), said)
}

fn package(box_: &PaperBox, evidence: &Evidence) -> Value {
    json!({
        "v": 1, "box": box_.id, "evidence": STANDARD.encode(evidence.encode()), "challenge": box_.challenge,
        "ak_public": STANDARD.encode(box_.ak.public().to_bytes()), "tpm": "software", "tls": box_.tls.public().fingerprint(),
        "pcrs": REQUIRED, "manifests": box_.manifests, "previous": null, "at": NOW + 2, "verdict": {"word": "trusted"},
    })
}

// promise S-243
#[test]
fn both_agree_about_every_package_of_evidence() {
    let Some(judge) = judge() else { return };
    let world = tempfile::tempdir().unwrap();
    let good = PaperBox::new("amber-fox-1");
    let sound = package(&good, &good.evidence());
    let mut fixtures: Vec<(&str, bool, Value)> = vec![("sound", true, sound.clone())];
    let with = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = good.evidence();
        change(&mut evidence);
        package(&good, &evidence)
    };
    fixtures.push(("a byte of the quote", false, with(&|evidence| evidence.attest[20] ^= 1)));
    fixtures.push((
        "another kind of statement",
        false,
        with(&|evidence| evidence.attest[5] ^= 1),
    ));
    fixtures.push(("the magic", false, with(&|evidence| evidence.attest[0] ^= 1)));
    fixtures.push((
        "a byte of the signature",
        false,
        with(&|evidence| evidence.signature[12] ^= 1),
    ));
    fixtures.push((
        "a byte of the log",
        false,
        with(&|evidence| {
            let last = evidence.boot_log.len() - 1;
            evidence.boot_log[last] ^= 1;
        }),
    ));
    fixtures.push((
        "another box",
        false,
        with(&|evidence| evidence.bound.box_id = "coral-owl-2".into()),
    ));
    fixtures.push(("another nonce", false, with(&|evidence| evidence.bound.nonce[0] ^= 1)));
    fixtures.push((
        "another checkpoint",
        false,
        with(&|evidence| evidence.bound.checkpoint = None),
    ));
    let field = |name: &str, value: Value| {
        let mut package = sound.clone();
        package[name] = value;
        package
    };
    fixtures.push(("too late", false, field("at", (NOW + 1_000_000).into())));
    fixtures.push(("other registers", false, field("pcrs", json!([0, 1, 2]))));
    fixtures.push(("another tls key", false, field("tls", "0".repeat(64).into())));
    fixtures.push(("no manifest", false, field("manifests", json!([]))));
    let stranger = PaperBox::new("amber-fox-1");
    fixtures.push((
        "another key",
        false,
        field("ak_public", STANDARD.encode(stranger.ak.public().to_bytes()).into()),
    ));
    let mut changed = PaperBox::new("amber-fox-1");
    let digest = {
        let log = EventLog::parse(&good.log).unwrap();
        log.events()
            .iter()
            .rev()
            .find(|event| event.pcr == 4)
            .unwrap()
            .sha256()
            .unwrap()
            .to_vec()
    };
    let at = changed.log.windows(32).position(|bytes| bytes == digest).unwrap();
    changed.log[at] ^= 1;
    changed.manifests = good.manifests.clone();
    fixtures.push(("another boot loader", false, package(&changed, &changed.evidence())));
    for (what, holds, package) in fixtures {
        let path = world.path().join("package.json");
        std::fs::write(&path, serde_json::to_vec(&package).unwrap()).unwrap();
        let path = path.to_str().unwrap();
        let (second, said) = theirs(&judge, &["evidence", path]);
        assert_eq!((ours(&["evidence", path]), second), (holds, holds), "{what}: {said}");
    }
}

// promise S-243
#[test]
fn i02_both_agree_about_records_whole_and_changed() {
    let Some(judge) = judge() else { return };
    let world = tempfile::tempdir().unwrap();
    let folder = world.path().join("record");
    let signer = NoteSigner::new("example.org/r", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap();
    let key = signer.verifier().to_string();
    let log = Recorder::open(&folder, signer, Options::default()).unwrap();
    for n in 0..600u64 {
        log.append(&Entry::new(0, "a", "test.entry").with("n", n)).unwrap();
    }
    drop(log);
    let path = folder.to_str().unwrap();
    let agree = |holds: bool, what: &str| {
        let (second, said) = theirs(&judge, &["record", path, &key]);
        assert_eq!(
            (ours(&["record", path, "--key", &key]), second),
            (holds, holds),
            "{what}: {said}"
        );
    };
    agree(true, "whole");
    let bundle = folder.join("tile/entries/001");
    let before = std::fs::read(&bundle).unwrap();
    let mut bytes = before.clone();
    bytes[77] ^= 1;
    std::fs::write(&bundle, &bytes).unwrap();
    agree(false, "a byte of an entry");
    std::fs::write(&bundle, &before[..before.len() / 2]).unwrap();
    agree(false, "half a bundle");
    std::fs::remove_file(&bundle).unwrap();
    agree(false, "a bundle that is gone");
    std::fs::write(&bundle, &before).unwrap();
    let checkpoint = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    std::fs::write(folder.join("checkpoint"), checkpoint.replacen("\n600\n", "\n599\n", 1)).unwrap();
    agree(false, "another size");
}

struct Leaves(Vec<Sha256Digest>);

impl HashSource for Leaves {
    type Error = std::convert::Infallible;
    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error> {
        fn root(leaves: &[Sha256Digest]) -> Sha256Digest {
            match leaves {
                [] => empty_root(),
                [one] => *one,
                many => node_hash(&root(&many[..many.len() / 2]), &root(&many[many.len() / 2..])),
            }
        }
        let start = usize::try_from(index << level).unwrap();
        Ok(root(&self.0[start..start + (1usize << level)]))
    }
}

/// Thousands of proofs that we make, valid and broken, as vectors for the other.
// promise S-243
#[test]
fn i01_both_agree_about_thousands_of_proofs() {
    let Some(judge) = judge() else { return };
    let signer = NoteSigner::new("example.org/p", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap();
    let key = signer.verifier().clone();
    let entry = |n: u64| format!("entry {n}");
    let leaves = Leaves((0..40).map(|n| leaf_hash(entry(n).as_bytes())).collect());
    let mut vectors = String::new();
    let mut count = 0;
    for size in 1..=40u64 {
        let mut frontier = Frontier::new();
        leaves
            .0
            .iter()
            .take(usize::try_from(size).unwrap())
            .for_each(|leaf| frontier.push(*leaf));
        let head = Checkpoint::new("example.org/p", size, frontier.root())
            .sign(&signer)
            .unwrap();
        for index in 0..size {
            let proof = TlogProof {
                extra: None,
                index,
                path: inclusion(index, size, &leaves).unwrap().unwrap(),
                checkpoint: head.clone(),
            };
            let mut longer = proof.clone();
            longer.path.push(empty_root());
            let mut other = proof.clone();
            other.index = (index + 1) % size;
            for (proof, text) in [
                (&proof, entry(index)),
                (&proof, entry(index + 1)),
                (&longer, entry(index)),
                (&other, entry(index)),
            ] {
                let holds = proof.verify(text.as_bytes(), "example.org/p", &key).is_ok();
                let vector = json!({"entry": text, "proof": proof.to_string(), "key": key.to_string(), "holds": holds});
                let _ = writeln!(vectors, "{vector}");
                count += 1;
            }
        }
    }
    let world = tempfile::tempdir().unwrap();
    let path = world.path().join("vectors.jsonl");
    std::fs::write(&path, vectors).unwrap();
    let (agreed, said) = theirs(&judge, &["proofs", path.to_str().unwrap()]);
    assert!(agreed, "{said}");
    println!("{count} vectors");
    assert!(count > 3_000);
}

#[test]
fn a_proof_file_is_checked_by_both_and_by_name() {
    let world = tempfile::tempdir().unwrap();
    let signer = NoteSigner::new("example.org/p", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap();
    let key = signer.verifier().to_string();
    let folder = world.path().join("record");
    let log = Recorder::open(&folder, signer, Options::default()).unwrap();
    for n in 0..3u64 {
        log.append(&Entry::new(0, "a", "test.entry").with("n", n)).unwrap();
    }
    log.publish().unwrap();
    let (note, checkpoint) = log.reader().checkpoint().unwrap();
    let proof = TlogProof {
        extra: None,
        index: 1,
        path: log.reader().inclusion(1, checkpoint.size).unwrap(),
        checkpoint: freehold_record::SignedNote::parse(&note).unwrap(),
    };
    let (file, entry) = (world.path().join("one.tlog-proof"), world.path().join("one.entry"));
    std::fs::write(&file, proof.to_string()).unwrap();
    std::fs::write(&entry, &log.entries(1, 2).unwrap()[0].1).unwrap();
    let (file, path) = (file.to_str().unwrap(), entry.to_str().unwrap());
    assert!(ours(&["proof", file, "--entry", path, "--key", &key]));
    let page = world.path().join("page.html");
    assert!(ours(&[
        "proof",
        file,
        "--entry",
        path,
        "--key",
        &key,
        "--html",
        page.to_str().unwrap()
    ]));
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(
        html.contains("<h1 class=\"yes\">● included  entry 1 of example.org/p</h1>"),
        "{html}"
    );
    assert!(!html.contains("<script") && !html.contains("http"), "{html}");
    if let Some(judge) = judge() {
        assert!(theirs(&judge, &["proof", file, path, &key]).0);
    }
    std::fs::write(&entry, &log.entries(2, 3).unwrap()[0].1).unwrap();
    assert!(!ours(&["proof", file, "--entry", path, "--key", &key]));
    if let Some(judge) = judge() {
        assert!(!theirs(&judge, &["proof", file, path, &key]).0);
    }
}

//! The program as an auditor runs it: exit codes, first lines, JSON.

#[path = "../../verify/tests/support/paper_tpm.rs"]
mod paper_tpm;

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_record::{Entry, NoteSigner};
use freehold_record_files::{Options, Recorder};
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::event_log::EventLog;
use freehold_verify::evidence::Evidence;
use paper_tpm::{NOW, PaperBox, REQUIRED};
use serde_json::{Value, json};

fn run(arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_freehold-inspect"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        stderr.is_empty() || status.code() == Some(2),
        "{}",
        String::from_utf8_lossy(&stderr)
    );
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

fn run_json(arguments: &[&str]) -> (i32, Value) {
    let (code, out) = run(&[&["--json"], arguments].concat());
    (
        code,
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}")),
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn package(box_: &PaperBox, evidence: &Evidence) -> Value {
    json!({
        "v": 1, "box": box_.id, "evidence": STANDARD.encode(evidence.encode()), "challenge": box_.challenge,
        "ak_public": STANDARD.encode(box_.ak.public().to_bytes()), "tpm": "software", "tls": box_.tls.public().fingerprint(),
        "pcrs": REQUIRED, "manifests": box_.manifests, "previous": null, "at": NOW + 2, "verdict": {"word": "trusted"},
    })
}

fn write(folder: &Path, value: &Value) -> std::path::PathBuf {
    let path = folder.join("package.json");
    std::fs::write(&path, serde_json::to_vec(value).unwrap()).unwrap();
    path
}

#[test]
fn evidence_of_a_simulated_box_is_yes_and_says_so() {
    let world = tempfile::tempdir().unwrap();
    let box_ = PaperBox::new("amber-fox-1");
    let file = write(world.path(), &package(&box_, &box_.evidence()));
    let (code, out) = run(&["evidence", text(&file)]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("◐ trusted (simulated)  "), "{out}");
    let (_, said) = run_json(&["evidence", text(&file)]);
    assert_eq!(
        (said["verdict"].as_str(), said["answer"].as_str()),
        (Some("trusted_simulated"), Some("yes"))
    );
    assert_eq!(said["decision"]["because"][0]["policy"], "evidence.trusted_simulated");

    let (code, said) = run_json(&["evidence", text(&file), "--refuse-simulated"]);
    assert_eq!(
        (code, said["refused"]["code"].as_str()),
        (1, Some("policy.simulated_not_allowed"))
    );
    let fingerprint = box_.ak.fingerprint().to_hex();
    assert_eq!(run(&["evidence", text(&file), "--ak", &fingerprint]).0, 0);
    let (code, said) = run_json(&["evidence", text(&file), "--ak", &"0".repeat(64)]);
    assert_eq!((code, said["refused"]["code"].as_str()), (1, Some("inspect.other_key")));
    let (code, said) = run_json(&["evidence", text(&file), "--at", "2039-01-01T00:00:00Z"]);
    assert_eq!(
        (code, said["refused"]["code"].as_str()),
        (1, Some("quote.nonce_expired"))
    );
}

#[test]
fn evidence_with_a_changed_boot_log_is_no_and_names_the_event() {
    let world = tempfile::tempdir().unwrap();
    let good = PaperBox::new("amber-fox-1");
    let mut changed = PaperBox::new("amber-fox-1");
    let digest = {
        let log = EventLog::parse(&good.log).unwrap();
        let kernel = log.events().iter().rev().find(|event| event.pcr == 4).unwrap();
        kernel.sha256().unwrap().to_vec()
    };
    let at = changed.log.windows(32).position(|bytes| bytes == digest).unwrap();
    changed.log[at] ^= 1;
    // The box's own TPM saw the changed boot; the console's manifest knows the good one.
    changed.manifests = good.manifests.clone();
    let file = write(world.path(), &package(&changed, &changed.evidence()));
    let (code, out) = run(&["evidence", text(&file)]);
    assert_eq!(code, 1, "{out}");
    assert!(out.starts_with("■ refused  "), "{out}");
    let (_, said) = run_json(&["evidence", text(&file)]);
    assert_eq!(said["verdict"], "refused");
    assert!(
        said["refused"]["code"].as_str().unwrap().starts_with("boot.")
            || said["refused"]["code"].as_str().unwrap().starts_with("log.")
    );
}

#[test]
fn a03_one_changed_byte_of_the_evidence_is_no() {
    let world = tempfile::tempdir().unwrap();
    let box_ = PaperBox::new("amber-fox-1");
    let mut evidence = box_.evidence();
    evidence.attest[20] ^= 1;
    let file = write(world.path(), &package(&box_, &evidence));
    assert_eq!(run(&["evidence", text(&file)]).0, 1);
}

#[test]
fn what_is_not_a_package_is_could_not_tell() {
    let world = tempfile::tempdir().unwrap();
    let file = world.path().join("x");
    std::fs::write(&file, "{}").unwrap();
    let (code, out) = run(&["evidence", text(&file)]);
    assert_eq!(code, 2);
    assert!(out.starts_with("○ could not tell"), "{out}");
    assert_eq!(run(&["evidence", "/nonexistent/file"]).0, 2);
    assert_eq!(run(&["log", "/nonexistent/file"]).0, 2);
    assert_eq!(run(&["record", "/nonexistent/folder"]).0, 2);
}

fn record(folder: &Path) -> String {
    let signer = NoteSigner::new("example.org/r", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap();
    let key = signer.verifier().to_string();
    let log = Recorder::open(folder, signer, Options::default()).unwrap();
    for n in 0..300u64 {
        log.append(&Entry::new(0, "a\u{1b}[31m", "test.entry").with("n", n))
            .unwrap();
    }
    key
}

#[test]
fn i02_record_is_whole_until_a_byte_is_changed() {
    let world = tempfile::tempdir().unwrap();
    let folder = world.path().join("record");
    let key = record(&folder);
    let (code, said) = run_json(&["record", text(&folder), "--key", &key]);
    assert_eq!(
        (code, said["size"].as_u64(), said["key"].as_str()),
        (0, Some(300), Some("given"))
    );
    assert_eq!(said["root"].as_str().unwrap().len(), 64);
    let (code, said) = run_json(&["record", text(&folder)]);
    assert_eq!((code, said["key"].as_str()), (0, Some("folder")));
    let (code, said) = run_json(&["record", text(&folder), "--origin", "example.org/other"]);
    assert_eq!(
        (code, said["refused"]["code"].as_str()),
        (1, Some("record.other_origin"))
    );
    let (_, out) = run(&["record", text(&folder), "--entries"]);
    assert!(out.contains("test.entry") && !out.contains('\u{1b}'), "{out}");

    let bundle = folder.join("tile/entries/000");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let (code, said) = run_json(&["record", text(&folder), "--key", &key]);
    assert_eq!((code, said["refused"]["code"].as_str()), (1, Some("record.changed")));
}

#[test]
fn log_agrees_with_the_published_values() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/tpm-event-logs");
    if !vectors.is_dir() {
        println!("skipped: ../shared/vectors is not here");
        return;
    }
    let expected = std::fs::read(vectors.join("expected-pcrs.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    for entry in expected.as_array().unwrap() {
        let (name, bank) = (entry["log"].as_str().unwrap(), entry["bank"].as_str().unwrap());
        let (code, said) = run_json(&["log", text(&vectors.join(name))]);
        assert_eq!(code, 0, "{name}");
        for (pcr, value) in entry["pcrs"].as_object().unwrap() {
            assert_eq!(&said["pcrs"][bank][pcr], value, "{name} {bank} PCR {pcr}");
        }
        assert!(!said["events"].as_array().unwrap().is_empty());
    }
}

#[test]
fn codes_are_explained() {
    let (code, out) = run(&["--explain", "record.changed"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("means") && out.contains("do "), "{out}");
    assert_eq!(run(&["--explain", "no.such_code"]).0, 2);
}

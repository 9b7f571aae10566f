//! The publisher's and the signer's verbs, as typed: sign, verify, publish, export, revoke, and how they refuse.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs `freehold --json …` in a folder; answers exit code and document.
fn freehold(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_freehold"))
        .arg("--json")
        .args(arguments)
        .current_dir(folder)
        .output();
    let output = output.unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), said)
}

fn yes(folder: &Path, arguments: &[&str]) -> Value {
    let (code, said) = freehold(folder, arguments);
    assert_eq!(code, 0, "{arguments:?} {said}");
    said
}

fn no(folder: &Path, arguments: &[&str]) -> String {
    let (code, said) = freehold(folder, arguments);
    assert_eq!(code, 1, "{arguments:?} {said}");
    said["refused"]["code"].as_str().unwrap().to_owned()
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("guide/sub")).unwrap();
    std::fs::write(home.path().join("guide/config.json"), "{}").unwrap();
    std::fs::write(home.path().join("guide/sub/notes.txt"), "notes").unwrap();
    home
}

#[test]
fn a_model_is_signed_and_verified_by_key_and_by_certificate() {
    let home = home();
    let folder = home.path();
    let key = yes(folder, &["model", "new-key", "signer.pem"]);
    let signed = yes(
        folder,
        &[
            "model",
            "sign",
            "guide",
            "--key",
            "signer.pem",
            "--licence",
            "Apache-2.0",
        ],
    );
    assert_eq!(signed["root"], yes(folder, &["model", "digest", "guide"])["root"]);
    let verified = yes(
        folder,
        &[
            "model",
            "verify",
            "guide",
            "--key",
            "signer.pub.pem",
            "--bom",
            "guide.cdx.json",
        ],
    );
    assert_eq!(verified["signer"]["fingerprint"], key["fingerprint"]);
    assert_eq!(verified["bom"]["licences"][0], "Apache-2.0");

    yes(folder, &["model", "new-certificate", "ca", "--name", "Ward"]);
    let by_certificate = [
        "model",
        "sign",
        "guide",
        "--key",
        "ca/signer-key.pem",
        "--certificate",
        "ca/signer.pem",
        "--no-bom",
    ];
    yes(folder, &by_certificate);
    let verified = yes(folder, &["model", "verify", "guide", "--roots", "ca/root.pem"]);
    assert_eq!(verified["signer"]["subject"], "CN=Ward");
    assert_eq!(
        no(folder, &["model", "verify", "guide", "--key", "signer.pub.pem"]),
        "model.signer_unknown"
    );
    // A trailing slash and the folder itself name the same model.
    yes(folder, &["model", "verify", "guide/", "--roots", "ca/root.pem"]);
    yes(
        &folder.join("guide"),
        &["model", "verify", ".", "--roots", "../ca/root.pem"],
    );
}

#[test]
fn refusals_have_codes_and_errors_have_hints() {
    let home = home();
    let folder = home.path();
    yes(folder, &["model", "new-key", "signer.pem"]);
    let sign = ["model", "sign", "guide", "--key", "signer.pem", "--licence", "MIT"];
    yes(folder, &sign);
    let verify = ["model", "verify", "guide", "--key", "signer.pub.pem"];
    std::fs::write(folder.join("guide/extra"), "").unwrap();
    assert_eq!(no(folder, &verify), "model.file_unlisted");
    std::fs::remove_file(folder.join("guide/extra")).unwrap();
    std::fs::write(folder.join("guide/config.json"), "[]").unwrap();
    assert_eq!(no(folder, &verify), "model.file_digest");
    std::fs::write(folder.join("guide/weights.pt"), "PK").unwrap();
    assert_eq!(no(folder, &sign), "model.format");
    // Could not tell: nobody trusted, no such key, a key that others may read, no licence.
    for arguments in [
        &["model", "verify", "guide"][..],
        &["model", "sign", "guide", "--key", "absent.pem", "--licence", "MIT"],
        &["model", "bom", "nowhere", "--licence", "MIT"],
        &["model", "new-key", "signer.pem"],
        &["release", "show", "guide"],
    ] {
        let (code, said) = freehold(folder, arguments);
        assert_eq!(code, 2, "{arguments:?} {said}");
        assert!(said["error"].is_string(), "{arguments:?} {said}");
    }
    std::fs::remove_file(folder.join("guide/weights.pt")).unwrap();
    let (code, said) = freehold(folder, &["model", "bom", "guide"]);
    assert_eq!((code, said["hint"].as_str().unwrap().contains("--licence")), (2, true));
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.join("signer.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = freehold(folder, &sign);
    assert_eq!((code, said["hint"].as_str().unwrap().contains("chmod 600")), (2, true));
}

#[test]
fn a_release_is_published_exported_and_revoked() {
    let home = home();
    let folder = home.path();
    yes(folder, &["model", "new-key", "timestamp.pem"]);
    let init = yes(
        folder,
        &["release", "init", "publisher", "--timestamp-key", "timestamp.pub.pem"],
    );
    let root = std::fs::read(folder.join("publisher/metadata/1.root.json")).unwrap();
    assert_eq!(init["root_fingerprint"], freehold_trust::digest::sha256(&root).to_hex());
    yes(
        folder,
        &[
            "model",
            "sign",
            "guide",
            "--key",
            "publisher/keys/model-1.pem",
            "--licence",
            "Apache-2.0",
        ],
    );
    let publish = [
        "release",
        "publish",
        "publisher",
        "--model",
        "guide",
        "--name",
        "guide",
        "--release-version",
    ];
    let first = yes(folder, &[&publish[..], &["1.0.0"]].concat());
    assert_eq!(
        (first["target"].as_str(), first["counter"].as_u64()),
        (Some("models/guide/1.0.0/release.json"), Some(1))
    );
    assert_eq!(
        freehold(folder, &[&publish[..], &["1.0.0"]].concat()).0,
        2,
        "a version is published once"
    );
    assert_eq!(yes(folder, &[&publish[..], &["1.1.0"]].concat())["counter"], 2);
    assert_eq!(
        freehold(folder, &[&publish[..], &["1.2.0", "--counter", "2"]].concat()).0,
        2,
        "counters rise"
    );

    std::fs::rename(folder.join("guide.cdx.json"), folder.join("kept.json")).unwrap();
    assert_eq!(no(folder, &[&publish[..], &["2.0.0"]].concat()), "model.bom_missing");
    std::fs::rename(folder.join("kept.json"), folder.join("guide.cdx.json")).unwrap();
    let bill = std::fs::read_to_string(folder.join("guide.cdx.json")).unwrap();
    let root_digest = first["root"].as_str().unwrap();
    std::fs::write(
        folder.join("guide.cdx.json"),
        bill.replace(root_digest, &"0".repeat(64)),
    )
    .unwrap();
    assert_eq!(no(folder, &[&publish[..], &["2.0.0"]].concat()), "model.bom_mismatch");

    yes(
        folder,
        &[
            "policy",
            "bundle",
            "--out",
            "policy.json",
            "--name",
            "ward",
            "--policy-version",
            "1",
            "--signer",
            "publisher/keys/model-1.pub.pem",
        ],
    );
    yes(folder, &["policy", "check", "policy.json"]);
    let policy = [
        "release",
        "publish",
        "publisher",
        "--kind",
        "policy",
        "--file",
        "policy.json",
        "--file",
        "publisher/keys/model-1.pub.pem",
        "--name",
        "ward",
        "--release-version",
        "1",
    ];
    assert_eq!(yes(folder, &policy)["target"], "policies/ward/1/release.json");

    yes(
        folder,
        &[
            "release",
            "revoke",
            "publisher",
            "--release",
            "models/guide/1.0.0",
            "--floor",
            "models/guide=2",
        ],
    );
    assert_eq!(freehold(folder, &["release", "revoke", "publisher"]).0, 2);
    yes(folder, &["release", "export", "publisher", "export"]);
    yes(folder, &["release", "refresh", "publisher"]);
    yes(
        folder,
        &[
            "release",
            "rotate-timestamp",
            "publisher",
            "--timestamp-key",
            "timestamp.pub.pem",
        ],
    );
    yes(folder, &["release", "export", "publisher", "export"]);
    assert!(folder.join("export/metadata/2.root.json").exists() && !folder.join("export/keys").exists());
    let shown = yes(folder, &["release", "show", "publisher"]);
    assert_eq!(shown["releases"].as_array().unwrap().len(), 3);
    assert_eq!(shown["revocations"]["floors"]["models/guide"], 2);
}

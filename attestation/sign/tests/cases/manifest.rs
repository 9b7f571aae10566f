//! D02, D06–D09, D14, D15: what the signed statement may say.

use freehold_verify::model::{SignerTrust, verify_bundle};
use serde_json::{Value, json};

use crate::world::{NOW, bundle_with, code, code_of, fix_root, key};

const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn resources(list: Value) -> Vec<u8> {
    bundle_with(|statement| {
        statement["predicate"]["resources"] = list;
        fix_root(statement);
    })
}

fn named(name: &str) -> Vec<u8> {
    resources(json!([{ "name": name, "algorithm": "sha256", "digest": ZERO }]))
}

fn ignoring(paths: Value) -> Vec<u8> {
    bundle_with(|statement| statement["predicate"]["serialization"]["ignore_paths"] = paths)
}

/// A vector of the specification's own repository; `None` when it is not here.
fn vector(name: &str) -> Option<Vec<u8>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/vectors/oms/test-vectors/v1.0/"
    );
    let bytes = std::fs::read(format!("{path}{name}.bundle.json")).ok();
    if bytes.is_none() {
        println!("skipped: ../shared/vectors is not here");
    }
    bytes
}

#[test]
fn d02_the_specifications_valid_bundles_have_the_right_form() {
    for (name, expected) in [
        ("valid/key", "model.signer_unknown"),
        ("valid/certificate", "model.signer_unknown"),
        ("valid/sigstore", "model.signer_unknown"),
    ] {
        let Some(bytes) = vector(name) else { return };
        // The form passes; nobody here trusts their signers.
        let found = code_of(verify_bundle(&bytes, &SignerTrust::default(), NOW));
        assert!(
            found == expected || (name.ends_with("certificate") && found == "model.certificate_purpose"),
            "{name}: {found}"
        );
    }
}

#[test]
fn d02_the_specifications_invalid_bundles_are_refused() {
    for name in [
        "missing-tlog-entries",
        "missing-envelope",
        "empty",
        "missing-verification-material",
    ] {
        let Some(bytes) = vector(&format!("invalid/{name}")) else {
            return;
        };
        assert_eq!(code(&bytes), "model.malformed", "{name}");
    }
    // Its key is not published; the predicate is judged once a trusted key has signed it.
    let Some(bytes) = vector("invalid-payload/wrong-predicate") else {
        return;
    };
    assert_eq!(code(&bytes), "model.signer_unknown");
}

#[test]
fn d06_ignored_paths_are_not_files_of_the_model() {
    let bundle = ignoring(json!([".git", ".github", "model.sig"]));
    let trust = SignerTrust {
        keys: vec![key().public().clone()],
        ..SignerTrust::default()
    };
    let manifest = verify_bundle(&bundle, &trust, NOW).unwrap();
    assert_eq!(manifest.ignored, [".git", ".github", "model.sig"]);
    assert!(
        manifest
            .files
            .iter()
            .all(|file| !manifest.ignored.iter().any(|path| file.path.starts_with(path)))
    );
}

#[test]
fn d07_ignored_paths_that_could_hide_something_are_refused() {
    for path in [
        ".",
        "weights.safetensors",
        "../x",
        "*",
        "**/*.bin",
        "sub",
        "sub/.git",
        "/etc",
        "",
        "ignore-me",
        "a/model.sig",
        "..sig/../x",
    ] {
        assert_eq!(code(&ignoring(json!([path]))), "model.ignore_paths", "{path}");
    }
    // Left out and listed all the same.
    assert_eq!(
        code(&bundle_with(|statement| {
            statement["predicate"]["resources"][0]["name"] = json!(".git/config");
            fix_root(statement);
        })),
        "model.ignore_paths"
    );
}

#[test]
fn d07_a_caller_may_tolerate_a_path_by_name() {
    let mut trust = SignerTrust {
        keys: vec![key().public().clone()],
        ..SignerTrust::default()
    };
    trust.tolerated_ignores.push("ignore-me".to_owned());
    assert_eq!(
        code_of(verify_bundle(&ignoring(json!(["ignore-me"])), &trust, NOW)),
        "accepted"
    );
}

#[test]
fn d08_names_that_climb_or_hide_are_refused() {
    let long = "x".repeat(1025);
    let part = format!("a/{}", "y".repeat(256));
    let names = [
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\u{7f}b",
        &long,
        &part,
    ];
    for name in names {
        assert_eq!(code(&named(name)), "model.file_name", "{name:?}");
    }
}

#[test]
fn d08_unsorted_and_duplicate_names_are_refused() {
    let entry = |name: &str| json!({ "name": name, "algorithm": "sha256", "digest": ZERO });
    assert_eq!(code(&resources(json!([entry("b"), entry("a")]))), "model.file_order");
    assert_eq!(code(&resources(json!([entry("a"), entry("a")]))), "model.file_order");
    // Both orders that exist: by code point, and part by part as the reference implementation writes it.
    assert_eq!(code(&resources(json!([entry("a.txt"), entry("a/b")]))), "accepted");
    assert_eq!(code(&resources(json!([entry("a/b"), entry("a.txt")]))), "accepted");
}

#[test]
fn d08_names_that_collide_are_refused() {
    let entry = |name: &str| json!({ "name": name, "algorithm": "sha256", "digest": ZERO });
    // Case, normal form, and a file that is also a folder.
    for (left, right) in [
        ("Readme", "readme"),
        ("cafe\u{301}", "caf\u{e9}"),
        ("a", "a/b"),
        ("A", "a/b"),
    ] {
        let bundle = resources(json!([entry(left), entry(right)]));
        assert_eq!(code(&bundle), "model.file_name", "{left} {right}");
    }
}

#[test]
fn d08_empty_and_endless_lists_are_refused() {
    assert_eq!(code(&resources(json!([]))), "model.file_count");
    let many: Vec<Value> = (0..65_537)
        .map(|n| json!({ "name": format!("f{n:06}"), "algorithm": "sha256", "digest": ZERO }))
        .collect();
    let found = code(&resources(json!(many)));
    assert_eq!(found, "model.file_count");
}

#[test]
fn d09_a_root_digest_that_does_not_fit_is_refused() {
    assert_eq!(
        code(&bundle_with(
            |statement| statement["subject"][0]["digest"]["sha256"] = json!(ZERO)
        )),
        "model.root_digest"
    );
    let other = "1".repeat(64);
    assert_eq!(
        code(&bundle_with(
            |statement| statement["predicate"]["resources"][1]["digest"] = json!(other)
        )),
        "model.root_digest"
    );
    for subjects in [
        json!([]),
        json!([{ "name": "a", "digest": { "sha256": ZERO } }, { "name": "b", "digest": { "sha256": ZERO } }]),
    ] {
        assert_eq!(
            code(&bundle_with(|statement| statement["subject"] = subjects)),
            "model.malformed"
        );
    }
}

#[test]
fn d14_confused_algorithms_are_refused() {
    for algorithm in ["blake2b", "blake3", "sha1", "SHA256", ""] {
        let bundle = bundle_with(|statement| statement["predicate"]["resources"][0]["algorithm"] = json!(algorithm));
        assert_eq!(code(&bundle), "model.digest_algorithm", "{algorithm}");
        let bundle = bundle_with(|statement| statement["predicate"]["serialization"]["hash_type"] = json!(algorithm));
        assert_eq!(code(&bundle), "model.digest_algorithm", "{algorithm}");
    }
}

#[test]
fn d14_digests_of_another_form_are_refused() {
    let upper = "ABCDEF0000000000000000000000000000000000000000000000000000000000";
    for digest in [
        "00",
        "",
        upper,
        &"0".repeat(63),
        &"0".repeat(128),
        &"g".repeat(64),
        &format!(" {}", "0".repeat(63)),
    ] {
        let bundle = bundle_with(|statement| statement["predicate"]["resources"][0]["digest"] = json!(digest));
        assert_eq!(code(&bundle), "model.digest_form", "{digest}");
        let bundle = bundle_with(|statement| statement["subject"][0]["digest"]["sha256"] = json!(digest));
        assert_eq!(code(&bundle), "model.digest_form", "{digest}");
    }
}

#[test]
fn d15_shards_are_refused() {
    let shards = |size: Value| {
        bundle_with(|statement| {
            statement["predicate"]["serialization"]["method"] = json!("shards");
            statement["predicate"]["serialization"]["shard_size"] = size;
            statement["predicate"]["resources"][0]["name"] = json!("config.json:0:2");
        })
    };
    assert_eq!(code(&shards(json!(1500))), "model.shards");
    assert_eq!(code(&shards(json!(1500.0))), "model.shards");
    let size_only = bundle_with(|statement| statement["predicate"]["serialization"]["shard_size"] = json!(1));
    assert_eq!(code(&size_only), "model.shards");
    let method = bundle_with(|statement| statement["predicate"]["serialization"]["method"] = json!("trees"));
    assert_eq!(code(&method), "model.malformed");
}

#[test]
fn d05_a_signature_that_follows_symbolic_links_is_refused() {
    let bundle = bundle_with(|statement| statement["predicate"]["serialization"]["allow_symlinks"] = json!(true));
    assert_eq!(code(&bundle), "model.symlinks");
}

//! The crate graph is the one that the documents show, and pure crates stay pure over their whole dependency tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use freehold_laws::root;

/// Pure crates: no I/O, no clock, nothing spawned. `channel` is rustls configuration, without a socket.
const PURE: &[&str] = &[
    "freehold-trust",
    "freehold-verify",
    "freehold-record",
    "freehold-supply",
    "freehold-audit",
    "freehold-explain",
    "freehold-decide",
    "freehold-network",
    "freehold-plan",
    "freehold-protocol",
    "freehold-fleet",
    "freehold-views",
];

/// What would make a crate impure: runtimes, HTTP clients and servers, databases, processes.
const IMPURE: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "reqwest",
    "hyper",
    "ureq",
    "curl",
    "sqlx",
    "rusqlite",
    "axum",
    "zbus",
    "tss-esapi",
    "async-io",
    "mio",
    "socket2",
];

/// Crates with effects that are libraries: they do not know each other, binaries wire them.
const EFFECTS: &[&str] = &[
    "freehold-record-files",
    "freehold-model-files",
    "freehold-collect",
    "freehold-seal",
    "freehold-sign",
    "freehold-inventory",
    "freehold-execute",
    "freehold-engine",
    "freehold-store",
];

fn metadata() -> cargo_metadata::Metadata {
    cargo_metadata::MetadataCommand::new()
        .current_dir(root())
        .other_options(vec!["--offline".into(), "--locked".into(), "--no-deps".into()])
        .exec()
        .expect("cargo metadata runs")
}

/// Package → its dependencies on our own crates (normal and build, not tests).
fn graph() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata();
    let names: Vec<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    metadata
        .packages
        .iter()
        .map(|package| {
            let mut dependencies: Vec<String> = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != cargo_metadata::DependencyKind::Development)
                .filter(|dependency| names.contains(&dependency.name))
                .map(|dependency| dependency.name.clone())
                .collect();
            dependencies.sort();
            (package.name.to_string(), dependencies)
        })
        .collect()
}

#[test]
fn the_crate_graph_is_the_golden_one() {
    let mut text = String::new();
    for (name, dependencies) in graph() {
        let _ = writeln!(text, "{name}: {}", dependencies.join(" "));
    }
    let golden = root().join("tests/laws/crate-graph.txt");
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    if text != expected {
        let seen = root().join("target/crate-graph.txt");
        std::fs::write(&seen, &text).expect("target is writable");
        panic!(
            "the crate graph changed; read {} and, when it is meant, copy it to {}",
            seen.display(),
            golden.display()
        );
    }
}

#[test]
fn pure_crates_have_nothing_impure_in_their_tree() {
    let mut faults = Vec::new();
    for name in PURE {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--locked",
                "-p",
                name,
                "-e",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ])
            .current_dir(root())
            // Whoever builds with unified features: the tree of one crate alone is asked for here.
            .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
            .output()
            .expect("cargo tree runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let dependency = line.split_whitespace().next().unwrap_or_default();
            if IMPURE.contains(&dependency) {
                faults.push(format!("{name} has {dependency} in its tree"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_trust_and_channel_import_cryptography() {
    let allowed = ["freehold-trust", "freehold-channel"];
    let cryptography = ["aws-lc-rs", "rustls-webpki", "sha2", "p256", "rsa", "ed25519-dalek"];
    let mut faults = Vec::new();
    for package in metadata().packages {
        if !PURE.contains(&package.name.as_str()) || allowed.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in &package.dependencies {
            if dependency.kind == cargo_metadata::DependencyKind::Normal
                && cryptography.contains(&dependency.name.as_str())
            {
                faults.push(format!("{} imports {}", package.name, dependency.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn crates_with_effects_do_not_know_each_other() {
    let mut faults = Vec::new();
    for (name, dependencies) in graph() {
        if EFFECTS.contains(&name.as_str()) {
            // Publishing hashes model folders with the same walker as the box: one check, not two.
            for dependency in dependencies.iter().filter(|d| EFFECTS.contains(&d.as_str())) {
                if (name.as_str(), dependency.as_str()) != ("freehold-sign", "freehold-model-files") {
                    faults.push(format!("{name} depends on {dependency}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_gateway_has_no_tpm_and_no_bus() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "freehold-gateway",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .expect("cargo tree runs");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let dependency = line.split_whitespace().next().unwrap_or_default();
        assert!(
            !["tss-esapi", "zbus", "zbus_systemd", "sqlx"].contains(&dependency),
            "the gateway links {dependency}"
        );
    }
}

/// The auditor's program has nothing of the server in it: no runtime, no HTTP, no TLS, no database, no TPM.
// promise S-248
#[test]
fn the_auditors_program_has_nothing_of_the_server() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "freehold-inspect",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let faults: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| {
            IMPURE.contains(name)
                || [
                    "tokio-rustls",
                    "axum-server",
                    "freehold-channel",
                    "freehold-console",
                    "freehold-store",
                ]
                .contains(name)
        })
        .map(str::to_owned)
        .collect();
    assert!(faults.is_empty(), "freehold-inspect links {faults:?}");
}

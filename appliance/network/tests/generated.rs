//! What is generated, against golden files, and judged by nft itself in a network namespace of its own.
//!
//! A changed golden file is written beside the old one in the target folder: read it, then copy it.

use std::path::{Path, PathBuf};
use std::process::Command;

use freehold_network::{NetworkRejection, NetworkSettings, closed, link, rules};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn settings(json: &str) -> NetworkSettings {
    let settings: NetworkSettings = serde_json::from_str(json).unwrap();
    settings.check().unwrap();
    settings
}

/// Name → settings.
fn cases() -> Vec<(&'static str, NetworkSettings)> {
    [
        (
            "static",
            r#"{"interface":"eth0","addressing":{"static":{"address":"192.0.2.20/24","router":"192.0.2.1"}},
                "console":{"address":"192.0.2.10","port":7443},"clients":["192.0.2.128/25","198.51.100.0/24"],"gateway_port":8443}"#,
        ),
        (
            "far-console",
            r#"{"interface":"eth0","addressing":{"static":{"address":"192.0.2.20/24","router":"192.0.2.1"}},
                "console":{"address":"203.0.113.5","port":7443},"clients":[],"gateway_port":8443}"#,
        ),
        (
            "dhcp",
            r#"{"interface":"enp1s0","addressing":"dhcp","console":{"address":"192.0.2.10","port":7443},
                "clients":["192.0.2.0/24","192.0.2.64/26"],"gateway_port":8443}"#,
        ),
        (
            "island",
            r#"{"interface":"eth0","addressing":{"static":{"address":"192.0.2.20/24"}},"clients":["192.0.2.0/24"],"gateway_port":8443}"#,
        ),
    ]
    .map(|(name, json)| (name, settings(json)))
    .into()
}

fn golden(path: &Path, text: &str) {
    if std::fs::read_to_string(path).unwrap_or_default() != text {
        let seen = folder("../../target").join(path.file_name().unwrap());
        std::fs::write(&seen, text).unwrap();
        panic!(
            "read {} and, when it is meant, copy it to {}",
            seen.display(),
            path.display()
        );
    }
}

#[test]
fn generated_files_are_the_golden_ones() {
    golden(&folder("../systemd/nftables/closed.nft"), &closed());
    for (name, settings) in cases() {
        golden(&folder(&format!("tests/golden/{name}.nft")), &rules(&settings));
        golden(&folder(&format!("tests/golden/{name}.network")), &link(&settings));
    }
}

#[test]
fn nft_takes_every_generated_file() {
    let world = tempfile::tempdir().unwrap();
    let all = cases()
        .into_iter()
        .map(|(name, settings)| (name, settings.interface.clone(), rules(&settings)))
        .chain([("closed", "eth0".to_owned(), closed())]);
    for (name, interface, text) in all {
        let file = world.path().join(name);
        std::fs::write(&file, text).unwrap();
        // A namespace of its own, which ends with the command: nothing of this machine's network is touched.
        let script = format!(
            "ip link add {interface} type veth peer name far && nft -c -f {0} && nft -f {0}",
            file.display()
        );
        let judged = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .output()
            .unwrap();
        assert!(
            judged.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&judged.stderr)
        );
    }
}

#[test]
fn settings_that_would_hold_nothing_are_refused_by_code() {
    let base =
        r#"{"interface":"eth0","addressing":{"static":{"address":"192.0.2.20/24"}},"clients":[],"gateway_port":8443}"#;
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(base).unwrap();
        change(&mut value);
        serde_json::from_value::<NetworkSettings>(value)
            .map_err(|error| error.to_string())
            .map(|settings| settings.check().map_err(|rejection| rejection.code()))
    };
    let codes = [
        ("settings.interface", with(&|v| v["interface"] = "lo".into())),
        ("settings.interface", with(&|v| v["interface"] = "eth0\"; drop".into())),
        ("settings.interface", with(&|v| v["interface"] = "".into())),
        (
            "settings.interface",
            with(&|v| v["interface"] = "a-name-that-is-too-long".into()),
        ),
        (
            "settings.subnet",
            with(&|v| v["clients"] = serde_json::json!(["0.0.0.0/1"])),
        ),
        (
            "settings.address",
            with(&|v| v["addressing"]["static"]["address"] = "127.0.0.1/8".into()),
        ),
        (
            "settings.address",
            with(&|v| v["console"] = serde_json::json!({"address":"224.0.0.1","port":1})),
        ),
        (
            "settings.router",
            with(&|v| v["addressing"]["static"]["router"] = "198.51.100.1".into()),
        ),
        (
            "settings.unreachable",
            with(&|v| v["console"] = serde_json::json!({"address":"198.51.100.9","port":1})),
        ),
        ("settings.port", with(&|v| v["gateway_port"] = 0.into())),
        (
            "settings.port",
            with(&|v| v["console"] = serde_json::json!({"address":"192.0.2.9","port":0})),
        ),
        (
            "settings.too_many",
            with(&|v| v["clients"] = (0..65).map(|n| format!("192.0.2.{n}/32")).collect::<Vec<_>>().into()),
        ),
    ];
    for (code, found) in codes {
        assert_eq!(found.unwrap(), Err(code));
        assert!(NetworkRejection::CODES.contains(&code));
    }
    assert_eq!(with(&|_| {}).unwrap(), Ok(()));
    // Not even a number or a field that nobody knows.
    for bad in [
        with(&|v| v["addressing"]["static"]["address"] = "192.0.2.20".into()),
        with(&|v| v["addressing"]["static"]["address"] = "192.0.2.20/33".into()),
        with(&|v| v["dns"] = "192.0.2.1".into()),
    ] {
        assert!(bad.is_err());
    }
}

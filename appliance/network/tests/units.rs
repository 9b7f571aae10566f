//! The unit files of the OS, judged by systemd's own tool.
//!
//! Skips, saying so, where systemd-analyze is not installed.

use std::path::Path;
use std::process::Command;

/// Exposure times ten that no service of ours may exceed.
const LIMIT: u32 = 15;

// promise S-84
#[test]
fn every_service_is_hardened_to_the_limit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/system");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: systemd-analyze is not here");
        return;
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "service") {
            continue;
        }
        let judged = Command::new("systemd-analyze")
            .args([
                "security",
                "--offline=true",
                "--no-pager",
                &format!("--threshold={LIMIT}"),
            ])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&judged.stdout).into_owned();
        let exposure = said.lines().find(|line| line.contains("exposure")).unwrap_or_default();
        println!("{exposure}");
        assert!(judged.status.success(), "{}: {said}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "{seen} services");
}

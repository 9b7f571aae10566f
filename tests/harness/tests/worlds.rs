//! The parts of a world do what they say: a TPM has its own root and counts its restarts.

use std::process::Command;

use freehold_harness::Swtpm;

#[test]
fn a_software_tpm_has_certificates_of_its_own_root_and_counts_its_restarts() {
    let world = tempfile::tempdir().unwrap();
    let mut tpm = Swtpm::start(world.path()).unwrap();
    assert!(tpm.authority().root_pem().unwrap().contains("BEGIN CERTIFICATE"));
    assert!(
        tpm.authority()
            .intermediate_pem()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    let count = |tpm: &Swtpm| {
        let output = Command::new("tpm2_readclock")
            .env("TPM2TOOLS_TCTI", tpm.tcti())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains("reset_count"))
            .unwrap_or_else(|| panic!("{text}"));
        line.split(':').nth(1).unwrap().trim().parse::<u32>().unwrap()
    };
    let before = count(&tpm);
    tpm.restart().unwrap();
    assert_eq!(count(&tpm), before + 1);
    let pid = tpm.pid().unwrap();
    drop(tpm);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

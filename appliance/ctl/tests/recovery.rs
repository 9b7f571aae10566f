//! `freehold recover` as two persons type it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use freehold_trust::PublicKey;
use freehold_verify::sealing::{Escrow, RecoveryKey};

fn freehold(folder: &Path, arguments: &[&str], typed: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_freehold"))
        .arg("recover")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn two_persons_recover_a_key_and_mistypings_are_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let mut persons = Vec::new();
    for name in ["ada", "grace", "mary"] {
        let (code, said, _) = freehold(folder, &["new-key", &format!("{name}.pem")], "");
        assert_eq!(code, 0, "{said}");
        let pem = std::fs::read_to_string(folder.join(format!("{name}.pub.pem"))).unwrap();
        persons.push((name.to_owned(), PublicKey::from_spki_pem(&pem).unwrap()));
        // Never overwritten.
        assert_eq!(freehold(folder, &["new-key", &format!("{name}.pem")], "").0, 2);
    }
    let key = RecoveryKey::from_random(*b"sixteen bytes!!!");
    let mut next = 0;
    let escrow = Escrow::seal("volume", &key, &persons, || {
        next += 1;
        [next; 16]
    })
    .unwrap();
    std::fs::write(folder.join("escrow.json"), escrow.to_json()).unwrap();
    let token = format!(
        "{{\"type\":\"freehold-recovery\",\"escrow\":{}}}",
        String::from_utf8(escrow.to_json()).unwrap()
    );
    std::fs::write(folder.join("token.json"), token).unwrap();

    let (code, said, _) = freehold(folder, &["show", "token.json"], "");
    assert!(code == 0 && said.contains("grace"), "{said}");
    let (_, ada, _) = freehold(
        folder,
        &["share", "escrow.json", "--key", "ada.pem", "--with", "mary"],
        "",
    );
    let (_, mary, _) = freehold(
        folder,
        &["share", "token.json", "--key", "mary.pem", "--with", "ada"],
        "",
    );
    let (code, said, _) = freehold(folder, &["combine", "escrow.json"], &format!("{ada}\n{mary}\n"));
    assert_eq!((code, said), (0, key.text()));

    let (code, _, said) = freehold(folder, &["share", "escrow.json", "--key", "ada.pem"], "");
    assert!(code == 1 && said.contains("seal.escrow_person"), "{said}");
    let (code, _, said) = freehold(folder, &["combine", "escrow.json"], &format!("{ada}\n{ada}\n"));
    assert!(code == 1 && said.contains("seal.escrow_shares"), "{said}");
    let swapped = if ada.starts_with('c') { "b" } else { "c" };
    let wrong = format!("{swapped}{}", &ada[1..]);
    let (code, _, said) = freehold(folder, &["combine", "escrow.json"], &format!("{wrong}\n{mary}\n"));
    assert!(
        code == 1 && said.contains("block 1") && said.contains("seal.recovery_block"),
        "{said}"
    );
}

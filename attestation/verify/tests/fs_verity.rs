//! The fs-verity digest against the tool of the kernel's own developers (Debian package `fsverity`).

use std::process::Command;

use freehold_verify::fs_verity::{BLOCK, FsVerity};

/// Bytes that no two blocks have in common.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at / 7) ^ (at >> 11) ^ at) as u8).collect()
}

fn digest(parts: &[&[u8]]) -> String {
    let mut verity = FsVerity::new();
    for part in parts {
        verity.update(part);
    }
    verity.finish().to_hex()
}

// promise S-85
#[test]
fn the_fs_verity_digest_is_the_one_of_the_kernels_own_tool() {
    if Command::new("fsverity").arg("--version").output().is_err() {
        println!("skipped: fsverity is not installed");
        return;
    }
    let world = tempfile::tempdir().unwrap();
    let path = world.path().join("file");
    // Around every place where a block, a level of the tree or two of them become full.
    let full = 128 * BLOCK;
    for length in [
        0,
        1,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        2 * BLOCK,
        full - 1,
        full,
        full + 1,
        full + BLOCK,
        2 * full,
        128 * full,
        128 * full + 1,
    ] {
        let bytes = bytes(length);
        std::fs::write(&path, &bytes).unwrap();
        let judge = Command::new("fsverity")
            .args(["digest", "--compact", "--hash-alg=sha256", "--block-size=4096"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(judge.status.success(), "{}", String::from_utf8_lossy(&judge.stderr));
        let wanted = String::from_utf8(judge.stdout).unwrap();
        assert_eq!(digest(&[&bytes]), wanted.trim(), "{length} bytes");
    }
}

#[test]
fn the_digest_does_not_depend_on_how_the_bytes_come() {
    let bytes = bytes(3 * BLOCK + 17);
    let whole = digest(&[&bytes]);
    for cut in [1, 17, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5] {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(digest(&[first, second]), whole, "{cut}");
        let parts: Vec<&[u8]> = bytes.chunks(cut).collect();
        assert_eq!(digest(&parts), whole, "chunks of {cut}");
    }
}

#[test]
fn every_changed_byte_changes_the_digest() {
    let bytes = bytes(2 * BLOCK + 1);
    let whole = digest(&[&bytes]);
    for at in [0, BLOCK - 1, BLOCK, 2 * BLOCK] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert_ne!(digest(&[&other]), whole, "{at}");
    }
    assert_ne!(digest(&[&bytes, &[0]]), whole, "a zero at the end counts by the length");
}

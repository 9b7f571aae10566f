//! The laws of the repository, as tests under `tests/`: what keeps the shape that the documents promise.
//!
//! Refuses to keep lists by hand where they can be derived from cargo, git or the sources themselves.

pub mod cases;
pub mod mutants;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is there")
}

/// The files that git tracks or would track (untracked and not ignored), relative to the root, sorted.
#[must_use]
pub fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files failed");
    let mut files: Vec<String> = String::from_utf8(output.stdout)
        .expect("UTF-8 names")
        .lines()
        .map(str::to_owned)
        .collect();
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    files
}

/// The Rust sources, relative to the root.
#[must_use]
pub fn sources() -> Vec<String> {
    files().into_iter().filter(|file| file.ends_with(".rs")).collect()
}

/// The text of a file of the repository; bytes that are not UTF-8 are replaced.
#[must_use]
pub fn text(file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
        .into_owned()
}

/// Refusal codes that the crates declare in their `CODES` constants.
#[must_use]
pub fn declared_codes() -> Vec<String> {
    let mut codes = Vec::new();
    for file in sources() {
        let text = text(&file);
        let mut rest = text.as_str();
        while let Some(start) = rest.find("const CODES") {
            rest = &rest[start..];
            let end = rest.find("];").unwrap_or(rest.len());
            // The odd parts between quotation marks are the codes.
            for code in rest[..end].split('"').skip(1).step_by(2) {
                if code.contains('.')
                    && code
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c == '.' || c == '_' || c.is_ascii_digit())
                {
                    codes.push(code.to_owned());
                }
            }
            rest = &rest[end..];
        }
    }
    codes.sort();
    codes.dedup();
    codes
}

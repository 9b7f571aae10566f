//! The names of time zones that this machine knows.
//!
//! Refuses links that lead out of the folder, and folders deeper than three. Invariant: a name in the list is a file that
//! begins as a time zone file does (RFC 9636, `TZif`).

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Names that are read; bounds a folder made to fill memory. There are some 600.
const MOST: usize = 4096;

/// Names such as `Europe/Berlin`, sorted; empty when there is no such folder.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(folder, "", 3, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, before: &str, deep: usize, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.take(MOST).flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let (path, full) = (entry.path(), format!("{before}{name}"));
        if found.len() >= MOST || matches!(name.as_str(), "right" | "posix") {
            continue;
        }
        if path.is_dir() {
            if deep > 1 {
                walk(&path, &format!("{full}/"), deep - 1, found);
            }
        } else {
            let mut head = [0; 4];
            if File::open(&path)
                .and_then(|mut file| file.read_exact(&mut head))
                .is_ok()
                && &head == b"TZif"
            {
                found.push(full);
            }
        }
    }
}

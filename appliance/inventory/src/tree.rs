//! Reads small files below a root.
//!
//! Refuses files larger than 256 KiB and folders of more than 4,096 names. Invariant: a path in an answer is the path below
//! the root, so that two machines' inventories can be compared.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::reading::Reading;

/// Bytes read of one file; bounds a file that never ends. `/proc/cpuinfo` of one processor has 2 KiB; only the first counts.
const FILE_LIMIT: u64 = 256 * 1024;
/// Bytes read of the list of PCI ids; bounds a list made to fill memory.
const LIST_LIMIT: u64 = 8 * 1024 * 1024;
/// Names read of one folder; bounds a folder made to fill memory. The largest machines have some hundred PCI devices.
const NAMES_LIMIT: usize = 4096;

/// A file system, or a folder that was recorded from one.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn below(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file without surrounding white space.
    pub(crate) fn text(&self, path: &str) -> Reading<String> {
        let mut bytes = Vec::new();
        match File::open(self.below(path)).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes)) {
            Ok(_) => {
                let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                if text.is_empty() {
                    Reading::missing(format!("{path} is empty"))
                } else {
                    Reading::of(text, path)
                }
            }
            Err(error) => Reading::missing(format!("{path}: {}", plain(&error))),
        }
    }

    /// The text of the list of PCI ids, which is larger than the other files (1.5 MB in 2026).
    pub(crate) fn large_text(&self, path: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.below(path))
            .ok()?
            .take(LIST_LIMIT)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(bytes)
    }

    /// A decimal number.
    pub(crate) fn number(&self, path: &str) -> Reading<u64> {
        self.text(path).then("a number", |text| text.parse().ok())
    }

    /// A number as the kernel writes PCI ids, `0x10de`.
    pub(crate) fn hex(&self, path: &str) -> Reading<u32> {
        self.text(path).then("a hexadecimal number", |text| {
            u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
        })
    }

    /// The names in a folder, sorted; empty when there is no such folder.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.below(path)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .take(NAMES_LIMIT)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.below(path).exists()
    }

    /// The last part of where a symbolic link leads; the link itself need not lead anywhere here.
    pub(crate) fn link_name(&self, path: &str) -> Reading<String> {
        match std::fs::read_link(self.below(path)) {
            Ok(target) => match target.file_name().and_then(|name| name.to_str()) {
                Some(name) => Reading::of(name.to_owned(), path),
                None => Reading::missing(format!("{path} leads to no name")),
            },
            Err(error) => Reading::missing(format!("{path}: {}", plain(&error))),
        }
    }
}

/// The error in words, without the number of the operating system.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "not there".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        kind => kind.to_string(),
    }
}

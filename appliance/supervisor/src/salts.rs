//! The salts of commitments: one line a request, in a file a day, apart from the record.
//!
//! Refuses to put them anywhere else. Invariant: deleting a line, or a day, takes away only the power to show what was said; the
//! record and every proof stay as they are.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

/// Folder below the state.
const FOLDER: &str = "salts";

/// Where salts are kept.
#[derive(Debug, Clone)]
pub(crate) struct Salts(PathBuf);

impl Salts {
    /// Below the state folder.
    pub(crate) fn below(state: &Path) -> Self {
        Self(state.join(FOLDER))
    }

    /// Keeps the salt of a request. One that cannot be kept is gone: the commitment then stands for nothing that can be shown.
    pub(crate) fn keep(&self, request: &str, salt: &str) {
        if let Err(error) = self.written(request, salt) {
            tracing::warn!(%error, "the salt of a request could not be kept");
        }
    }

    fn written(&self, request: &str, salt: &str) -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let day = OffsetDateTime::now_utc().date();
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.0.join(format!("{day}.jsonl")))?;
        let line = serde_json::json!({"request": request, "salt": salt});
        file.write_all(format!("{line}\n").as_bytes())
    }
}

/// Forgets the salt of a request: nobody can show any more what was asked and answered. Answers whether there was one.
///
/// # Errors
/// When a file of salts cannot be read or written.
pub fn forget(state: &Path, request: &str) -> std::io::Result<bool> {
    let folder = state.join(FOLDER);
    let mut found = false;
    let names = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        names => names?,
    };
    for name in names {
        let path = name?.path();
        let text = fs::read_to_string(&path)?;
        let is_it = |line: &&str| {
            serde_json::from_str::<serde_json::Value>(line)
                .is_ok_and(|value| value.get("request").and_then(serde_json::Value::as_str) == Some(request))
        };
        let kept: String = text
            .lines()
            .filter(|line| !is_it(line))
            .map(|line| format!("{line}\n"))
            .collect();
        if kept.len() != text.len() {
            found = true;
            freehold_execute::write_atomic(&path, kept.as_bytes(), 0o600).map_err(std::io::Error::other)?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use freehold_record::{Entry, commitment};

    use super::*;

    #[test]
    fn i09_a_forgotten_salt_leaves_the_commitment_and_takes_the_power_to_show_it() {
        let state = tempfile::tempdir().unwrap();
        let salts = Salts::below(state.path());
        salts.keep("r-1", &"11".repeat(32));
        salts.keep("r-2", &"22".repeat(32));
        let entry = Entry::new(0, "client:a", "request.answered")
            .with("prompt_commitment", commitment(&[0x11; 32], b"what is it?"))
            .encode()
            .unwrap();
        assert!(forget(state.path(), "r-1").unwrap());
        assert!(!forget(state.path(), "r-1").unwrap());
        assert!(!forget(&state.path().join("nowhere"), "r-1").unwrap());
        let file = fs::read_dir(state.path().join("salts"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let left = fs::read_to_string(&file).unwrap();
        assert!(!left.contains("r-1") && left.contains("r-2"), "{left}");
        // The entry, and so every proof about it, is what it was.
        let again = Entry::new(0, "client:a", "request.answered")
            .with("prompt_commitment", commitment(&[0x11; 32], b"what is it?"))
            .encode()
            .unwrap();
        assert_eq!(entry, again);
    }
}

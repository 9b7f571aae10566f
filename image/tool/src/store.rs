//! Puts checked files into the Nix store under the paths that the flake computes from the lock.
//!
//! Refuses to hand over a file that was not hashed just before. Invariant: a path in the store is named by its content, so
//! a wrong file gets another path and is never read.

use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// Files of one `nix-store` call: bounds the command line.
const BATCH: usize = 100;

/// Why a file is not in the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file or folder failed.
    #[error("`{path}` cannot be put aside for the store")]
    Io {
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// `nix-store` is not there or failed.
    #[error("`nix-store` failed: {message}")]
    Nix {
        /// Its last words.
        message: String,
    },
}

/// A file's name as the store allows it: letters, digits and `+-._?=`. The flake maps names in the same way.
pub fn store_name(file: &str) -> String {
    file.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "+-._?=".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// Adds files under their store names.
pub fn add_files(files: &[PathBuf], progress: &dyn Fn(u64)) -> Result<(), StoreError> {
    let mut done = 0u64;
    for batch in files.chunks(BATCH) {
        let aside = tempfile::tempdir().map_err(wrap(Path::new("a temporary folder")))?;
        let mut command = Command::new("nix-store");
        command.args(["--add-fixed", "sha256"]);
        for file in batch {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let link = aside.path().join(store_name(&name));
            std::fs::hard_link(file, &link)
                .or_else(|_| std::fs::copy(file, &link).map(drop))
                .map_err(wrap(file))?;
            command.arg(link);
        }
        run(&mut command)?;
        done = done.saturating_add(batch.len() as u64);
        progress(done);
    }
    Ok(())
}

/// Adds a folder under its own name and answers its store path.
pub fn add_folder(folder: &Path) -> Result<String, StoreError> {
    run(Command::new("nix-store")
        .args(["--add-fixed", "--recursive", "sha256"])
        .arg(folder))
}

fn wrap(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

fn run(command: &mut Command) -> Result<String, StoreError> {
    let output = command.output().map_err(|error| StoreError::Nix {
        message: error.to_string(),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(StoreError::Nix {
        message: said.lines().last().unwrap_or("no message").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_as_the_flake_maps_them() {
        assert_eq!(store_name("x_1.2~3+b1%3a_amd64.deb"), "x_1.2_3+b1_3a_amd64.deb");
    }
}

//! Where packages come from: the bases that this machine's own apt is configured with.
//!
//! Refuses to know any host by itself. Invariant: the answer is read from apt at run time and stored nowhere.

use std::process::Command;
use thiserror::Error;

/// Why no base could be found.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// `apt-get` cannot be started.
    #[error("`apt-get` cannot be run")]
    NoApt(#[source] std::io::Error),
    /// `apt-get` ended with an error.
    #[error("`apt-get update --print-uris` failed: {message}")]
    Failed {
        /// Its last words.
        message: String,
    },
    /// apt has no Debian archive configured.
    #[error("apt on this machine has no archive configured")]
    None,
}

/// The archive bases of apt's configuration, without a slash at the end; security archives last, since a suite's own packages
/// lie in the main one.
pub fn configured_bases() -> Result<Vec<String>, MirrorError> {
    // An empty lists folder makes apt name every release file, whatever was fetched before.
    let lists = tempfile::tempdir().map_err(MirrorError::NoApt)?;
    let output = Command::new("apt-get")
        .args(["update", "--print-uris", "-o"])
        .arg(format!("Dir::State::lists={}", lists.path().display()))
        .output()
        .map_err(MirrorError::NoApt)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        return Err(MirrorError::Failed { message });
    }
    let bases = bases_in(&String::from_utf8_lossy(&output.stdout));
    if bases.is_empty() {
        Err(MirrorError::None)
    } else {
        Ok(bases)
    }
}

/// Reads `'BASE/dists/SUITE/InRelease' name size hash` lines.
fn bases_in(listing: &str) -> Vec<String> {
    let mut bases: Vec<String> = Vec::new();
    for line in listing.lines() {
        let Some(uri) = line.split('\'').nth(1) else { continue };
        let Some((base, rest)) = uri.split_once("/dists/") else {
            continue;
        };
        if rest.ends_with("/InRelease") && !bases.iter().any(|known| known == base) {
            bases.push(base.to_owned());
        }
    }
    bases.sort_by_key(|base| base.contains("security"));
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_read_from_what_apt_prints() {
        let listing = "'http://a.invalid/debian-security/dists/x/InRelease' n 0 \n\
                       'http://a.invalid/debian/dists/x/InRelease' n 0 \n\
                       'http://a.invalid/debian/dists/y/InRelease' n 0 \n\
                       'http://a.invalid/debian/dists/x/main/binary-amd64/Packages.xz' n 0 \n";
        assert_eq!(
            bases_in(listing),
            ["http://a.invalid/debian", "http://a.invalid/debian-security"]
        );
        assert!(bases_in("E: nothing").is_empty());
    }
}

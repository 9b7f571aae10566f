//! What `freehold` remembers of a console: where it is, what it is pinned to, the session, the boxes' tokens.
//!
//! Refuses to leave it readable for others: the file has mode 0600. Invariant: written whole or not at all.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::answer::Fault;

/// A remembered console.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Format version, 1.
    pub v: u32,
    /// `https://ADDRESS:PORT` of the people's port.
    pub url: String,
    /// SHA-256 of the fleet CA certificate, hex.
    pub fleet_ca: String,
    /// The session's token.
    pub session: String,
    /// API tokens of boxes by box id, for `freehold ask`.
    #[serde(default)]
    pub tokens: BTreeMap<String, String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// `$XDG_CONFIG_HOME/freehold/console.json`, or the same under `~/.config`.
pub fn default_path() -> PathBuf {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
        .unwrap_or_else(|| PathBuf::from("."));
    base.join("freehold/console.json")
}

impl Profile {
    /// Reads the profile, or says how to make one.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let bytes = std::fs::read(path).map_err(|error| {
            Fault::could_not_tell(
                format!("no console is known: `{}`: {error}", path.display()),
                "freehold console login --url https://ADDRESS:PORT --fleet-ca FINGERPRINT",
            )
        })?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Writes the profile with mode 0600.
    pub fn save(&self, path: &Path) -> Result<(), Fault> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = path.with_extension("new");
        let _ = std::fs::remove_file(&temporary);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        Ok(())
    }
}

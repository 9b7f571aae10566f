//! The repository of signed releases as the console holds it: versions, expiry, keys, revocations.
//!
//! Refuses to suggest that the console could sign a release: the keys are offline. Invariant: expiry is shown with its date.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fault, Shell};

/// `GET /releases`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReleasesPage {
    /// The frame.
    pub shell: Shell,
    /// Why the repository is not good, when it is not.
    pub faults: Vec<Fault>,
    /// The TUF roles, `root` first.
    pub roles: Vec<Role>,
    /// The targets, by name.
    pub targets: Vec<Target>,
    /// Revocations, newest first.
    pub revocations: Vec<Revocation>,
    /// SHA-256 of the first root metadata, hex: what boxes are paired with.
    pub first_root: String,
    /// The command that publishes a release, shown when there is none.
    pub publish_command: String,
}

/// One role of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Role {
    /// `root`, `targets`, `snapshot`, `timestamp` or a delegated role.
    pub name: String,
    /// Version of its metadata.
    pub version: u64,
    /// When it expires, unix seconds.
    pub expires: i64,
    /// Signatures needed.
    pub threshold: u32,
    /// Fingerprints of its keys, hex.
    pub keys: Vec<String>,
    /// Where the keys are: `offline` or `this console`.
    pub custody: String,
}

/// One signed target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Target {
    /// Its name, for example `models/guide/1.0.0/release.json`.
    pub name: String,
    /// `os`, `engine`, `model`, `policy`, `revocations`, or empty for a file of one of these.
    pub kind: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// The console has its bytes.
    pub here: bool,
    /// It is revoked.
    pub revoked: bool,
}

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revocation {
    /// What: a target name or a digest.
    pub what: String,
    /// Why.
    pub reason: String,
    /// When, unix seconds.
    pub at: Option<i64>,
}

#[derive(Template)]
#[template(path = "releases.html")]
struct Whole<'a> {
    m: &'a ReleasesPage,
    shell: &'a Shell,
}

impl ReleasesPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}

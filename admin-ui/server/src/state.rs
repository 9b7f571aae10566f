//! The state folder: where things lie, and who may read them.
//!
//! Refuses a key file that others may read, and a folder that is not a console's. Invariant: private keys are written once,
//! mode 0600, and never rewritten.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use freehold_channel::{FleetAuthority, ServerCertificate};
use freehold_fleet::{Rules, TpmKind};
use freehold_trust::SigningKey;
use serde::{Deserialize, Serialize};

/// Version of the folder's layout.
pub const LAYOUT: u32 = 1;

/// A root certificate for endorsement keys, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EkRoot {
    /// The certificate, PEM.
    pub pem: String,
    /// What chains to it.
    pub kind: TpmKind,
}

/// `console.json`: what was fixed when the fleet was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleFile {
    /// [`LAYOUT`].
    pub v: u32,
    /// The fleet's identifier.
    pub fleet: String,
    /// The fleet's name, for people.
    pub name: String,
    /// The site.
    pub site: String,
    /// When it was made, Unix seconds.
    pub made_at: i64,
    /// Its numbers.
    pub rules: Rules,
    /// Roots of endorsement keys.
    pub ek_roots: Vec<EkRoot>,
}

/// The folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFault {
    /// A file could not be read or written.
    #[error("`{path}` cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else may read a key.
    #[error("`{path}` may be read by others (mode {mode:o}); hint: chmod 600")]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file is not what it should be.
    #[error("`{path}` is not {what}")]
    Form {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The folder holds a console already.
    #[error("`{0}` holds a console already")]
    Taken(PathBuf),
}

/// The keys of a running console.
pub struct Keys {
    /// Issues certificates for ports and boxes.
    pub fleet_ca: FleetAuthority,
    /// Signs assignments and the time.
    pub director: SigningKey,
    /// Signs the TUF timestamp.
    pub timestamp: SigningKey,
    /// Signs the record's checkpoints.
    pub record: SigningKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// A state folder.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Names a folder; touches nothing.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// A path below the folder.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    /// Makes the folder and its parts, mode 0700.
    ///
    /// # Errors
    /// When it holds a console already or cannot be made.
    pub fn create(&self) -> Result<(), StateFault> {
        if self.path("console.json").exists() {
            return Err(StateFault::Taken(self.0.clone()));
        }
        for part in [
            "",
            "keys",
            "record",
            "repository",
            "repository/metadata",
            "repository/targets",
        ] {
            let path = self.path(part);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(file(&path))?;
        }
        let public = self.path("public");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&public)
            .map_err(file(&public))
    }

    /// Reads `console.json`.
    ///
    /// # Errors
    /// When it cannot be read or is of another layout.
    pub fn console(&self) -> Result<ConsoleFile, StateFault> {
        let path = self.path("console.json");
        let text = fs::read(&path).map_err(file(&path))?;
        let console: ConsoleFile = serde_json::from_slice(&text).map_err(|_| StateFault::Form {
            path: path.clone(),
            what: "a console's",
        })?;
        if console.v != LAYOUT {
            return Err(StateFault::Form {
                path,
                what: "of a layout that this program knows",
            });
        }
        Ok(console)
    }

    /// Writes a new private file, mode 0600; an existing one is an error.
    ///
    /// # Errors
    /// When the file is there or cannot be written.
    pub fn write_secret(&self, below: &str, text: &[u8]) -> Result<(), StateFault> {
        write_new_secret(&self.path(below), text)
    }

    /// Writes a file whole: beside it, synced, then renamed over it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn replace(&self, below: &str, bytes: &[u8]) -> Result<(), StateFault> {
        replace(&self.path(below), bytes)
    }

    /// Reads a private file that nobody else may read.
    ///
    /// # Errors
    /// When it cannot be read, or others may.
    pub fn secret(&self, below: &str) -> Result<String, StateFault> {
        self.read_secret(below)
    }

    fn read_secret(&self, below: &str) -> Result<String, StateFault> {
        let path = self.path(below);
        let mode = fs::metadata(&path).map_err(file(&path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StateFault::Open { path, mode });
        }
        fs::read_to_string(&path).map_err(file(&path))
    }

    fn key(&self, name: &str) -> Result<SigningKey, StateFault> {
        let below = format!("keys/{name}.pem");
        SigningKey::from_pkcs8_pem(&self.read_secret(&below)?).map_err(|_| StateFault::Form {
            path: self.path(&below),
            what: "a private key",
        })
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// When one is missing, readable by others, or not a key.
    pub fn keys(&self) -> Result<Keys, StateFault> {
        let certificate = self.path("public/fleet-ca.pem");
        let text = fs::read_to_string(&certificate).map_err(file(&certificate))?;
        let fleet_ca =
            FleetAuthority::from_pem(&text, &self.read_secret("keys/fleet-ca.pem")?).map_err(|_| StateFault::Form {
                path: certificate,
                what: "the certificate of keys/fleet-ca.pem",
            })?;
        Ok(Keys {
            fleet_ca,
            director: self.key("director")?,
            timestamp: self.key("timestamp")?,
            record: self.key("record")?,
        })
    }

    /// The key that codes of authenticator apps are derived from; made when there is none yet, as in a folder of the version
    /// before.
    ///
    /// # Errors
    /// When it cannot be read or written, or is readable by others.
    pub fn codes_key(&self) -> Result<Vec<u8>, StateFault> {
        const BELOW: &str = "keys/codes.key";
        if !self.path(BELOW).exists() {
            let key = crate::random::hex::<32>().map_err(|_| StateFault::Form {
                path: self.path(BELOW),
                what: "made without randomness",
            })?;
            self.write_secret(BELOW, key.as_bytes())?;
        }
        let text = self.read_secret(BELOW)?;
        let key = hex::decode(text.trim()).unwrap_or_default();
        if key.len() != 32 {
            return Err(StateFault::Form {
                path: self.path(BELOW),
                what: "a key of 32 bytes in hex",
            });
        }
        Ok(key)
    }

    /// The server key and certificate of the last run, so that people need not trust a new key each time.
    #[must_use]
    pub fn server_certificate(&self) -> Option<ServerCertificate> {
        let chain = fs::read_to_string(self.path("server.pem")).ok()?;
        ServerCertificate::from_pem(&chain, &self.read_secret("keys/server.pem").ok()?).ok()
    }
}

/// Writes a new private file, mode 0600; an existing one is an error.
///
/// # Errors
/// When the file is there or cannot be written.
pub fn write_new_secret(path: &Path, text: &[u8]) -> Result<(), StateFault> {
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(file(path))?;
    opened
        .write_all(text)
        .and_then(|()| opened.sync_all())
        .map_err(file(path))
}

/// Writes a file whole: beside it, synced, then renamed over it; mode 0600.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateFault> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(file(&beside))?;
    opened
        .write_all(bytes)
        .and_then(|()| opened.sync_all())
        .map_err(file(&beside))?;
    fs::rename(&beside, path).map_err(file(path))?;
    if let Some(parent) = path.parent() {
        fs::File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(file(parent))?;
    }
    Ok(())
}

pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> StateFault {
    let path = path.to_owned();
    move |source| StateFault::File { path, source }
}

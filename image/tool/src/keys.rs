//! The keys of an image: Secure Boot (PK, KEK, db) and the PCR policy.
//!
//! Refuses keys that others may read, and never prints one. Invariant: they lie outside the repository and the Nix store,
//! mode 0600; a set that was made here is a development set and says so.

use crate::toolbox::{ToolFailed, Toolbox};
use freehold_trust::{KeyKind, SigningKey};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Secure Boot's variables, each with a certificate of its own.
pub const SECURE_BOOT: [&str; 3] = ["PK", "KEK", "db"];
/// What a set that was made here is marked with.
const DEVELOPMENT: &str = "development";
/// The PCR-policy key and its public half.
const PCR_KEY: &str = "pcr.key";
const PCR_PUBLIC: &str = "pcr.pub";

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("`{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Others may read a private key.
    #[error("`{path}` may be read by others (mode {mode:o})")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// OpenSSL could not make one.
    #[error("a key cannot be made")]
    Tool(#[from] ToolFailed),
    /// Not a key that we can use.
    #[error("the pcr-policy key cannot be used")]
    Key(#[from] freehold_trust::signing::SigningKeyError),
}

/// Makes a development set where the folder is empty. Answers whether it made one.
pub fn make_where_missing(tools: &Toolbox) -> Result<bool, KeysError> {
    let folder = &tools.keys;
    let made = !folder.join(PCR_KEY).exists();
    if made {
        for name in SECURE_BOOT {
            let subject = format!("/CN=Freehold development {name}/");
            let (key, certificate) = (format!("/made/{name}.key"), format!("/made/{name}.pem"));
            tools.run(&[
                "openssl",
                "req",
                "-new",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-sha256",
                "-days",
                "3650",
                "-subj",
                &subject,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ])?;
            for ending in ["key", "pem"] {
                let file = format!("{name}.{ending}");
                let from = tools.work.join(&file);
                let bytes = std::fs::read(&from).map_err(failed(&from))?;
                write_secret(&folder.join(&file), &bytes)?;
                std::fs::remove_file(&from).map_err(failed(&from))?;
            }
        }
        let key = SigningKey::generate(KeyKind::P256)?;
        write_secret(&folder.join(PCR_PUBLIC), key.public().to_spki_pem().as_bytes())?;
        write_secret(&folder.join(DEVELOPMENT), b"made on this machine for development\n")?;
        write_secret(&folder.join(PCR_KEY), key.to_pkcs8_pem()?.as_bytes())?;
    }
    for name in SECURE_BOOT
        .map(|name| format!("{name}.key"))
        .iter()
        .map(String::as_str)
        .chain([PCR_KEY])
    {
        let path = folder.join(name);
        let mode = std::fs::metadata(&path).map_err(failed(&path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeysError::Open { path, mode });
        }
    }
    Ok(made)
}

/// Whether the set was made for development.
pub fn development(folder: &Path) -> bool {
    folder.join(DEVELOPMENT).exists()
}

/// The PCR-policy key.
pub fn pcr_key(folder: &Path) -> Result<SigningKey, KeysError> {
    let path = folder.join(PCR_KEY);
    let pem = std::fs::read_to_string(&path).map_err(failed(&path))?;
    Ok(SigningKey::from_pkcs8_pem(&pem)?)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> KeysError {
    let path = path.to_owned();
    move |source| KeysError::Io { path, source }
}

fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), KeysError> {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed(path))?;
    file.write_all(bytes).map_err(failed(path))
}

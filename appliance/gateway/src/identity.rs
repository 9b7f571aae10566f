//! The gateway's own key and certificate, and the file that says where and as whom it listens.
//!
//! Refuses to use a key file that others may read. Invariant: the key is made here, never leaves its folder, and is not the
//! TPM's: that one speaks to the console only.

use freehold_channel::{
    ChannelFault, Clock, Protocols, ServerCertificate, TlsIdentity, people_server_config, self_signed_server,
};
use freehold_trust::Sha256Digest;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use time::OffsetDateTime;

/// Clients know the key by its fingerprint; the certificate outlives a box's hardware so that dates never matter first.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const KEY: &str = "gateway.key.pem";
const CERTIFICATE: &str = "gateway.cert.pem";
const ADDRESS: &str = "address.json";

/// Why the gateway has no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("`{path}` cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The key file is open to others.
    #[error("`{path}` may be read by others (mode {mode:o})")]
    KeyOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key or certificate cannot be made or read.
    #[error("the gateway's key or certificate cannot be used")]
    Channel(#[from] ChannelFault),
}

/// A key, its certificate, and the folder they are in.
pub struct Identity {
    folder: PathBuf,
    certificate: ServerCertificate,
}

#[derive(Serialize)]
struct Address<'a> {
    v: u32,
    url: &'a str,
    spki: Sha256Digest,
    certificate: &'a str,
}

impl Identity {
    /// Reads the key of a state folder, or makes one with a certificate for `names`.
    pub fn load_or_make(folder: &Path, names: &[String]) -> Result<Self, IdentityError> {
        let wrap = |path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(wrap(folder))?;
        let (key, chain) = (folder.join(KEY), folder.join(CERTIFICATE));
        let certificate = if key.exists() && chain.exists() {
            let mode = std::fs::metadata(&key).map_err(wrap(&key))?.mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(IdentityError::KeyOpen { path: key, mode });
            }
            let chain_pem = std::fs::read_to_string(&chain).map_err(wrap(&chain))?;
            let key_pem = std::fs::read_to_string(&key).map_err(wrap(&key))?;
            ServerCertificate::from_pem(&chain_pem, &key_pem)?
        } else {
            let made = self_signed_server(names, OffsetDateTime::now_utc(), LIFETIME)?;
            write(&key, made.key_pem().as_bytes(), 0o600).map_err(wrap(&key))?;
            write(&chain, made.chain_pem().as_bytes(), 0o644).map_err(wrap(&chain))?;
            made
        };
        Ok(Self {
            folder: folder.to_owned(),
            certificate,
        })
    }

    /// SHA-256 of the key's SPKI: what clients compare.
    pub fn fingerprint(&self) -> Sha256Digest {
        self.certificate.spki()
    }

    /// TLS 1.3 with this key, HTTP/1.1.
    pub fn tls(&self) -> Result<Arc<rustls::ServerConfig>, IdentityError> {
        let clock = Clock::new(|| OffsetDateTime::now_utc().unix_timestamp());
        Ok(people_server_config(
            TlsIdentity::of_server(&self.certificate)?,
            Protocols::Http1,
            &clock,
        )?)
    }

    /// Writes `address.json`: where the gateway listens and as whom.
    pub fn publish(&self, address: SocketAddr) -> Result<(), IdentityError> {
        let path = self.folder.join(ADDRESS);
        let certificate = self.folder.join(CERTIFICATE);
        let statement = Address {
            v: 1,
            url: &format!("https://{address}"),
            spki: self.fingerprint(),
            certificate: &certificate.to_string_lossy(),
        };
        let json = serde_json::to_vec_pretty(&statement).unwrap_or_default();
        write(&path, &json, 0o644).map_err(|source| IdentityError::Io { path, source })
    }
}

/// Whole or not at all, with its mode from the first byte on.
fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let _ = std::fs::remove_file(&beside);
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_closed_to_others_and_refused_when_opened() {
        let world = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned()];
        let made = Identity::load_or_make(world.path(), &names).unwrap();
        let key = world.path().join(KEY);
        assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        let read = Identity::load_or_make(world.path(), &names).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert!(read.tls().is_ok());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Identity::load_or_make(world.path(), &names),
            Err(IdentityError::KeyOpen { mode: 0o644, .. })
        ));
    }
}

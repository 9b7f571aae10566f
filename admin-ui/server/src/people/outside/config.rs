//! The file that names the identity provider: `outside.json` in the state folder.
//!
//! Refuses unknown fields and addresses without TLS. Invariant: the provider's certificate is checked against roots that the
//! file names, never against whatever the machine trusts.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::state::StateDir;

/// The file.
const FILE: &str = "outside.json";

/// The provider could not be asked, or its file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutsideFault {
    /// The file.
    #[error("`{path}` cannot be used: {detail}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// No connection, or it broke.
    #[error("`{url}` does not answer: {detail}")]
    Away {
        /// Where.
        url: String,
        /// Why.
        detail: String,
    },
    /// An answer that is not one.
    #[error("`{url}` answered with {detail}")]
    Answer {
        /// Where.
        url: String,
        /// What.
        detail: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u32,
    name: String,
    issuer: String,
    client_id: String,
    #[serde(default)]
    client_secret_file: Option<PathBuf>,
    roots: PathBuf,
    #[serde(default)]
    name_claim: Option<String>,
}

/// An identity provider.
pub struct Outside {
    /// What people call it.
    pub name: String,
    /// Its issuer, exactly.
    pub issuer: String,
    /// This console's name there.
    pub client_id: String,
    /// The claim that names the account.
    pub name_claim: String,
    pub(super) client_secret: Option<String>,
    pub(super) roots: RootCertStore,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl Outside {
    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    /// [`OutsideFault::File`] for a file that cannot be used: a console does not start without the provider it should have.
    pub fn open(dir: &StateDir) -> Result<Option<Self>, OutsideFault> {
        let path = dir.path(FILE);
        let fault = |path: &PathBuf, detail: String| OutsideFault::File {
            path: path.clone(),
            detail,
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(&path, error.to_string())),
        };
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| fault(&path, format!("line {}: {error}", error.line())))?;
        if written.v != 1 || !written.issuer.starts_with("https://") {
            return Err(fault(&path, "version 1 and an issuer over https are needed".to_owned()));
        }
        let read = |file: &PathBuf| std::fs::read(file).map_err(|error| fault(file, error.to_string()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&read(&written.roots)?) {
            let certificate = certificate.map_err(|error| fault(&written.roots, error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| fault(&written.roots, error.to_string()))?;
        }
        let client_secret = match &written.client_secret_file {
            Some(file) => Some(String::from_utf8_lossy(&read(file)?).trim().to_owned()),
            None => None,
        };
        Ok(Some(Self {
            name: written.name,
            issuer: written.issuer,
            client_id: written.client_id,
            name_claim: written.name_claim.unwrap_or_else(|| "preferred_username".to_owned()),
            client_secret,
            roots,
        }))
    }
}

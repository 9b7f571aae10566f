//! `freehold model sign`.

use std::path::{Path, PathBuf};

use clap::Args;
use freehold_model_files::hash_folder;
use freehold_sign::files::{read_bounded, read_signing_key, write_atomic};
use freehold_sign::model::{ModelSigner, root_digest, sign_model};
use freehold_trust::certificate::Certificate;
use serde_json::json;

use super::bom::{headers, write_bom};
use super::{BomOptions, beside, folder_name, plain, unknown, with_progress};
use crate::answer::Fault;
use crate::arguments::Setting;

/// Longest certificate file (bounds a wrong path).
const MAX_PEM: u64 = 256 * 1024;

/// Sign a model.
#[derive(Debug, Args)]
pub struct Sign {
    /// The model's folder.
    dir: PathBuf,
    /// The signing key: PKCS#8 PEM, mode 0600, P-256, P-384 or P-521.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Sign by certificate: the code-signing certificate over the key, PEM.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Certificates between that one and the root, PEM; may be given more than once.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    chain: Vec<PathBuf>,
    /// Where to write the signature; beside the folder, as `DIR.sigstore.json`, by default.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Where to write the bill of materials; beside the folder, as `DIR.cdx.json`, by default.
    #[arg(long, value_name = "FILE")]
    bom: Option<PathBuf>,
    /// Write no bill of materials; boxes will not admit the model without one.
    #[arg(long, conflicts_with = "bom")]
    no_bom: bool,
    #[command(flatten)]
    options: BomOptions,
}

/// The name of a file right in `dir`, when `path` is one.
fn inside(dir: &Path, path: &Path) -> Result<Option<String>, Fault> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let (Ok(parent), Ok(dir)) = (parent.canonicalize(), dir.canonicalize()) else {
        return Ok(None);
    };
    if !parent.starts_with(&dir) {
        return Ok(None);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = [".sig", ".sigstore", ".sigstore.json", ".bundle.json"]
        .iter()
        .any(|ending| name.ends_with(ending));
    if parent == dir && ending {
        return Ok(Some(name.to_owned()));
    }
    Err(Fault::could_not_tell(
        format!("`{}` lies within the model's folder", path.display()),
        "write it beside the folder; only a signature named `….sig` or `….sigstore.json` may lie at its top",
    ))
}

impl Sign {
    pub fn run(self, setting: &Setting) -> Result<(), Fault> {
        let key = read_signing_key(&self.key)?;
        let chain = self.certificates()?;
        let bundle = match &self.bundle {
            Some(path) => path.clone(),
            None => beside(&self.dir, ".sigstore.json")?,
        };
        let bom = match (&self.bom, self.no_bom) {
            (_, true) => None,
            (Some(path), false) => Some(path.clone()),
            (None, false) => Some(beside(&self.dir, ".cdx.json")?),
        };
        if let Some(path) = &bom
            && inside(&self.dir, path).is_ok_and(|name| name.is_some())
        {
            let hint = "write the bill beside the folder: what lies in the folder is signed or refused";
            return Err(Fault::could_not_tell(
                format!("`{}` lies within the model's folder", path.display()),
                hint,
            ));
        }
        let ignored: Vec<String> = inside(&self.dir, &bundle)?.into_iter().collect();
        let files = with_progress(&self.dir, &ignored, setting, |watch| {
            hash_folder(&self.dir, &ignored, watch)
        })?;
        // What no box would load is not signed.
        let headers = headers(&self.dir, &files)?;
        let list = plain(&files);
        let signer = match chain.as_slice() {
            [] => ModelSigner::Key(&key),
            chain => ModelSigner::Certificate { key: &key, chain },
        };
        let signed = sign_model(&folder_name(&self.dir)?, &list, &ignored, signer);
        let signed =
            signed.map_err(|error| unknown(&error, "a signing key can be made with `freehold model new-key`"))?;
        if let Some(path) = &bom {
            write_bom(&self.dir, &self.options, &files, &headers, path)?;
        }
        write_atomic(&bundle, &signed)?;
        let (root, fingerprint) = (root_digest(&list), key.public().fingerprint());
        if setting.json {
            let said =
                json!({ "root": root, "bundle": bundle, "bom": bom, "signer": fingerprint, "files": files.len() });
            println!("{said}");
        } else {
            println!("signed    {} files, root digest {root}", files.len());
            println!(
                "by        {fingerprint}{}",
                if chain.is_empty() { "" } else { " (with certificate)" }
            );
            println!("signature {}", bundle.display());
            if let Some(path) = bom {
                println!("bill      {}", path.display());
            }
        }
        Ok(())
    }

    /// Leaf first.
    fn certificates(&self) -> Result<Vec<Certificate>, Fault> {
        let mut all = Vec::new();
        for path in self.certificate.iter().chain(&self.chain) {
            all.extend(read_certificates(path)?);
        }
        Ok(all)
    }
}

/// All certificates of a PEM file; none is a fault.
pub fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Fault> {
    let bytes = read_bounded(path, MAX_PEM)?;
    let fault = |detail: String| {
        Fault::could_not_tell(
            format!("`{}`: {detail}", path.display()),
            "a PEM file `CERTIFICATE` is needed",
        )
    };
    let text = String::from_utf8(bytes).map_err(|_| fault("not text".to_owned()))?;
    let found = Certificate::all_from_pem(&text).map_err(|error| fault(error.to_string()))?;
    if found.is_empty() {
        return Err(fault("no certificate in it".to_owned()));
    }
    Ok(found)
}

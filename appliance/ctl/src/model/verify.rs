//! `freehold model verify`, and what `release publish` asks before it publishes.

use std::path::{Path, PathBuf};

use clap::Args;
use freehold_model_files::{check_folder, gate_files};
use freehold_sign::files::{read_bounded, read_public_key};
use freehold_verify::Verified;
use freehold_verify::bom::{MAX_BOM, verify_bom};
use freehold_verify::model::{
    CheckedFiles, KeylessIdentity, KeylessTrust, MAX_BUNDLE, ModelManifest, Signer, SignerTrust, verify_bundle,
};
use serde_json::json;

use super::sign::read_certificates;
use super::{beside, now, refused, with_progress};
use crate::answer::{Fault, visible};
use crate::arguments::Setting;

/// Whose signature counts.
#[derive(Debug, Clone, Default, Args)]
pub struct SignerOptions {
    /// A public key (PEM) whose signature counts; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// A root certificate (PEM) under which signers count; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub roots: Vec<PathBuf>,
    /// A sigstore `trusted_root.json`, for keyless signatures.
    #[arg(long, value_name = "FILE", requires = "identity", requires = "issuer")]
    pub trusted_root: Option<PathBuf>,
    /// The keyless signer, exactly: an address or a workflow's URI.
    #[arg(long, requires = "trusted_root")]
    pub identity: Option<String>,
    /// Who vouches for the keyless signer: an OpenID Connect issuer's URL.
    #[arg(long, requires = "trusted_root")]
    pub issuer: Option<String>,
    /// A path that the signer may have left out besides git's own files; may be given more than once.
    #[arg(long, value_name = "PATH")]
    pub tolerate_ignored: Vec<String>,
}

impl SignerOptions {
    pub fn trust(&self) -> Result<SignerTrust, Fault> {
        let mut trust = SignerTrust {
            tolerated_ignores: self.tolerate_ignored.clone(),
            ..SignerTrust::default()
        };
        for path in &self.key {
            trust.keys.push(read_public_key(path)?);
        }
        for path in &self.roots {
            trust.roots.extend(read_certificates(path)?);
        }
        if let (Some(path), Some(identity), Some(issuer)) = (&self.trusted_root, &self.identity, &self.issuer) {
            let bytes = read_bounded(path, 1024 * 1024)?;
            let signer = KeylessIdentity {
                identity: identity.clone(),
                issuer: issuer.clone(),
            };
            trust.keyless = Some(KeylessTrust::new(&bytes, vec![signer]).map_err(refused)?);
        }
        Ok(trust)
    }
}

/// Check a folder against its signature.
#[derive(Debug, Args)]
pub struct Verify {
    /// The model's folder.
    dir: PathBuf,
    /// The signature; beside the folder, as `DIR.sigstore.json`, by default.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Also check this bill of materials.
    #[arg(long, value_name = "FILE")]
    bom: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerOptions,
}

/// A folder that was verified, and the bytes of its signature.
pub struct VerifiedFolder {
    pub bundle: Vec<u8>,
    pub manifest: Verified<ModelManifest>,
    pub files: Verified<CheckedFiles>,
}

/// Verifies signature, files and formats of a folder.
pub fn verified_folder(
    dir: &Path,
    bundle: &Path,
    trust: &SignerTrust,
    setting: &Setting,
) -> Result<VerifiedFolder, Fault> {
    let bundle = read_bounded(bundle, u64::try_from(MAX_BUNDLE).unwrap_or(u64::MAX))?;
    let manifest = verify_bundle(&bundle, trust, now()).map_err(refused)?;
    let files = with_progress(dir, &manifest.ignored, setting, |watch| {
        check_folder(dir, &manifest, watch)
    })?;
    gate_files(dir, &files)?;
    Ok(VerifiedFolder {
        bundle,
        manifest,
        files,
    })
}

impl Verify {
    pub fn run(self, setting: &Setting) -> Result<(), Fault> {
        let trust = self.signer.trust()?;
        if trust.keys.is_empty() && trust.roots.is_empty() && trust.keyless.is_none() {
            return Err(Fault::could_not_tell(
                "nobody's signature counts yet",
                "name a signer with --key, --roots, or --trusted-root with --identity and --issuer",
            ));
        }
        let bundle = match self.bundle {
            Some(path) => path,
            None => beside(&self.dir, ".sigstore.json")?,
        };
        let verified = verified_folder(&self.dir, &bundle, &trust, setting)?;
        let bom = match &self.bom {
            None => None,
            Some(path) => {
                let bytes = read_bounded(path, u64::try_from(MAX_BOM).unwrap_or(u64::MAX))?;
                Some(verify_bom(Some(&bytes), &verified.manifest).map_err(refused)?)
            }
        };
        let manifest = verified.manifest.get();
        if setting.json {
            let said = json!({
                "verified": true,
                "name": manifest.name,
                "root": manifest.root,
                "signer": manifest.signer,
                "files": verified.files.files,
                "total": verified.files.total,
                "bom": bom.as_ref().map(|bom| bom.get()),
            });
            println!("{said}");
        } else {
            let total = verified.files.total;
            println!(
                "verified  {} ({} files, {total} bytes)",
                visible(&manifest.name),
                verified.files.files.len()
            );
            println!("root      {}", manifest.root);
            println!("signer    {}", signer(&manifest.signer));
            if let Some(bom) = bom {
                println!(
                    "bill      {}, licence {}",
                    visible(&bom.name),
                    visible(&bom.licences.join(", "))
                );
            }
        }
        Ok(())
    }
}

fn signer(signer: &Signer) -> String {
    match signer {
        Signer::Key { fingerprint } => format!("key {fingerprint}"),
        Signer::Certificate {
            subject, fingerprint, ..
        } => format!("{} (key {fingerprint})", visible(subject)),
        Signer::Keyless { identity, issuer } => format!("{}, says {}", visible(identity), visible(issuer)),
    }
}

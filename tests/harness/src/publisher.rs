//! A publisher at work in a folder of its own: an operating system's manifest, a policy, models, revocations, the export.
//!
//! Refuses nothing that the signing library does not refuse: what a careless publisher does is in [`crate::careless`].
//! Invariant: everything is signed with real keys, and read by the shipped programs only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use freehold_decide::{Bundle, BundleData};
use freehold_model_files::{Watch, check_folder, gate_files, hash_folder};
use freehold_sign::bom::{BomDescription, make_bom};
use freehold_sign::files::{read_public_key, read_signing_key};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_sign::repository::{
    Expiry, InitOptions, ModelPublication, OtherPublication, Publisher, RevocationChange, export, publish_model,
    publish_other, revoke,
};
use freehold_trust::Sha256Digest;
use freehold_verify::approval::Approvers;
use freehold_verify::bom::verify_bom;
use freehold_verify::boot::{BootDescription, generate};
use freehold_verify::model::{ModelFile, SignerTrust, verify_bundle};
use freehold_verify::release::{ReleaseKind, SYSTEM_KERNEL, SYSTEM_NAME, SYSTEM_ROOT, SYSTEM_VERITY, SystemRelease};
use freehold_verify::sealing::Level;
use time::OffsetDateTime;

use crate::careless::Careless;

/// The system that boxes of a world boot: name and version.
pub const SYSTEM: (&str, &str) = ("demo", "1.0.0");

/// The repository's root folder.
#[must_use]
pub fn repository_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap_or(here)
}

/// The demonstration's weights.
#[must_use]
pub fn weights() -> PathBuf {
    repository_root().join("tests/demonstration-model/weights/freehold-guide.gguf")
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// A publisher's folder.
#[derive(Debug)]
pub struct Publishing {
    folder: PathBuf,
    publisher: Publisher,
}

impl Publishing {
    /// Makes the keys in `folder` and publishes the system's manifest and a policy that takes this publisher's models.
    /// `timestamp` is the console's public timestamp key (PEM).
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn new(folder: &Path, timestamp: &Path) -> Result<Self> {
        let timestamp = read_public_key(timestamp)?;
        let publisher = freehold_sign::repository::init(folder, &InitOptions::new(timestamp), now())?;
        let this = Self {
            folder: folder.to_owned(),
            publisher,
        };
        let manifest = this.work("manifest.json")?;
        fs::write(
            &manifest,
            generate(&BootDescription::demonstration(SYSTEM.0, SYSTEM.1))
                .1
                .to_json(),
        )?;
        let files = vec![("manifest.json".to_owned(), manifest)];
        this.other(ReleaseKind::Os, SYSTEM.0, SYSTEM.1, files)?;
        this.policy("1.0.0", &[this.signer()])?;
        Ok(this)
    }

    /// A file or folder of work in progress.
    fn work(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("desk");
        fs::create_dir_all(&folder)?;
        Ok(folder.join(name))
    }

    /// The public key of the model signer (PEM).
    #[must_use]
    pub fn signer(&self) -> PathBuf {
        self.folder.join("keys/model-1.pub.pem")
    }

    /// Publishes a policy: models of these signers (public keys in PEM) under Apache-2.0.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub fn policy(&self, version: &str, signers: &[PathBuf]) -> Result<()> {
        self.policy_leasing(version, signers, &[])
    }

    /// The same, and these models run only under a fresh verdict of the console.
    ///
    /// # Errors
    /// As [`Self::policy`].
    pub fn policy_leasing(&self, version: &str, signers: &[PathBuf], leased: &[&str]) -> Result<()> {
        let data = BundleData {
            leased_models: leased.iter().map(|name| (*name).to_owned()).collect(),
            ..BundleData::default()
        };
        self.policy_of("ward", version, signers, None, data)
    }

    /// The same under a name, with the people who have to approve.
    ///
    /// # Errors
    /// As [`Self::policy`].
    pub fn policy_with(
        &self,
        name: &str,
        version: &str,
        signers: &[PathBuf],
        approvers: Option<&Approvers>,
    ) -> Result<()> {
        self.policy_of(name, version, signers, approvers, BundleData::default())
    }

    fn policy_of(
        &self,
        name: &str,
        version: &str,
        signers: &[PathBuf],
        approvers: Option<&Approvers>,
        mut data: BundleData,
    ) -> Result<()> {
        data.licences.insert("Apache-2.0".to_owned());
        let file = self.work("policy.json")?;
        let mut files = vec![("policy.json".to_owned(), file.clone())];
        for (number, signer) in signers.iter().enumerate() {
            data.model_signers
                .insert(read_public_key(signer)?.fingerprint().to_hex());
            files.push((format!("signer-{number}.pub.pem"), signer.clone()));
        }
        if let Some(approvers) = approvers {
            let file = self.work(Approvers::FILE)?;
            fs::write(&file, approvers.to_bytes())?;
            files.push((Approvers::FILE.to_owned(), file));
        }
        fs::write(&file, Bundle::shipped(name, version, data).to_bytes())?;
        self.other(ReleaseKind::Policy, name, version, files)
    }

    /// Publishes a next version of the system, with files of a slot that are none; answers the target's name.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn system(&self, version: &str, level: u8, floor: u8) -> Result<String> {
        let name = SYSTEM.0;
        let of = |number: u8| Level::new(number).context("levels go from 0 to 63");
        let (level, floor) = (of(level)?, of(floor)?);
        let system = SystemRelease {
            v: 1,
            name: name.to_owned(),
            version: version.to_owned(),
            root_hash: freehold_trust::sha256(version.as_bytes()),
            level,
            floor,
        };
        let manifest = generate(&BootDescription::demonstration(name, version)).1.to_json();
        let mut files = Vec::new();
        for (file, bytes) in [
            ("manifest.json", manifest),
            (SYSTEM_NAME, system.to_json()),
            (SYSTEM_KERNEL, format!("kernel {version}").into_bytes()),
            (SYSTEM_ROOT, format!("root {version}").into_bytes()),
            (SYSTEM_VERITY, format!("hash tree {version}").into_bytes()),
        ] {
            let path = self.work(&format!("system-{version}-{file}"))?;
            fs::write(&path, bytes)?;
            files.push((file.to_owned(), path));
        }
        self.other(ReleaseKind::Os, name, version, files)?;
        Ok(format!("systems/{name}/{version}/release.json"))
    }

    fn other(&self, kind: ReleaseKind, name: &str, version: &str, files: Vec<(String, PathBuf)>) -> Result<()> {
        let publication = OtherPublication {
            kind,
            name,
            version,
            counter: None,
            files,
            licence: Some("Apache-2.0".to_owned()),
            hardware: Vec::new(),
        };
        publish_other(&self.publisher, &publication, &Expiry::default(), now())?;
        Ok(())
    }

    /// Signs and publishes the demonstration's weights as `name`/`version`; answers target name and root digest. Versions
    /// differ by a file beside the weights.
    ///
    /// # Errors
    /// When the weights are not there.
    pub fn model(&self, name: &str, version: &str) -> Result<(String, Sha256Digest)> {
        let folder = self.work(&format!("{name}-{version}"))?;
        fs::create_dir_all(&folder)?;
        fs::copy(weights(), folder.join("model.gguf")).context("the demonstration's weights")?;
        fs::write(folder.join("README.md"), format!("{name} {version}\n"))?;
        self.model_from(name, version, &folder)
    }

    /// Signs and publishes a folder as a model.
    ///
    /// # Errors
    /// When it is no model.
    pub fn model_from(&self, name: &str, version: &str, folder: &Path) -> Result<(String, Sha256Digest)> {
        let hashed = hash_folder(folder, &[], Watch::nobody())?;
        let files: Vec<ModelFile> = hashed
            .iter()
            .map(|file| ModelFile {
                path: file.path.clone(),
                sha256: file.sha256,
            })
            .collect();
        let key = read_signing_key(&self.folder.join("keys/model-1.pem"))?;
        let bundle = sign_model(name, &files, &[], ModelSigner::Key(&key))?;
        let trust = SignerTrust {
            keys: vec![key.public().clone()],
            ..SignerTrust::default()
        };
        let manifest = verify_bundle(&bundle, &trust, now())?;
        let checked = check_folder(folder, &manifest, Watch::nobody())?;
        let headers = gate_files(folder, &checked)?;
        let description = BomDescription {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            licence: Some("Apache-2.0".to_owned()),
            ..BomDescription::default()
        };
        let bytes = make_bom(&description, &files, &headers, now())?;
        let bom = verify_bom(Some(&bytes), &manifest)?;
        let publication = ModelPublication {
            name,
            version,
            counter: None,
            folder,
            manifest: &manifest,
            files: &checked,
            bundle: &bundle,
            bom: (&bom, &bytes),
            embeddings: false,
            hardware: Vec::new(),
        };
        let published = publish_model(&self.publisher, &publication, &Expiry::default(), now())?;
        Ok((published.target, manifest.root))
    }

    /// Revokes the model with that root digest.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn revoke(&self, root: Sha256Digest) -> Result<()> {
        let change = RevocationChange {
            models: vec![root],
            ..RevocationChange::default()
        };
        revoke(&self.publisher, change, &Expiry::default(), now())?;
        Ok(())
    }

    /// Writes the export to `to`; answers the SHA-256 of the first root metadata (hex).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn export(&self, to: &Path) -> Result<String> {
        export(&self.publisher, to)?;
        Ok(freehold_trust::sha256(&fs::read(to.join("metadata/1.root.json"))?).to_hex())
    }

    /// The same keys in careless hands.
    #[must_use]
    pub fn careless(&self) -> Careless {
        Careless::open(&self.folder)
    }
}

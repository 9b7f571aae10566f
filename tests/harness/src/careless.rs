//! A careless publisher: its real keys sign a release that is not what it says.
//!
//! `freehold release publish` refuses to do this, so the metadata is written here with the publisher's keys; everything that
//! checks it afterwards is the shipped product.
//!
//! Refuses nothing: that is the fault it is named after. Invariant: every signature is real.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use freehold_trust::digest::sha256;
use freehold_trust::signing::SigningKey;
use freehold_verify::release::{
    CHUNK_SIZE, ReleaseDescriptor, ReleaseFile, TargetInfo, consistent_name, metadata_version, snapshot_metadata,
    targets_metadata, unverified_targets,
};

/// The contents of a release before it is published.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The model's files.
    pub files: Vec<(String, Vec<u8>)>,
    /// The signature.
    pub bundle: Vec<u8>,
    /// The bill of materials.
    pub bom: Option<Vec<u8>>,
}

/// A publisher's folder.
#[derive(Debug)]
pub struct Careless {
    folder: PathBuf,
}

impl Careless {
    /// Opens the folder.
    pub fn open(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn newest(&self, role: &str) -> anyhow::Result<u64> {
        let mut newest = 0;
        for entry in fs::read_dir(self.folder.join("metadata"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(version) = name.strip_suffix(&format!(".{role}.json")) {
                newest = newest.max(version.parse().unwrap_or(0));
            }
        }
        Ok(newest)
    }

    fn targets(&self) -> anyhow::Result<BTreeMap<String, TargetInfo>> {
        let version = self.newest("targets")?;
        let bytes = fs::read(self.folder.join(format!("metadata/{version}.targets.json")))?;
        Ok(unverified_targets(&bytes)?)
    }

    fn read(&self, name: &str, info: &TargetInfo) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(
            self.folder.join("targets").join(consistent_name(name, info.sha256)),
        )?)
    }

    /// A published target by name.
    pub fn target(&self, name: &str) -> anyhow::Result<(String, TargetInfo)> {
        let info = *self.targets()?.get(name).with_context(|| format!("no target {name}"))?;
        Ok((name.to_owned(), info))
    }

    /// What an honest release is made of.
    pub fn parts(&self, target: &str) -> anyhow::Result<(ReleaseDescriptor, Parts)> {
        let targets = self.targets()?;
        let bytes = |name: &str| self.read(name, targets.get(name).with_context(|| format!("no target {name}"))?);
        let descriptor = ReleaseDescriptor::parse(&bytes(target)?)?;
        let mut files = Vec::new();
        for file in &descriptor.files {
            files.push((file.path.clone(), bytes(&descriptor.target_of(&file.path))?));
        }
        let bundle = descriptor.bundle.as_ref().context("no signature")?;
        let bundle = bytes(&descriptor.target_of(&bundle.path))?;
        let bom = match &descriptor.bom {
            Some(bom) => Some(bytes(&descriptor.target_of(&bom.path))?),
            None => None,
        };
        Ok((descriptor, Parts { files, bundle, bom }))
    }

    /// Publishes `parts` as another model, hashes and all, signed by the real keys. Returns the descriptor's target name.
    pub fn publish(&self, like: &ReleaseDescriptor, name: &str, parts: &Parts) -> anyhow::Result<String> {
        let mut descriptor = like.clone();
        descriptor.name = name.to_owned();
        descriptor.counter = 1;
        descriptor.files = parts.files.iter().map(|(path, bytes)| described(path, bytes)).collect();
        descriptor.bundle = Some(described("model.sigstore.json", &parts.bundle));
        descriptor.bom = parts.bom.as_ref().map(|bytes| described("model.cdx.json", bytes));
        let mut targets = self.targets()?;
        for (path, bytes) in &parts.files {
            self.put(&mut targets, &descriptor.target_of(path), bytes)?;
        }
        self.put(
            &mut targets,
            &descriptor.target_of("model.sigstore.json"),
            &parts.bundle,
        )?;
        if let Some(bom) = &parts.bom {
            self.put(&mut targets, &descriptor.target_of("model.cdx.json"), bom)?;
        }
        let target = descriptor.target_name();
        self.put(&mut targets, &target, &serde_json::to_vec(&descriptor)?)?;
        self.commit(&targets)?;
        Ok(target)
    }

    fn put(&self, targets: &mut BTreeMap<String, TargetInfo>, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let info = TargetInfo {
            length: u64::try_from(bytes.len())?,
            sha256: sha256(bytes),
        };
        let path = self.folder.join("targets").join(consistent_name(name, info.sha256));
        fs::create_dir_all(path.parent().context("a target lies in a folder")?)?;
        fs::write(path, bytes)?;
        targets.insert(name.to_owned(), info);
        Ok(())
    }

    fn commit(&self, targets: &BTreeMap<String, TargetInfo>) -> anyhow::Result<()> {
        let key = |role: &str| -> anyhow::Result<SigningKey> {
            Ok(SigningKey::from_pkcs8_pem(&fs::read_to_string(
                self.folder.join(format!("keys/{role}-1.pem")),
            )?)?)
        };
        let until = time::OffsetDateTime::now_utc().unix_timestamp() + 86_400;
        let version = self.newest("targets")? + 1;
        let list = targets_metadata(version, until, targets)?.sign(&[&key("targets")?])?;
        let snapshot = self.newest("snapshot")? + 1;
        let pin = snapshot_metadata(snapshot, until, &list)?.sign(&[&key("snapshot")?])?;
        debug_assert_eq!(metadata_version(&list).ok(), Some(version));
        fs::write(self.folder.join(format!("metadata/{version}.targets.json")), list)?;
        fs::write(self.folder.join(format!("metadata/{snapshot}.snapshot.json")), pin)?;
        Ok(())
    }
}

fn described(path: &str, bytes: &[u8]) -> ReleaseFile {
    let size = usize::try_from(CHUNK_SIZE).unwrap_or(usize::MAX);
    ReleaseFile {
        path: path.to_owned(),
        length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: sha256(bytes),
        chunk_size: CHUNK_SIZE,
        chunks: bytes.chunks(size).map(sha256).collect(),
        fs_verity: None,
    }
}

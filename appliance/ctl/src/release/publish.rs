//! `freehold release publish`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use freehold_sign::files::{read_bounded, read_public_key};
use freehold_sign::repository::{
    ModelPublication, OtherPublication, PublishedRelease, Publisher, publish_model, publish_other,
};
use freehold_verify::approval::Approvers;
use freehold_verify::bom::{MAX_BOM, verify_bom};
use freehold_verify::release::ReleaseKind;
use serde_json::json;

use super::{Validity, say};
use crate::answer::Fault;
use crate::arguments::Setting;
use crate::model::{SignerOptions, beside, now, refused, verified_folder};
use crate::policy::approver::{read as read_approvers, unfulfillable};

/// Kinds that are published as plain files.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// An inference engine.
    Engine,
    /// A policy bundle.
    Policy,
    /// An operating system image.
    Os,
    /// Advisories (OSV, one record a line) and statements on exploitability.
    Advisories,
}

/// Publish a release.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["model", "file"]))]
pub struct Publish {
    /// The publisher's folder.
    dir: PathBuf,
    /// A model's folder.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// The model's signature; beside its folder, as `FOLDER.sigstore.json`, by default.
    #[arg(long, value_name = "FILE", requires = "model")]
    bundle: Option<PathBuf>,
    /// The model's bill of materials; beside its folder, as `FOLDER.cdx.json`, by default.
    #[arg(long, value_name = "FILE", requires = "model")]
    bom: Option<PathBuf>,
    /// The model may be asked for embeddings.
    #[arg(long, requires = "model")]
    embeddings: bool,
    #[command(flatten)]
    signer: SignerOptions,
    /// A file of another kind of release; may be given more than once.
    #[arg(long, value_name = "FILE", requires = "kind")]
    file: Vec<PathBuf>,
    /// What the files are.
    #[arg(long, conflicts_with = "model")]
    kind: Option<Kind>,
    /// The licence of the files.
    #[arg(long, conflicts_with = "model")]
    licence: Option<String>,
    /// Release name: lower case letters, digits, `._-`.
    #[arg(long)]
    name: String,
    /// Version, for people.
    #[arg(long = "release-version", value_name = "VERSION")]
    version: String,
    /// Counter that orders releases; the next one by default.
    #[arg(long)]
    counter: Option<u64>,
    /// Hardware class that it is meant for; may be given more than once.
    #[arg(long, value_name = "CLASS")]
    hardware: Vec<String>,
    #[command(flatten)]
    validity: Validity,
}

impl Publish {
    pub fn run(self, setting: &Setting) -> Result<(), Fault> {
        let publisher = Publisher::open(&self.dir)?;
        let release = match &self.model {
            Some(folder) => self.model(&publisher, folder, setting)?,
            None => self.other(&publisher)?,
        };
        let document = json!({
            "target": release.target,
            "length": release.info.length,
            "sha256": release.info.sha256,
            "counter": release.descriptor.counter,
            "root": release.descriptor.root,
            "snapshot": release.snapshot,
        });
        let text = format!(
            "published {} (counter {}, snapshot {})",
            release.target, release.descriptor.counter, release.snapshot
        );
        say(setting, &document, &text);
        Ok(())
    }

    fn model(
        &self,
        publisher: &Publisher,
        folder: &std::path::Path,
        setting: &Setting,
    ) -> Result<PublishedRelease, Fault> {
        let mut trust = self.signer.trust()?;
        if trust.keys.is_empty() && trust.roots.is_empty() && trust.keyless.is_none() {
            trust
                .keys
                .push(read_public_key(&self.dir.join("keys/model-1.pub.pem"))?);
        }
        let path = |given: &Option<PathBuf>, ending: &str| match given {
            Some(path) => Ok(path.clone()),
            None => beside(folder, ending),
        };
        let bundle = path(&self.bundle, ".sigstore.json")?;
        let bom_path = path(&self.bom, ".cdx.json")?;
        let verified = verified_folder(folder, &bundle, &trust, setting)?;
        let bytes = read_bounded(&bom_path, u64::try_from(MAX_BOM).unwrap_or(u64::MAX));
        let bytes = match bytes {
            Err(freehold_sign::files::FileError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            other => Some(other?),
        };
        let bom = verify_bom(bytes.as_deref(), &verified.manifest).map_err(refused)?;
        let publication = ModelPublication {
            name: &self.name,
            version: &self.version,
            counter: self.counter,
            folder,
            manifest: &verified.manifest,
            files: &verified.files,
            bundle: &verified.bundle,
            bom: (&bom, bytes.as_deref().unwrap_or_default()),
            embeddings: self.embeddings,
            hardware: self.hardware.clone(),
        };
        Ok(publish_model(publisher, &publication, &self.validity.expiry(), now())?)
    }

    fn other(&self, publisher: &Publisher) -> Result<PublishedRelease, Fault> {
        let kind = match self.kind {
            Some(Kind::Engine) => ReleaseKind::Engine,
            Some(Kind::Policy) => ReleaseKind::Policy,
            Some(Kind::Os) => ReleaseKind::Os,
            Some(Kind::Advisories) => ReleaseKind::Advisories,
            None => {
                return Err(Fault::could_not_tell(
                    "no kind was given",
                    "say it with --kind engine, policy, os or advisories",
                ));
            }
        };
        let mut files = Vec::new();
        for path in &self.file {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| Fault::could_not_tell(format!("`{}` has no name", path.display()), ""))?;
            crate::supply::check_file(kind, name, path)?;
            if kind == ReleaseKind::Policy && name == Approvers::FILE {
                let list = read_approvers(path)?;
                if let Some(fault) = unfulfillable(&list) {
                    return Err(Fault::could_not_tell(fault, "add approvers, or ask for fewer of them"));
                }
            }
            files.push((name.to_owned(), path.clone()));
        }
        let publication = OtherPublication {
            kind,
            name: &self.name,
            version: &self.version,
            counter: self.counter,
            files,
            licence: self.licence.clone(),
            hardware: self.hardware.clone(),
        };
        Ok(publish_other(publisher, &publication, &self.validity.expiry(), now())?)
    }
}

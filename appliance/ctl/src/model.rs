//! Verbs about models: digest, sign, verify, bill of materials, keys and certificates for signers.
//!
//! Refuses to print or take private keys as arguments; they are files that only their owner may read. Invariant: `verify`
//! answers yes only for a folder that is exactly what a named signer signed.

mod bom;
mod certificate;
mod digest;
mod sign;
mod verify;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use freehold_model_files::{FilesError, Watch, walk};
use freehold_sign::bom::BomDescription;
use freehold_sign::files::FileError;
use freehold_verify::model::ModelFile;
use freehold_verify::{Refusal, RefusalReport};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::answer::{Fault, Refused};
use crate::arguments::Setting;

pub use sign::read_certificates;
pub use verify::{SignerOptions, verified_folder};

/// Verbs about models. DIR is a folder with the model's files.
#[derive(Debug, Subcommand)]
pub enum ModelVerb {
    /// Hash every file and print the root digest, by which a model is known.
    Digest {
        /// The model's folder.
        dir: PathBuf,
    },
    /// Sign a model (OpenSSF Model Signing 1.0) and write its bill of materials.
    Sign(sign::Sign),
    /// Check that a folder is exactly what a trusted signer signed.
    Verify(verify::Verify),
    /// Write a bill of materials (CycloneDX 1.6) without signing.
    Bom(bom::Bom),
    /// Make a signing key (P-256) and its public half beside it.
    NewKey {
        /// Where to write it, e.g. `signer.pem`; the public half becomes `signer.pub.pem`.
        file: PathBuf,
    },
    /// Make a root and a code-signing certificate under it, for a site without an authority of its own.
    NewCertificate(certificate::NewCertificate),
}

/// What the model's maker says, for the bill of materials.
#[derive(Debug, Clone, Args)]
pub struct BomOptions {
    /// The model's name in the bill; the folder's name by default.
    #[arg(long)]
    name: Option<String>,
    /// The model's version in the bill.
    #[arg(long, value_name = "VERSION")]
    model_version: Option<String>,
    /// One line about the model.
    #[arg(long)]
    description: Option<String>,
    /// SPDX identifier or expression, e.g. `Apache-2.0`; read from the weights when absent.
    #[arg(long)]
    licence: Option<String>,
    /// A model that this one was made from; may be given more than once.
    #[arg(long, value_name = "NAME")]
    base_model: Vec<String>,
    /// Data that it was trained on; may be given more than once.
    #[arg(long, value_name = "NAME")]
    dataset: Vec<String>,
}

impl BomOptions {
    fn describe(&self, folder: &Path) -> Result<BomDescription, Fault> {
        Ok(BomDescription {
            name: match &self.name {
                Some(name) => name.clone(),
                None => folder_name(folder)?,
            },
            version: self.model_version.clone(),
            description: self.description.clone(),
            licence: self.licence.clone(),
            base_models: self.base_model.clone(),
            datasets: self.dataset.clone(),
        })
    }
}

/// Runs a verb.
pub fn run(verb: ModelVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        ModelVerb::Digest { dir } => digest::run(&dir, setting),
        ModelVerb::Sign(sign) => sign.run(setting),
        ModelVerb::Verify(verify) => verify.run(setting),
        ModelVerb::Bom(bom) => bom.run(setting),
        ModelVerb::NewKey { file } => certificate::new_key(&file, setting),
        ModelVerb::NewCertificate(new) => new.run(setting),
    }
}

/// The folder's own name.
fn folder_name(folder: &Path) -> Result<String, Fault> {
    let whole = folder.canonicalize().map_err(|error| read_fault(folder, &error))?;
    let name = whole.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    name.ok_or_else(|| {
        Fault::could_not_tell(
            format!("`{}` has no name", folder.display()),
            "name the model's own folder",
        )
    })
}

/// The path beside a folder that ends in `ending`: `models/guide` and `.cdx.json` give `models/guide.cdx.json`.
pub fn beside(folder: &Path, ending: &str) -> Result<PathBuf, Fault> {
    let whole = folder.canonicalize().map_err(|error| read_fault(folder, &error))?;
    let name = folder_name(folder)?;
    // The path as it was typed, where it names the folder itself.
    let typed = folder.file_name().and_then(|last| last.to_str()) == Some(name.as_str());
    Ok(if typed { folder.to_owned() } else { whole }.with_file_name(format!("{name}{ending}")))
}

fn read_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::could_not_tell(
        format!("cannot read `{}`: {error}", path.display()),
        "is the path right, and may you read it?",
    )
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Runs hashing work over a folder with a progress bar, when a person watches.
pub fn with_progress<T>(
    folder: &Path,
    skipped: &[String],
    setting: &Setting,
    work: impl FnOnce(Watch<'_>) -> Result<T, FilesError>,
) -> Result<T, Fault> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    if setting.json || !std::io::stderr().is_terminal() {
        return Ok(work(Watch::nobody())?);
    }
    let total = walk(folder, skipped)?.iter().map(|entry| entry.length).sum();
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("hashing {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let done = work(Watch {
        progress: &|bytes| bar.inc(bytes),
        cancelled: &NEVER,
    });
    bar.finish_and_clear();
    Ok(done?)
}

fn plain(files: &[freehold_model_files::HashedFile]) -> Vec<ModelFile> {
    files
        .iter()
        .map(|file| ModelFile {
            path: file.path.clone(),
            sha256: file.sha256,
        })
        .collect()
}

impl From<RefusalReport> for Fault {
    fn from(report: RefusalReport) -> Self {
        let RefusalReport {
            code,
            message,
            expected,
            found,
        } = report;
        Self::Refused(Refused {
            code,
            message,
            expected,
            found,
        })
    }
}

/// A refusal as the verb's answer.
pub fn refused(refusal: impl Refusal) -> Fault {
    refusal.report().into()
}

/// An error as "could not tell".
pub fn unknown(error: &dyn std::error::Error, hint: &str) -> Fault {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Fault::could_not_tell(text, hint)
}

impl From<FilesError> for Fault {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Refused(rejection) => refused(rejection),
            FilesError::Format(rejection) => refused(rejection),
            other => unknown(&other, "is the path right, and may you read it?"),
        }
    }
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        let hint = match &error {
            FileError::Permissions { .. } => "chmod 600 the key, and ask who could have read it",
            FileError::PrivateKey { .. } => {
                "an unencrypted PKCS#8 PEM file is needed: `freehold model new-key FILE` makes one"
            }
            FileError::PublicKey { .. } => "a PEM file `PUBLIC KEY` is needed",
            FileError::Write { .. } => "is there room, may you write there, and is the name free?",
            FileError::Read { .. } => "is the path right, and may you read it?",
        };
        unknown(&error, hint)
    }
}

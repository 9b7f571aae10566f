//! `freehold model bom`, and the bill that `model sign` writes.

use std::path::{Path, PathBuf};

use clap::Args;
use freehold_model_files::{HashedFile, gate_file, hash_folder};
use freehold_sign::bom::{BomError, make_bom};
use freehold_sign::files::write_atomic;
use freehold_verify::format::ModelHeader;
use serde_json::json;

use super::{BomOptions, beside, now, plain, unknown, with_progress};
use crate::answer::Fault;
use crate::arguments::Setting;

/// Write a bill of materials.
#[derive(Debug, Args)]
pub struct Bom {
    /// The model's folder.
    dir: PathBuf,
    /// Where to write it; beside the folder, as `DIR.cdx.json`, by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    options: BomOptions,
}

impl Bom {
    pub fn run(self, setting: &Setting) -> Result<(), Fault> {
        let files = with_progress(&self.dir, &[], setting, |watch| hash_folder(&self.dir, &[], watch))?;
        let headers = headers(&self.dir, &files)?;
        let out = match self.out {
            Some(out) => out,
            None => beside(&self.dir, ".cdx.json")?,
        };
        write_bom(&self.dir, &self.options, &files, &headers, &out)?;
        if setting.json {
            println!("{}", json!({ "bom": out }));
        } else {
            println!("bill of materials: {}", out.display());
        }
        Ok(())
    }
}

/// The headers of the weights; a file that does not pass the gate is refused.
pub fn headers(dir: &Path, files: &[HashedFile]) -> Result<Vec<(String, ModelHeader)>, Fault> {
    let mut headers = Vec::new();
    for file in files {
        if let Some(header) = gate_file(dir, &file.path)? {
            headers.push((file.path.clone(), header));
        }
    }
    Ok(headers)
}

pub fn write_bom(
    dir: &Path,
    options: &BomOptions,
    files: &[HashedFile],
    headers: &[(String, ModelHeader)],
    out: &Path,
) -> Result<(), Fault> {
    let bom = make_bom(&options.describe(dir)?, &plain(files), headers, now()).map_err(|error| {
        let hint = match error {
            BomError::Licence => "say it with --licence, e.g. --licence Apache-2.0",
            _ => "",
        };
        unknown(&error, hint)
    })?;
    Ok(write_atomic(out, &bom)?)
}

//! Verbs about bills and provenance, offline: another form, a signature, a check.
//!
//! Refuses to sign a provenance over a file that it has not hashed itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use freehold_sign::files::{read_bounded, read_public_key, read_signing_key, write_atomic};
use freehold_supply::advisory::MAX_ADVISORIES;
use freehold_supply::bill::MAX_BILL;
use freehold_supply::provenance::{Build, sign_provenance, verify_provenance};
use freehold_supply::spdx::to_spdx;
use freehold_supply::{Advisories, Bill};
use freehold_trust::Sha256Digest;
use freehold_trust::digest::Sha256Hasher;
use freehold_verify::release::ReleaseKind;
use serde_json::json;

use crate::answer::Fault;
use crate::arguments::Setting;
use crate::model::{now, refused};

/// Verbs about bills of materials and provenance.
#[derive(Debug, Subcommand)]
pub enum SbomVerb {
    /// What a CycloneDX bill names: components, licences, package URLs.
    Show {
        /// The bill.
        bill: PathBuf,
    },
    /// The same bill as SPDX 2.3.
    Spdx {
        /// The CycloneDX bill.
        bill: PathBuf,
        /// Where to write it.
        #[arg(long, short)]
        out: PathBuf,
    },
    /// Sign where files come from: an in-toto statement with SLSA provenance.
    Provenance {
        /// The files of the release.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Who built them, a URI that policies can name.
        #[arg(long)]
        builder: String,
        /// The signing key.
        #[arg(long)]
        key: PathBuf,
        /// What was asked for, NAME=VALUE; may be given more than once.
        #[arg(long = "parameter", value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// A bill whose components went in; their package URLs and digests become the materials.
        #[arg(long)]
        materials: Option<PathBuf>,
        /// Where to write it.
        #[arg(long, short)]
        out: PathBuf,
    },
    /// Check a provenance against the files that it should be about.
    Verify {
        /// The provenance.
        provenance: PathBuf,
        /// The files of the release, all of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// A key that counts; may be given more than once.
        #[arg(long, required = true)]
        key: Vec<PathBuf>,
        /// A builder that counts; may be given more than once.
        #[arg(long, required = true)]
        builder: Vec<String>,
    },
}

/// Reads a bill.
pub fn read_bill(path: &Path) -> Result<Bill, Fault> {
    let bytes = read_bounded(path, u64::try_from(MAX_BILL).unwrap_or(u64::MAX))?;
    Bill::parse(&bytes).map_err(refused)
}

/// Reads a set of advisories.
pub fn read_advisories(path: &Path) -> Result<Advisories, Fault> {
    let bytes = read_bounded(path, u64::try_from(MAX_ADVISORIES).unwrap_or(u64::MAX))?;
    Advisories::parse(&bytes).map_err(refused)
}

/// Refuses to publish what nobody could read: advisories with a bad line, bills that are none.
pub fn check_file(kind: ReleaseKind, name: &str, path: &Path) -> Result<(), Fault> {
    match kind {
        ReleaseKind::Advisories if name.ends_with(".jsonl") => read_advisories(path).map(drop),
        ReleaseKind::Os | ReleaseKind::Engine if name.ends_with(".cdx.json") => read_bill(path).map(drop),
        _ => Ok(()),
    }
}

fn digests(files: &[PathBuf]) -> Result<BTreeMap<String, Sha256Digest>, Fault> {
    let mut found = BTreeMap::new();
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Fault::could_not_tell(format!("`{}` has no name", path.display()), ""))?;
        let mut file = std::fs::File::open(path)
            .map_err(|error| Fault::could_not_tell(format!("`{}`: {error}", path.display()), "name a readable file"))?;
        let mut hasher = Sha256Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = std::io::Read::read(&mut file, &mut buffer)?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            hasher.update(piece);
        }
        if found.insert(name.to_owned(), hasher.finish()).is_some() {
            return Err(Fault::could_not_tell(
                format!("two files are called `{name}`"),
                "a provenance names files without their folders; rename one",
            ));
        }
    }
    Ok(found)
}

/// Runs a verb.
pub fn run(verb: &SbomVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        SbomVerb::Show { bill } => {
            let bill = read_bill(bill)?;
            if setting.json {
                println!("{}", serde_json::to_string_pretty(&bill)?);
                return Ok(());
            }
            println!("{} {}", bill.about.name, bill.about.version);
            let rows: Vec<Vec<String>> = bill
                .components
                .iter()
                .map(|one| {
                    let licences = one.licences.join(", ");
                    vec![
                        one.name.clone(),
                        one.version.clone(),
                        licences,
                        one.purl.as_ref().map(ToString::to_string).unwrap_or_default(),
                    ]
                })
                .collect();
            crate::table::print(&["NAME", "VERSION", "LICENCE", "PACKAGE"], &rows);
            println!("{} components, {} files", bill.components.len(), bill.files);
            Ok(())
        }
        SbomVerb::Spdx { bill, out } => {
            let bytes = to_spdx(&read_bill(bill)?, now()).map_err(refused)?;
            write_atomic(out, &bytes)?;
            say(
                setting,
                &json!({ "file": out }),
                &format!("SPDX 2.3 in {}", out.display()),
            );
            Ok(())
        }
        SbomVerb::Provenance {
            files,
            builder,
            key,
            parameters,
            materials,
            out,
        } => provenance(files, builder, key, parameters, materials.as_deref(), out, setting),
        SbomVerb::Verify {
            provenance,
            files,
            key,
            builder,
        } => {
            let envelope = read_bounded(provenance, 16 << 20)?;
            let keys: Result<Vec<_>, _> = key.iter().map(|path| read_public_key(path)).collect();
            let found = verify_provenance(&envelope, &keys?, builder, &digests(files)?).map_err(refused)?;
            let document = json!({
                "builder": found.builder, "build_type": found.build_type, "parameters": found.parameters,
                "subjects": found.subjects.len(), "materials": found.materials.len(),
            });
            let text = format!(
                "yes: {} files, built by {} from {} materials",
                found.subjects.len(),
                found.builder,
                found.materials.len()
            );
            say(setting, &document, &text);
            Ok(())
        }
    }
}

fn provenance(
    files: &[PathBuf],
    builder: &str,
    key: &Path,
    parameters: &[String],
    materials: Option<&Path>,
    out: &Path,
    setting: &Setting,
) -> Result<(), Fault> {
    let mut named = BTreeMap::new();
    for pair in parameters {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Fault::could_not_tell(format!("`{pair}` is not NAME=VALUE"), ""))?;
        named.insert(name.to_owned(), value.to_owned());
    }
    let mut went_in = Vec::new();
    if let Some(path) = materials {
        for component in read_bill(path)?.components {
            if let (Some(purl), Some(digest)) = (component.purl, component.sha256) {
                went_in.push((purl.to_string(), digest));
            }
        }
    }
    let subjects = digests(files)?;
    let build = Build {
        builder,
        parameters: &named,
        materials: &went_in,
        subjects: &subjects,
    };
    write_atomic(out, &sign_provenance(&build, &read_signing_key(key)?))?;
    let text = format!("provenance of {} files in {}", subjects.len(), out.display());
    say(
        setting,
        &json!({ "file": out, "subjects": subjects.len(), "materials": went_in.len() }),
        &text,
    );
    Ok(())
}

fn say(setting: &Setting, document: &serde_json::Value, text: &str) {
    if setting.json {
        println!("{document}");
    } else {
        println!("{text}");
    }
}

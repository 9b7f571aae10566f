//! Verbs about policy bundles: put one together, and check one before it is published.
//!
//! Refuses a bundle that no box could use. Invariant: nothing here takes effect; a policy counts only as a release that the
//! offline keys signed (`freehold release publish --kind policy`).

pub mod approver;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use freehold_decide::{Bundle, BundleData, Level, PolicySet};
use freehold_sign::files::{read_bounded, read_public_key, write_atomic};
use serde_json::json;

use crate::answer::{Fault, visible};
use crate::arguments::Setting;
use crate::model::{read_certificates, refused};

/// Verbs about policy bundles.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Put a bundle together: the shipped rules with your signers and licences.
    Bundle(MakeBundle),
    /// Check a bundle: does it parse, fit the schema, and what does it hold?
    Check {
        /// The bundle.
        file: PathBuf,
    },
    /// Whose passkeys approve, and what needs them.
    #[command(subcommand)]
    Approver(approver::ApproverVerb),
}

/// Put a bundle together.
#[derive(Debug, Args)]
pub struct MakeBundle {
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The bundle's name.
    #[arg(long)]
    name: String,
    /// The bundle's version.
    #[arg(long, value_name = "VERSION")]
    policy_version: String,
    /// Who may sign models: a public key or a signer's certificate, PEM; may be given more than once.
    #[arg(long, value_name = "FILE")]
    signer: Vec<PathBuf>,
    /// A keyless signer's identity, exactly; may be given more than once.
    #[arg(long)]
    identity: Vec<String>,
    /// A licence that models may have; may be given more than once.
    #[arg(long, default_values_t = ["Apache-2.0".to_owned(), "MIT".to_owned(), "BSD-3-Clause".to_owned()])]
    licence: Vec<String>,
    /// A base model that nothing may be made from, as bills of materials name it; may be given more than once.
    #[arg(long, value_name = "NAME")]
    forbid_base: Vec<String>,
    /// The worst open advisory that an engine may have: none, low, medium, high or critical. Without it nothing is demanded.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    accept_engine: Option<Level>,
    /// What is open against an engine, as `freehold advisories match` said of its bill; may be given more than once.
    #[arg(long, value_name = "ENGINE=LEVEL", value_parser = engine)]
    engine: Vec<(String, Level)>,
    /// A model, by name, that runs only under a fresh verdict of the console (a verdict lease); `*` for every model; may be
    /// given more than once.
    #[arg(long, value_name = "MODEL")]
    leased: Vec<String>,
    /// A folder of `.cedar` files instead of the shipped rules.
    #[arg(long, value_name = "FOLDER")]
    rules: Option<PathBuf>,
}

fn level(word: &str) -> Result<Level, String> {
    let found = Level::ALL.into_iter().find(|level| level.word() == word);
    found.ok_or_else(|| "none, low, medium, high or critical".to_owned())
}

fn engine(text: &str) -> Result<(String, Level), String> {
    let (name, word) = text.split_once('=').ok_or_else(|| "ENGINE=LEVEL".to_owned())?;
    Ok((name.to_owned(), level(word)?))
}

/// Longest file of rules; the whole bundle has a bound of its own.
const MAX_RULES: u64 = 256 * 1024;

/// Runs a verb.
pub fn run(verb: PolicyVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        PolicyVerb::Bundle(bundle) => bundle.run(setting),
        PolicyVerb::Check { file } => {
            let bytes = read_bounded(&file, 2 * 1024 * 1024)?;
            show(&PolicySet::from_bundle(&bytes).map_err(refused)?, setting);
            Ok(())
        }
        PolicyVerb::Approver(verb) => approver::run(verb, setting),
    }
}

impl MakeBundle {
    fn run(self, setting: &Setting) -> Result<(), Fault> {
        let mut data = BundleData {
            licences: self.licence.into_iter().collect(),
            base_models_forbidden: self.forbid_base.into_iter().collect(),
            engine_advisories_accepted: self.accept_engine,
            engine_advisories: self.engine.into_iter().collect(),
            leased_models: self.leased.into_iter().collect(),
            ..BundleData::default()
        };
        data.model_signers.extend(self.identity);
        for path in &self.signer {
            // A certificate names its key; the root behind it travels in the release.
            let fingerprint = match read_public_key(path) {
                Ok(key) => key.fingerprint(),
                Err(_) => match read_certificates(path)?.first() {
                    Some(certificate) => certificate.public_key().fingerprint(),
                    None => continue,
                },
            };
            data.model_signers.insert(fingerprint.to_hex());
        }
        let mut bundle = Bundle::shipped(&self.name, &self.policy_version, data);
        if let Some(folder) = &self.rules {
            bundle.policies.clear();
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default()
                    .to_owned();
                if name.ends_with(".cedar") {
                    let text = String::from_utf8(read_bounded(&path, MAX_RULES)?);
                    let text =
                        text.map_err(|_| Fault::could_not_tell(format!("`{}` is not text", path.display()), ""))?;
                    bundle.policies.insert(name, text);
                }
            }
        }
        let bytes = bundle.to_bytes();
        let set = PolicySet::from_bundle(&bytes).map_err(refused)?;
        write_atomic(&self.out, &bytes)?;
        show(&set, setting);
        Ok(())
    }
}

fn show(set: &PolicySet, setting: &Setting) {
    let ids: Vec<String> = set.summaries().into_iter().map(|summary| summary.id).collect();
    if setting.json {
        let data = set.data();
        let said = json!({
            "name": set.name(), "version": set.version(), "digest": set.digest(), "policies": ids,
            "model_signers": data.model_signers, "licences": data.licences, "leased_models": data.leased_models,
        });
        println!("{said}");
        return;
    }
    println!(
        "policy    {} {} ({})",
        visible(set.name()),
        visible(set.version()),
        set.digest()
    );
    for id in ids {
        println!("    rule    {}", visible(&id));
    }
    for signer in &set.data().model_signers {
        println!("    signer  {}", visible(signer));
    }
    for licence in &set.data().licences {
        println!("    licence {}", visible(licence));
    }
    for model in &set.data().leased_models {
        println!("    leased  {}", visible(model));
    }
}

//! What a model's own signature and bill of materials say, verified once when the releases are read.
//!
//! Refuses to show a word of a bill that does not match the signed files. Invariant: a name beside a key is the name of the key's
//! file in the publisher's policy release; nothing that the model says about itself gives it one.

use std::collections::BTreeMap;

use freehold_trust::PublicKey;
use freehold_verify::bom::verify_bom;
use freehold_verify::model::{Signer, SignerTrust, verify_bundle};
use freehold_verify::release::{ReleaseDescriptor, ReleaseFile};
use freehold_verify::{Refusal as _, RefusalReport};
use serde_json::Value;

use super::ShelfFault;

/// Most facts of a bill that are shown: bounds what a bill can put on a page.
const FACTS: usize = 24;

/// What is known about a model.
#[derive(Debug, Clone, Default)]
pub struct ModelCard {
    /// The signer's name, as the publisher's policy release names its key; empty when it names none.
    pub signer: String,
    /// SHA-256 of the signer's key, hex; empty when the signature does not verify.
    pub fingerprint: String,
    /// Facts of the bill, name and value.
    pub facts: Vec<(String, String)>,
    /// What is at fault with signature or bill.
    pub faults: Vec<RefusalReport>,
}

/// Keys of model signers with the names that the publisher gave their files.
#[derive(Debug, Default)]
pub(super) struct Signers {
    names: BTreeMap<String, String>,
    keys: Vec<PublicKey>,
}

impl Signers {
    /// Adds a key file of a policy release.
    pub(super) fn add(&mut self, path: &str, pem: &[u8]) {
        let Ok(key) = PublicKey::from_spki_pem(&String::from_utf8_lossy(pem)) else {
            return;
        };
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = file.trim_end_matches(".pem").trim_end_matches(".pub");
        self.names.insert(key.fingerprint().to_hex(), name.to_owned());
        self.keys.push(key);
    }
}

/// Reads a model's card from files of the verified repository.
pub(super) fn read(
    descriptor: &ReleaseDescriptor,
    signers: &Signers,
    document: &dyn Fn(&str) -> Result<Vec<u8>, ShelfFault>,
    now: i64,
) -> ModelCard {
    let mut card = ModelCard::default();
    let bytes = |file: &Option<ReleaseFile>| document(&descriptor.target_of(&file.as_ref()?.path)).ok();
    let Some(bundle) = bytes(&descriptor.bundle) else {
        return card;
    };
    let trust = SignerTrust {
        keys: signers.keys.clone(),
        ..SignerTrust::default()
    };
    let manifest = match verify_bundle(&bundle, &trust, now) {
        Ok(manifest) => manifest,
        Err(rejection) => {
            card.faults.push(rejection.report());
            return card;
        }
    };
    match &manifest.signer {
        Signer::Key { fingerprint } => card.fingerprint = fingerprint.to_hex(),
        Signer::Certificate {
            subject, fingerprint, ..
        } => {
            card.signer.clone_from(subject);
            card.fingerprint = fingerprint.to_hex();
        }
        Signer::Keyless { identity, .. } => card.signer.clone_from(identity),
    }
    if let Some(name) = signers.names.get(&card.fingerprint) {
        card.signer.clone_from(name);
    }
    let bom = bytes(&descriptor.bom);
    match verify_bom(bom.as_deref(), &manifest) {
        Ok(bill) => {
            let mut put = |name: &str, values: &[String]| {
                if !values.is_empty() {
                    card.facts.push((name.to_owned(), values.join(", ")));
                }
            };
            put("Description", bill.description.as_slice());
            put("Licence", &bill.licences);
            put("Base model", &bill.base_models);
            if bill.base_models.is_empty() {
                put("Base model", &["none named".to_owned()]);
            }
            put("Trained on", &bill.datasets);
            card.facts.extend(more(&bom.unwrap_or_default()));
            card.facts.truncate(FACTS);
        }
        Err(rejection) => card.faults.push(rejection.report()),
    }
    card
}

/// Architecture, parameters, quantisation and context length: CycloneDX 1.6 `modelCard` and this project's properties.
fn more(bom: &[u8]) -> Vec<(String, String)> {
    let value: Value = serde_json::from_slice(bom).unwrap_or_default();
    let component = value.pointer("/metadata/component");
    let text = |pointer: &str| component?.pointer(pointer)?.as_str().map(str::to_owned);
    let mut facts = Vec::new();
    if let Some(family) = text("/modelCard/modelParameters/architectureFamily") {
        facts.push(("Architecture".to_owned(), family));
    }
    let properties = component.and_then(|component| component.get("properties")?.as_array());
    for property in properties.into_iter().flatten() {
        let field = |name: &str| property.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some((kind, path)) = field("name")
            .strip_prefix("freehold:")
            .and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        let value = field("value");
        let (name, value) = match kind {
            "parameters" => ("Parameters", parameters(value)),
            "quantisation" => ("Quantisation", value.to_owned()),
            "context_length" => ("Context", format!("{value} tokens")),
            _ => continue,
        };
        // One file of weights is the rule; with several, each fact says of which.
        let known = facts.iter().any(|(known, _)| known == name);
        facts.push(if known {
            (format!("{name} of {path}"), value)
        } else {
            (name.to_owned(), value)
        });
    }
    facts
}

/// A count of parameters as people say it, with the count itself.
fn parameters(count: &str) -> String {
    let Ok(number) = count.parse::<f64>() else {
        return count.to_owned();
    };
    let (divided, unit) = match number {
        number if number >= 1e9 => (number / 1e9, "billion"),
        number if number >= 1e6 => (number / 1e6, "million"),
        _ => return count.to_owned(),
    };
    format!("{divided:.1} {unit} ({count})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_a_bill_have_names_that_people_use() {
        let bom = serde_json::json!({"metadata": {"component": {
            "modelCard": {"modelParameters": {"architectureFamily": "llama"}},
            "properties": [
                {"name": "freehold:parameters:model.gguf", "value": "8030261248"},
                {"name": "freehold:quantisation:model.gguf", "value": "q8_0"},
                {"name": "freehold:context_length:model.gguf", "value": "8192"},
                {"name": "freehold:parameters:draft.gguf", "value": "4100000"},
                {"name": "other", "value": "x"},
            ],
        }}});
        let facts = more(bom.to_string().as_bytes());
        let facts: Vec<(&str, &str)> = facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            facts,
            [
                ("Architecture", "llama"),
                ("Parameters", "8.0 billion (8030261248)"),
                ("Quantisation", "q8_0"),
                ("Context", "8192 tokens"),
                ("Parameters of draft.gguf", "4.1 million (4100000)"),
            ]
        );
        assert!(more(b"no bill").is_empty());
    }
}

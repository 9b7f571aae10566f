//! The bill of materials of a model: CycloneDX 1.6 with one machine-learning-model, compared with the signature.
//!
//! Refuses a bill about other bytes than the signed ones, in whole (root digest) or in any file. It reads what admission
//! needs and passes over the rest of CycloneDX. Invariant: a [`ModelBom`] speaks of exactly the files in the manifest.

use std::collections::BTreeMap;

use freehold_trust::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonFault};
use crate::model::ModelManifest;
use crate::rejection::Refusal;
use crate::text::shown;
use crate::verified::Verified;

/// Bounds a bill: 65,536 files of 250 bytes each.
pub const MAX_BOM: usize = 16 * 1024 * 1024;
/// Most ancestors, datasets and licences that are repeated in facts (bounds what a page shows).
const MAX_LISTED: usize = 32;

/// Why a bill of materials is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BomRejection {
    /// There is none.
    #[error("the model has no bill of materials")]
    Missing,
    /// Not a CycloneDX 1.6 document with a model in it.
    #[error("the bill of materials is malformed: {detail}")]
    Malformed {
        /// Which part, and how.
        detail: String,
    },
    /// It speaks of other bytes than the signature.
    #[error("the bill of materials does not fit the signed model at `{what}`")]
    Mismatch {
        /// `model`, or the path of a file.
        what: String,
        /// The signed digest, if there is one.
        expected: Option<Sha256Digest>,
        /// The digest in the bill, if there is one.
        found: Option<Sha256Digest>,
    },
    /// It names no licence.
    #[error("the bill of materials names no licence")]
    Licence,
}

impl BomRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "model.bom_missing",
        "model.bom_malformed",
        "model.bom_mismatch",
        "model.bom_licence",
    ];
}

impl Refusal for BomRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "model.bom_missing",
            Self::Malformed { .. } => "model.bom_malformed",
            Self::Mismatch { .. } => "model.bom_mismatch",
            Self::Licence => "model.bom_licence",
        }
    }
    fn expected(&self) -> Option<String> {
        match self {
            Self::Mismatch { expected, .. } => expected.map(|digest| digest.to_hex()),
            Self::Malformed { .. } => Some("CycloneDX 1.6".to_owned()),
            _ => None,
        }
    }
    fn found(&self) -> Option<String> {
        match self {
            Self::Mismatch { found, .. } => found.map(|digest| digest.to_hex()),
            _ => None,
        }
    }
}

/// What a bill of materials says about a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelBom {
    /// The model's name.
    pub name: String,
    /// Its version, if stated.
    pub version: Option<String>,
    /// One line about it, if stated.
    pub description: Option<String>,
    /// SPDX identifiers or expressions, or names.
    pub licences: Vec<String>,
    /// Models that it was made from.
    pub base_models: Vec<String>,
    /// Names of the data that it was trained on.
    pub datasets: Vec<String>,
}

#[derive(Deserialize)]
struct BomJson {
    #[serde(rename = "bomFormat")]
    format: String,
    #[serde(rename = "specVersion")]
    version: String,
    metadata: MetadataJson,
    #[serde(default)]
    components: Vec<ComponentJson>,
}

#[derive(Deserialize)]
struct MetadataJson {
    component: ComponentJson,
}

#[derive(Deserialize)]
struct ComponentJson {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    version: Option<String>,
    description: Option<String>,
    #[serde(default)]
    hashes: Vec<HashJson>,
    #[serde(default)]
    licenses: Vec<LicenceJson>,
    pedigree: Option<PedigreeJson>,
    #[serde(rename = "modelCard")]
    card: Option<CardJson>,
}

#[derive(Deserialize)]
struct HashJson {
    alg: String,
    content: String,
}

#[derive(Deserialize)]
struct LicenceJson {
    license: Option<NamedJson>,
    expression: Option<String>,
}

#[derive(Deserialize)]
struct NamedJson {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct PedigreeJson {
    #[serde(default)]
    ancestors: Vec<AncestorJson>,
}

#[derive(Deserialize)]
struct AncestorJson {
    name: String,
}

#[derive(Deserialize)]
struct CardJson {
    #[serde(rename = "modelParameters")]
    parameters: Option<ParametersJson>,
}

#[derive(Deserialize)]
struct ParametersJson {
    #[serde(default)]
    datasets: Vec<NamedJson>,
}

impl ComponentJson {
    /// The one SHA-256 of a component.
    fn sha256(&self) -> Result<Option<Sha256Digest>, BomRejection> {
        let mut digests = self.hashes.iter().filter(|hash| hash.alg == "SHA-256");
        let Some(hash) = digests.next() else { return Ok(None) };
        let fault = |detail: &str| BomRejection::Malformed {
            detail: format!("{detail} of `{}`", shown(&self.name)),
        };
        if digests.next().is_some() {
            return Err(fault("two sha-256 digests"));
        }
        hash.content.parse().map(Some).map_err(|_| fault("the sha-256 digest"))
    }
}

/// Verifies a bill of materials against a verified manifest. `None` means that there is none.
///
/// # Errors
/// [`BomRejection`].
pub fn verify_bom(
    bytes: Option<&[u8]>,
    manifest: &Verified<ModelManifest>,
) -> Result<Verified<ModelBom>, BomRejection> {
    let bytes = bytes.ok_or(BomRejection::Missing)?;
    let malformed = |detail: String| BomRejection::Malformed { detail: shown(&detail) };
    let bom: BomJson = json::typed(bytes, MAX_BOM).map_err(|fault| match fault {
        JsonFault::TooLong { limit } => malformed(format!("longer than {limit} bytes")),
        JsonFault::Form(detail) => malformed(detail),
    })?;
    if bom.format != "CycloneDX" || bom.version != "1.6" {
        return Err(malformed(format!("{} {}", bom.format, bom.version)));
    }
    let model = bom.metadata.component;
    if model.kind != "machine-learning-model" {
        return Err(malformed(format!("it describes a `{}`", model.kind)));
    }
    let found = model.sha256()?;
    if found != Some(manifest.root) {
        return Err(BomRejection::Mismatch {
            what: "model".to_owned(),
            expected: Some(manifest.root),
            found,
        });
    }
    compare_files(&bom.components, manifest)?;
    let licences: Vec<String> = model.licenses.iter().filter_map(licence).take(MAX_LISTED).collect();
    if licences.is_empty() {
        return Err(BomRejection::Licence);
    }
    let ancestors = model.pedigree.map(|pedigree| pedigree.ancestors).unwrap_or_default();
    let datasets = model
        .card
        .and_then(|card| card.parameters)
        .map(|parameters| parameters.datasets)
        .unwrap_or_default();
    Ok(Verified::seal(ModelBom {
        name: model.name,
        version: model.version,
        description: model.description,
        licences,
        base_models: ancestors.into_iter().map(|one| one.name).take(MAX_LISTED).collect(),
        datasets: datasets
            .into_iter()
            .filter_map(|one| one.name)
            .take(MAX_LISTED)
            .collect(),
    }))
}

fn licence(entry: &LicenceJson) -> Option<String> {
    let named = entry
        .license
        .as_ref()
        .and_then(|licence| licence.id.clone().or_else(|| licence.name.clone()));
    entry
        .expression
        .clone()
        .or(named)
        .filter(|text| !text.trim().is_empty())
}

fn compare_files(components: &[ComponentJson], manifest: &Verified<ModelManifest>) -> Result<(), BomRejection> {
    let mut listed = BTreeMap::new();
    for component in components.iter().filter(|component| component.kind == "file") {
        if listed.insert(component.name.as_str(), component.sha256()?).is_some() {
            return Err(BomRejection::Malformed {
                detail: format!("`{}` twice", shown(&component.name)),
            });
        }
    }
    for file in &manifest.files {
        let found = listed.remove(file.path.as_str()).flatten();
        if found != Some(file.sha256) {
            return Err(BomRejection::Mismatch {
                what: shown(&file.path),
                expected: Some(file.sha256),
                found,
            });
        }
    }
    match listed.into_iter().next() {
        Some((path, found)) => Err(BomRejection::Mismatch {
            what: shown(path),
            expected: None,
            found,
        }),
        None => Ok(()),
    }
}

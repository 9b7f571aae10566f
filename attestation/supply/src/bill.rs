//! Bills of materials in CycloneDX 1.6, read: the components, as far as matching, pages and comparisons need them.
//!
//! Refuses another format, two components of one reference, and lists that no bill has. Invariant: a component that a bill names
//! is never dropped silently; one without a package URL is kept, and matches nothing.

use std::collections::BTreeSet;

use freehold_verify::json::{self, JsonFault};
use serde::{Deserialize, Serialize};

use crate::purl::Purl;
use crate::rejection::{SupplyRejection, shown};

/// Largest bill that is read: one that names every file of an image is some megabytes.
pub const MAX_BILL: usize = 64 * 1024 * 1024;
/// Most components.
const MAX_COMPONENTS: usize = 200_000;
/// Property in which the source package of a Debian package stands, as `name version`.
pub const SOURCE_PROPERTY: &str = "freehold:source";

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Component {
    /// `library`, `operating-system`, `machine-learning-model`, `application`, `file`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version; empty when the bill names none.
    pub version: String,
    /// Its package URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<Purl>,
    /// Licences: SPDX expressions or names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<String>,
    /// SHA-256, where the bill names one, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The source package of a Debian package and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<(String, String)>,
}

/// A bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// What it describes.
    pub about: Component,
    /// What that is made of, without single files.
    pub components: Vec<Component>,
    /// How many files it names.
    pub files: usize,
}

#[derive(Deserialize)]
struct BillJson {
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
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    name: String,
    version: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    hashes: Vec<HashJson>,
    #[serde(default)]
    licenses: Vec<LicenceJson>,
    #[serde(default)]
    properties: Vec<PropertyJson>,
    #[serde(default)]
    components: Vec<ComponentJson>,
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
struct PropertyJson {
    name: String,
    value: Option<String>,
}

impl Bill {
    /// Reads a bill.
    ///
    /// # Errors
    /// [`SupplyRejection::Bill`], [`SupplyRejection::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SupplyRejection> {
        let fault = |detail: String| SupplyRejection::Bill { detail: shown(&detail) };
        let bill: BillJson = json::typed(bytes, MAX_BILL).map_err(|error| match error {
            JsonFault::TooLong { limit } => SupplyRejection::TooLarge {
                what: "bill of materials",
                limit,
            },
            JsonFault::Form(detail) => fault(detail),
        })?;
        if bill.format != "CycloneDX" || !matches!(bill.version.as_str(), "1.5" | "1.6") {
            return Err(fault(format!("{} {}", bill.format, bill.version)));
        }
        let mut out = Self {
            about: read(&bill.metadata.component).map_err(fault)?,
            components: Vec::with_capacity(bill.components.len().min(4096)),
            files: 0,
        };
        let mut seen = BTreeSet::new();
        // Components inside components count like the others.
        let mut left: Vec<ComponentJson> = bill.components;
        left.reverse();
        let mut count = 0_usize;
        while let Some(mut one) = left.pop() {
            count = count.saturating_add(1);
            if count > MAX_COMPONENTS {
                return Err(SupplyRejection::Count {
                    found: count,
                    limit: MAX_COMPONENTS,
                });
            }
            if let Some(reference) = &one.reference
                && !seen.insert(reference.clone())
            {
                return Err(fault(format!("`{reference}` twice")));
            }
            left.extend(std::mem::take(&mut one.components));
            if one.kind == "file" {
                out.files = out.files.saturating_add(1);
            } else {
                out.components.push(read(&one).map_err(fault)?);
            }
        }
        Ok(out)
    }
}

fn read(component: &ComponentJson) -> Result<Component, String> {
    let purl = match &component.purl {
        Some(text) => Some(text.parse().map_err(|_| format!("`{text}` is no package URL"))?),
        None => None,
    };
    let licence = |one: &LicenceJson| {
        let named = one
            .license
            .as_ref()
            .and_then(|named| named.id.clone().or_else(|| named.name.clone()));
        one.expression.clone().or(named)
    };
    let property = |name: &str| {
        component
            .properties
            .iter()
            .find(|property| property.name == name)
            .and_then(|property| property.value.as_deref())
    };
    Ok(Component {
        kind: component.kind.clone(),
        name: component.name.clone(),
        version: component.version.clone().unwrap_or_default(),
        purl,
        licences: component
            .licenses
            .iter()
            .filter_map(licence)
            .map(|text| shown(&text))
            .collect(),
        sha256: component
            .hashes
            .iter()
            .find(|hash| hash.alg == "SHA-256")
            .map(|hash| hash.content.to_ascii_lowercase()),
        source: property(SOURCE_PROPERTY)
            .and_then(|text| text.split_once(' '))
            .map(|(name, version)| (name.to_owned(), version.to_owned())),
    })
}

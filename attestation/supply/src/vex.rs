//! Statements on exploitability (OpenVEX 0.2): "this product is not affected, because …", by somebody whose word counts.
//!
//! Refuses a statement without a signature of a trusted key, one for another version, one that is too old, and two of the same
//! time that contradict each other: then the advisory stands. Invariant: silence never makes a finding go away.

use std::collections::BTreeSet;

use freehold_trust::PublicKey;
use freehold_trust::dsse::Envelope;
use freehold_verify::json::{self, JsonFault};
use serde::{Deserialize, Serialize};

use crate::advisory::Advisory;
use crate::bill::Component;
use crate::purl::Purl;
use crate::rejection::{SupplyRejection, shown};

/// DSSE payload type of a signed OpenVEX document.
pub const VEX_TYPE: &str = "application/vnd.openvex+json";
/// Largest document.
const MAX_VEX: usize = 16 * 1024 * 1024;
/// Most products and statements of a document.
const MAX_LIST: usize = 65_536;
/// How long a statement counts, in seconds: a year. Whoever still thinks so says it again.
pub const VALID_SECONDS: i64 = 366 * 24 * 3600;

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VexStatus {
    /// The product does not have the fault, or it cannot be reached.
    NotAffected,
    /// It has it.
    Affected,
    /// It has been mended in this version.
    Fixed,
    /// Somebody is looking.
    UnderInvestigation,
}

/// One statement by somebody trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VexStatement {
    /// The advisory's identifier or an alias.
    pub vulnerability: String,
    /// The products and their parts that it speaks of.
    pub products: Vec<Purl>,
    /// What it says.
    pub status: VexStatus,
    /// Why not: a justification or an impact statement.
    pub why: String,
    /// When it was said, Unix seconds.
    pub at: i64,
    /// Fingerprint of the key that signed it.
    pub signer: String,
}

/// Every statement that was taken in.
#[derive(Debug, Clone, Default)]
pub struct VexBook {
    statements: Vec<VexStatement>,
}

#[derive(Deserialize)]
struct DocumentJson {
    #[serde(rename = "@context")]
    context: String,
    timestamp: String,
    statements: Vec<StatementJson>,
}

#[derive(Deserialize)]
struct StatementJson {
    vulnerability: VulnerabilityJson,
    #[serde(default)]
    products: Vec<ProductJson>,
    status: VexStatus,
    justification: Option<String>,
    impact_statement: Option<String>,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct VulnerabilityJson {
    name: String,
}

#[derive(Deserialize)]
struct ProductJson {
    #[serde(rename = "@id")]
    id: String,
    #[serde(default)]
    subcomponents: Vec<ProductJson>,
}

impl VexBook {
    /// Takes in a signed document: a DSSE envelope over OpenVEX, by one of `keys`.
    ///
    /// # Errors
    /// [`SupplyRejection::Signature`] for strangers, [`SupplyRejection::Vex`], [`SupplyRejection::TooLarge`].
    pub fn add(&mut self, envelope: &[u8], keys: &[PublicKey]) -> Result<usize, SupplyRejection> {
        let fault = |detail: &str| SupplyRejection::Vex { detail: shown(detail) };
        let envelope = Envelope::parse(envelope, MAX_VEX).map_err(|error| fault(&error.to_string()))?;
        let signer = envelope
            .signers(keys)
            .into_iter()
            .next()
            .ok_or(SupplyRejection::Signature {
                what: "statement on exploitability",
            })?;
        let payload = envelope
            .verify(VEX_TYPE, keys, 1)
            .map_err(|error| fault(&error.to_string()))?;
        let document: DocumentJson = json::typed(&payload, MAX_VEX).map_err(|error| match error {
            JsonFault::TooLong { limit } => SupplyRejection::TooLarge {
                what: "statement on exploitability",
                limit,
            },
            JsonFault::Form(detail) => fault(&detail),
        })?;
        if !document.context.starts_with("https://openvex.dev/ns/v0.2") {
            return Err(fault("not OpenVEX 0.2"));
        }
        if document.statements.len() > MAX_LIST {
            return Err(fault("too many statements"));
        }
        let mut read = Vec::with_capacity(document.statements.len());
        for one in document.statements {
            let at = seconds(one.timestamp.as_deref().unwrap_or(&document.timestamp)).ok_or_else(|| fault("a time"))?;
            let why = one.justification.or(one.impact_statement).unwrap_or_default();
            // OpenVEX: "not affected" has to say why.
            if one.status == VexStatus::NotAffected && why.trim().is_empty() {
                return Err(fault("not affected, without a reason"));
            }
            let mut products = Vec::new();
            for product in &one.products {
                // A part of a product is what a bill lists; without parts the product itself is meant.
                let named = if product.subcomponents.is_empty() {
                    std::slice::from_ref(product)
                } else {
                    product.subcomponents.as_slice()
                };
                for part in named {
                    products.push(
                        part.id
                            .parse::<Purl>()
                            .map_err(|_| fault("a product that is no package URL"))?,
                    );
                }
            }
            if products.is_empty() || products.len() > MAX_LIST {
                return Err(fault("no products, or too many"));
            }
            read.push(VexStatement {
                vulnerability: one.vulnerability.name,
                products,
                status: one.status,
                why: shown(&why),
                at,
                signer: signer.to_hex(),
            });
        }
        let count = read.len();
        self.statements.extend(read);
        Ok(count)
    }

    /// The latest word on an advisory in a component at `now`; `None` when there is none that counts.
    #[must_use]
    pub fn about(&self, advisory: &Advisory, component: &Component, now: i64) -> Option<&VexStatement> {
        let purl = component.purl.as_ref()?;
        let names: BTreeSet<&str> = advisory.names().collect();
        let fresh =
            |statement: &&VexStatement| statement.at <= now && now.saturating_sub(statement.at) <= VALID_SECONDS;
        let fitting = self
            .statements
            .iter()
            .filter(|one| names.contains(one.vulnerability.as_str()))
            .filter(|one| one.products.iter().any(|product| product.covers(purl)))
            .filter(fresh);
        let mut latest: Option<&VexStatement> = None;
        let mut contradicted = false;
        for one in fitting {
            match latest {
                Some(known) if known.at > one.at => {}
                Some(known) if known.at == one.at => contradicted |= known.status != one.status,
                _ => {
                    latest = Some(one);
                    contradicted = false;
                }
            }
        }
        latest.filter(|_| !contradicted)
    }

    /// How many statements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

fn seconds(text: &str) -> Option<i64> {
    use time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(time::OffsetDateTime::unix_timestamp)
}

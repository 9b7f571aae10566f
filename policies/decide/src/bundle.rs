//! A policy bundle: the bytes of a policy release.
//!
//! Refuses unknown fields and sizes that no real bundle has (G02). Invariant: what is hashed and signed are the bytes as they
//! came.

use std::collections::{BTreeMap, BTreeSet};

use freehold_trust::sha256;
use serde::{Deserialize, Serialize};

use crate::rejection::PolicyUnusable;
use crate::shipped::{EARLIER, SCHEMA, shipped_policies};

/// The largest bundle: policies are some kilobytes; this bounds what a swapped file can make us parse.
pub(crate) const BUNDLE_LIMIT: usize = 1024 * 1024;
/// The most files.
const FILES_LIMIT: usize = 64;
/// The most policy text in all, bytes: bounds parsing and type checking, which are slower than reading.
const TEXT_LIMIT: usize = 256 * 1024;
/// The most entries in a list of the data.
const DATA_LIMIT: usize = 1024;

/// What a fleet sets beside the rules: who may sign models, which licences are fine, which models need a fresh verdict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleData {
    /// Signers of models: fingerprints (hex of SHA-256 of the SPKI) or identities.
    #[serde(default)]
    pub model_signers: BTreeSet<String>,
    /// Licences of models, SPDX expressions, compared as text.
    #[serde(default)]
    pub licences: BTreeSet<String>,
    /// Base models that nothing may be made from, by the names that bills of materials give.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub base_models_forbidden: BTreeSet<String>,
    /// The worst open advisory that an engine may have; `None` demands nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_advisories_accepted: Option<Level>,
    /// What is open against each engine, by name, as the publisher matched its bill of materials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engine_advisories: BTreeMap<String, Level>,
    /// Models, by name, that run only under a fresh verdict of the console (a verdict lease); `*` stands for all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub leased_models: BTreeSet<String>,
}

/// How bad an advisory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is open.
    None,
    /// A low one.
    Low,
    /// A medium one.
    Medium,
    /// A high one.
    High,
    /// A critical one.
    Critical,
}

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 5] = [Self::None, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word of policies.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A policy bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Major version of this form, 1.
    pub v: u32,
    /// The bundle's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 (hex) of the schema that it was made for.
    pub schema: String,
    /// File name → Cedar text.
    pub policies: BTreeMap<String, String>,
    /// What the fleet sets beside the rules.
    #[serde(default)]
    pub data: BundleData,
}

impl Bundle {
    /// The shipped policies with a fleet's data.
    #[must_use]
    pub fn shipped(name: &str, version: &str, data: BundleData) -> Self {
        Self {
            v: 1,
            name: name.to_owned(),
            version: version.to_owned(),
            schema: sha256(SCHEMA.as_bytes()).to_hex(),
            policies: shipped_policies(),
            data,
        }
    }

    /// The bytes to release.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Parses a bundle and checks its sizes, version and schema; not its policies.
    ///
    /// # Errors
    /// [`PolicyUnusable`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyUnusable> {
        let within = |unit, found, limit| {
            if found > limit {
                Err(PolicyUnusable::TooLarge { unit, found, limit })
            } else {
                Ok(())
            }
        };
        within("bytes", bytes.len(), BUNDLE_LIMIT)?;
        let bundle: Self = serde_json::from_slice(bytes).map_err(|error| PolicyUnusable::Malformed {
            fault: format!("line {}, column {}", error.line(), error.column()),
        })?;
        if bundle.v != 1 {
            return Err(PolicyUnusable::Malformed {
                fault: format!("version {} is not known here", bundle.v),
            });
        }
        within("files", bundle.policies.len(), FILES_LIMIT)?;
        within(
            "bytes of policy",
            bundle.policies.values().map(String::len).sum(),
            TEXT_LIMIT,
        )?;
        within("signers", bundle.data.model_signers.len(), DATA_LIMIT)?;
        within("licences", bundle.data.licences.len(), DATA_LIMIT)?;
        within("base models", bundle.data.base_models_forbidden.len(), DATA_LIMIT)?;
        within("engines", bundle.data.engine_advisories.len(), DATA_LIMIT)?;
        within("leased models", bundle.data.leased_models.len(), DATA_LIMIT)?;
        let expected = sha256(SCHEMA.as_bytes()).to_hex();
        if bundle.schema != expected && bundle.missing_files().is_none() {
            let found = bundle.schema.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(PolicyUnusable::OtherSchema { expected, found });
        }
        Ok(bundle)
    }

    /// For a bundle of an earlier schema the shipped files that stand in for what it could not speak of; `None` for any
    /// other schema.
    pub(crate) fn missing_files(&self) -> Option<&'static [&'static str]> {
        let of = |(schema, files): &(&str, &'static [&'static str])| (*schema == self.schema).then_some(*files);
        EARLIER.iter().find_map(of)
    }
}

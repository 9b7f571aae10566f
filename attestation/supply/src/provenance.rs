//! Where a release comes from: an in-toto statement with SLSA provenance (v1), in a DSSE envelope.
//!
//! Refuses a statement that another key signed, another type, another builder, and any difference between the files that it names
//! and the files that are there: one subject too many is as wrong as one too few. Invariant: a [`Provenance`] exists only for
//! exactly the files that were asked about.

use std::collections::BTreeMap;

use freehold_trust::dsse::Envelope;
use freehold_trust::{PublicKey, Sha256Digest, SigningKey};
use freehold_verify::json::{self, JsonFault};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rejection::{SupplyRejection, shown};

/// DSSE payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The predicate that is read here.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// The statement type.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Build type of the image: what its parameters mean is written in docs/supply.md.
pub const BUILD_TYPE: &str = "urn:freehold:build:image:v1";
/// Largest envelope.
const MAX_PROVENANCE: usize = 16 * 1024 * 1024;
/// Most subjects and materials.
const MAX_LIST: usize = 65_536;

/// What a provenance says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// Who built it.
    pub builder: String,
    /// What kind of build.
    pub build_type: String,
    /// What was asked for.
    pub parameters: BTreeMap<String, String>,
    /// What went in: URI and SHA-256.
    pub materials: Vec<(String, String)>,
    /// The files, by name.
    pub subjects: BTreeMap<String, Sha256Digest>,
}

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// Who built it: a URI that policy can name.
    pub builder: &'a str,
    /// What was asked for.
    pub parameters: &'a BTreeMap<String, String>,
    /// What went in: URI and SHA-256 in hexadecimal.
    pub materials: &'a [(String, String)],
    /// The files, by name.
    pub subjects: &'a BTreeMap<String, Sha256Digest>,
}

/// Writes and signs a provenance.
#[must_use]
pub fn sign_provenance(build: &Build<'_>, key: &SigningKey) -> Vec<u8> {
    let subjects: Vec<Value> = build
        .subjects
        .iter()
        .map(|(name, digest)| json!({ "name": name, "digest": { "sha256": digest.to_hex() } }))
        .collect();
    let materials: Vec<Value> = build
        .materials
        .iter()
        .map(|(uri, digest)| json!({ "uri": uri, "digest": { "sha256": digest } }))
        .collect();
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": build.parameters,
                "resolvedDependencies": materials,
            },
            "runDetails": { "builder": { "id": build.builder } },
        },
    });
    let payload = serde_json::to_vec(&statement).unwrap_or_default();
    Envelope::sign(PAYLOAD_TYPE, &payload, &[key]).to_json()
}

#[derive(Deserialize)]
struct StatementJson {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectJson>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Value,
}

#[derive(Deserialize)]
struct SubjectJson {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PredicateJson {
    #[serde(rename = "buildDefinition")]
    definition: DefinitionJson,
    #[serde(rename = "runDetails")]
    run: RunJson,
}

#[derive(Deserialize)]
struct DefinitionJson {
    #[serde(rename = "buildType")]
    build_type: String,
    #[serde(rename = "externalParameters", default)]
    parameters: BTreeMap<String, Value>,
    #[serde(rename = "resolvedDependencies", default)]
    materials: Vec<MaterialJson>,
}

#[derive(Deserialize)]
struct MaterialJson {
    uri: Option<String>,
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RunJson {
    builder: BuilderJson,
}

#[derive(Deserialize)]
struct BuilderJson {
    id: String,
}

/// Checks a provenance: signed by one of `keys`, built by one of `builders`, about exactly `files`.
///
/// # Errors
/// [`SupplyRejection`], in this order: form, signature, type, subjects, builder.
pub fn verify_provenance(
    envelope: &[u8],
    keys: &[PublicKey],
    builders: &[String],
    files: &BTreeMap<String, Sha256Digest>,
) -> Result<Provenance, SupplyRejection> {
    let fault = |detail: String| SupplyRejection::Provenance { detail: shown(&detail) };
    json::parse(envelope, MAX_PROVENANCE).map_err(|error| fault(error.to_string()))?;
    let envelope = Envelope::parse(envelope, MAX_PROVENANCE).map_err(|error| fault(error.to_string()))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(SupplyRejection::PredicateType {
            found: shown(&envelope.payload_type),
        });
    }
    let payload = envelope
        .verify(PAYLOAD_TYPE, keys, 1)
        .map_err(|_| SupplyRejection::Signature { what: "provenance" })?;
    let statement: StatementJson = json::typed(&payload, MAX_PROVENANCE).map_err(|error| match error {
        JsonFault::TooLong { limit } => SupplyRejection::TooLarge {
            what: "provenance",
            limit,
        },
        JsonFault::Form(detail) => fault(detail),
    })?;
    if statement.kind != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
        let found = if statement.kind == STATEMENT_TYPE {
            statement.predicate_type
        } else {
            statement.kind
        };
        return Err(SupplyRejection::PredicateType { found: shown(&found) });
    }
    let subjects = compare(statement.subject, files)?;
    let predicate: PredicateJson =
        serde_json::from_value(statement.predicate).map_err(|error| fault(error.to_string()))?;
    if predicate.definition.materials.len() > MAX_LIST {
        return Err(fault("too many materials".to_owned()));
    }
    if !builders.contains(&predicate.run.builder.id) {
        return Err(SupplyRejection::Builder {
            found: shown(&predicate.run.builder.id),
        });
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(Provenance {
        builder: predicate.run.builder.id,
        build_type: predicate.definition.build_type,
        parameters: predicate
            .definition
            .parameters
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect(),
        materials: predicate
            .definition
            .materials
            .into_iter()
            .map(|one| {
                (
                    one.uri.unwrap_or_default(),
                    one.digest.get("sha256").cloned().unwrap_or_default(),
                )
            })
            .collect(),
        subjects,
    })
}

fn compare(
    subjects: Vec<SubjectJson>,
    files: &BTreeMap<String, Sha256Digest>,
) -> Result<BTreeMap<String, Sha256Digest>, SupplyRejection> {
    let fault = |detail: &str| SupplyRejection::Provenance { detail: shown(detail) };
    if subjects.is_empty() || subjects.len() > MAX_LIST {
        return Err(fault("no subjects, or too many"));
    }
    let mut named = BTreeMap::new();
    for subject in subjects {
        let digest = subject
            .digest
            .get("sha256")
            .and_then(|hex| hex.parse::<Sha256Digest>().ok())
            .ok_or_else(|| fault("a subject without a sha256 digest"))?;
        let different = |expected: String| SupplyRejection::Subject {
            name: shown(&subject.name),
            expected,
            found: Some(digest.to_hex()),
        };
        match files.get(&subject.name) {
            Some(file) if *file == digest => {}
            Some(file) => return Err(different(file.to_hex())),
            None => return Err(different("no such file".to_owned())),
        }
        if named.insert(subject.name.clone(), digest).is_some() {
            return Err(fault("a subject twice"));
        }
    }
    match files.iter().find(|(name, _)| !named.contains_key(*name)) {
        Some((name, digest)) => Err(SupplyRejection::Subject {
            name: shown(name),
            expected: digest.to_hex(),
            found: None,
        }),
        None => Ok(named),
    }
}

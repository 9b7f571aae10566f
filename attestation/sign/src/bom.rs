//! Makes a model's bill of materials: CycloneDX 1.6, from the files' digests, the weights' header and what its maker says.
//!
//! Refuses to make one without a licence. It states what is known and invents nothing: a field without a source is left
//! out. Invariant: the bill carries the root digest and every file's digest of the signature that it travels with.

use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_verify::format::ModelHeader;
use freehold_verify::model::ModelFile;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A bill could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BomError {
    /// No licence was given, and the weights name none.
    #[error("no licence was given and the weights name none")]
    Licence,
    /// The time cannot be written.
    #[error("`{0}` is not a time that can be written")]
    Time(i64),
    /// JSON could not be written.
    #[error("cannot write the bill of materials")]
    Json(#[source] serde_json::Error),
}

/// What the model's maker says.
#[derive(Debug, Clone, Default)]
pub struct BomDescription {
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// One line about it.
    pub description: Option<String>,
    /// SPDX identifier or expression, or the licence's name; the weights' own is taken when it is absent.
    pub licence: Option<String>,
    /// Models that it was made from.
    pub base_models: Vec<String>,
    /// Names of the data that it was trained on.
    pub datasets: Vec<String>,
}

/// Makes the bill for signed files; `headers` are those of the weights, by path; `now` in unix seconds.
///
/// # Errors
/// [`BomError`].
pub fn make_bom(
    description: &BomDescription,
    files: &[ModelFile],
    headers: &[(String, ModelHeader)],
    now: i64,
) -> Result<Vec<u8>, BomError> {
    let root = crate::model::root_digest(files);
    let from_weights = headers.iter().find_map(|(_, header)| header.licence.clone());
    let licence = description
        .licence
        .clone()
        .or(from_weights)
        .filter(|text| !text.trim().is_empty());
    let licence = licence.ok_or(BomError::Licence)?;
    let time = OffsetDateTime::from_unix_timestamp(now).map_err(|_| BomError::Time(now))?;
    let time = time.format(&Rfc3339).map_err(|_| BomError::Time(now))?;
    let file = |file: &ModelFile| {
        json!({
            "type": "file", "bom-ref": format!("file:{}", file.path), "name": file.path, "hashes": hashes(file.sha256),
        })
    };
    let components: Vec<Value> = files.iter().map(file).collect();
    let bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(root, &description.name),
        "version": 1,
        "metadata": {
            "timestamp": time,
            "tools": { "components": [{ "type": "application", "name": "freehold", "version": env!("CARGO_PKG_VERSION") }] },
            "component": model(description, root, &licence, headers),
        },
        "components": components,
    });
    serde_json::to_vec_pretty(&bom).map_err(BomError::Json)
}

fn hashes(digest: Sha256Digest) -> Value {
    json!([{ "alg": "SHA-256", "content": digest.to_hex() }])
}

/// A version 8 UUID (RFC 9562, "custom") from the model's digest and name: the same model has the same serial number.
fn serial(root: Sha256Digest, name: &str) -> String {
    let digest = sha256(format!("freehold bom {root} {name}").as_bytes());
    let mut hex: Vec<char> = digest.to_hex().chars().take(32).collect();
    for (at, digit) in [(12, '8'), (16, 'a')] {
        if let Some(slot) = hex.get_mut(at) {
            *slot = digit;
        }
    }
    let part = |from: usize, count: usize| hex.iter().skip(from).take(count).collect::<String>();
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 4),
        part(12, 4),
        part(16, 4),
        part(20, 12)
    )
}

fn model(description: &BomDescription, root: Sha256Digest, licence: &str, headers: &[(String, ModelHeader)]) -> Value {
    let mut model = Map::new();
    let mut put = |key: &str, value: Value| drop(model.insert(key.to_owned(), value));
    put("type", json!("machine-learning-model"));
    put("bom-ref", json!("model"));
    put("name", json!(description.name));
    if let Some(version) = &description.version {
        put("version", json!(version));
    }
    if let Some(text) = &description.description {
        put("description", json!(text));
    }
    put("hashes", hashes(root));
    put("licenses", licences(licence));
    if !description.base_models.is_empty() {
        let one = |name: &String| json!({ "type": "machine-learning-model", "name": name });
        let ancestors: Vec<Value> = description.base_models.iter().map(one).collect();
        put("pedigree", json!({ "ancestors": ancestors }));
    }
    if let Some(parameters) = parameters(description, headers) {
        put("modelCard", json!({ "modelParameters": parameters }));
    }
    let properties = properties(headers);
    if !properties.is_empty() {
        put("properties", Value::Array(properties));
    }
    Value::Object(model)
}

/// CycloneDX takes an SPDX expression, of which one identifier is the shortest, or a free name.
fn licences(licence: &str) -> Value {
    let spdx = licence.split_whitespace().all(|word| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-+()".contains(&byte))
    });
    let operators = licence
        .split_whitespace()
        .any(|word| matches!(word, "AND" | "OR" | "WITH"));
    if spdx && (operators || !licence.contains(' ')) {
        json!([{ "expression": licence }])
    } else {
        json!([{ "license": { "name": licence } }])
    }
}

fn parameters(description: &BomDescription, headers: &[(String, ModelHeader)]) -> Option<Value> {
    let mut parameters = Map::new();
    let mut put = |key: &str, value: Value| drop(parameters.insert(key.to_owned(), value));
    if let Some(family) = headers.iter().find_map(|(_, header)| header.architecture.clone()) {
        put("architectureFamily", json!(family));
    }
    if let Some(name) = headers.iter().find_map(|(_, header)| header.name.clone()) {
        put("modelArchitecture", json!(name));
    }
    if !description.datasets.is_empty() {
        let one = |name: &String| json!({ "type": "dataset", "name": name });
        put("datasets", Value::Array(description.datasets.iter().map(one).collect()));
    }
    (!parameters.is_empty()).then_some(Value::Object(parameters))
}

fn properties(headers: &[(String, ModelHeader)]) -> Vec<Value> {
    let mut properties = Vec::new();
    for (path, header) in headers {
        let mut put = |name: &str, value: String| {
            properties.push(json!({ "name": format!("freehold:{name}:{path}"), "value": value }));
        };
        put("parameters", header.parameters.to_string());
        if let Some(quantisation) = &header.quantisation {
            put("quantisation", quantisation.clone());
        }
        if let Some(context) = header.context_length {
            put("context_length", context.to_string());
        }
    }
    properties
}

//! References of an assessment: each leads to something, and no identifier stands twice.
//!
//! Refuses what schema checkers pass over: an observation, subject or resource that is referred to and not there, and a resource
//! whose file is missing or another. Invariant: every `uuid` of the document is collected before any reference is looked up.

use std::collections::BTreeSet;

use freehold_trust::sha256;
use serde_json::Value;

use crate::rejection::AuditRejection;
use crate::verify::Files;

/// Checks every reference of `assessment` against the document itself and against `files`.
///
/// # Errors
/// `report.reference`, `report.reference_twice`, `report.file_missing`, `report.file_changed`.
pub fn resolve(assessment: &Value, files: &Files<'_>) -> Result<(), AuditRejection> {
    let mut known = BTreeSet::new();
    collect(assessment, &mut known)?;
    refer(assessment, &known, files)
}

fn collect<'v>(value: &'v Value, known: &mut BTreeSet<&'v str>) -> Result<(), AuditRejection> {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if let ("uuid", Some(uuid)) = (name.as_str(), inner.as_str())
                    && !known.insert(uuid)
                {
                    return Err(AuditRejection::ReferenceTwice {
                        reference: uuid.to_owned(),
                    });
                }
                collect(inner, known)?;
            }
            Ok(())
        }
        Value::Array(list) => list.iter().try_for_each(|inner| collect(inner, known)),
        _ => Ok(()),
    }
}

fn refer(value: &Value, known: &BTreeSet<&str>, files: &Files<'_>) -> Result<(), AuditRejection> {
    let dangling = |reference: &str| AuditRejection::Reference {
        reference: reference.to_owned(),
    };
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match (name.as_str(), inner.as_str()) {
                    (name, Some(reference)) if name.ends_with("-uuid") => {
                        if !known.contains(reference) {
                            return Err(dangling(reference));
                        }
                    }
                    ("href", Some(reference)) => match reference.strip_prefix('#') {
                        Some(uuid) if known.contains(uuid) => {}
                        Some(_) => return Err(dangling(reference)),
                        None => file(reference, map.get("hashes"), files)?,
                    },
                    _ => refer(inner, known, files)?,
                }
            }
            Ok(())
        }
        Value::Array(list) => list.iter().try_for_each(|inner| refer(inner, known, files)),
        _ => Ok(()),
    }
}

/// A link to a file has that file's SHA-256 beside it.
fn file(name: &str, hashes: Option<&Value>, files: &Files<'_>) -> Result<(), AuditRejection> {
    let found = sha256(files.need(name)?).to_hex();
    let expected = hashes
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|hash| hash.get("algorithm").and_then(Value::as_str) == Some("SHA-256"))
        .and_then(|hash| hash.get("value")?.as_str())
        .ok_or_else(|| AuditRejection::Reference {
            reference: format!("{name} without its SHA-256"),
        })?;
    if expected == found {
        Ok(())
    } else {
        Err(AuditRejection::FileChanged {
            file: name.to_owned(),
            expected: expected.to_owned(),
            found,
        })
    }
}

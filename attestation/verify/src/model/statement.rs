//! The in-toto statement inside a model signature: which files, with which digests.
//!
//! Refuses more than the reference implementation does: shards, symbolic links, other digests than SHA-256, names that
//! climb or collide, a root digest that does not fit, and ignored paths that could hide something. Invariant: the list is
//! in one order, without duplicates, and each name stays below the folder.

use std::collections::BTreeSet;

use freehold_trust::digest::{Sha256Digest, Sha256Hasher};
use serde::{Deserialize, Serialize};

use super::name;
use super::rejection::ModelRejection;
use crate::json::{self, JsonFault};
use crate::text::shown;

/// in-toto Statement v1, section "Fields".
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// OpenSSF Model Signing 1.0, section "Predicate".
pub const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
/// Bounds the work that one signature can ask for (a list of a million names).
pub const MAX_FILES: usize = 65_536;
/// Paths that the reference implementation leaves out by default; top level only.
pub const DEFAULT_IGNORED: &[&str] = &[".git", ".gitattributes", ".github", ".gitignore"];
/// A signature file may lie in the folder it signs; no model file has one of these endings.
const SIGNATURE_ENDINGS: &[&str] = &[".sig", ".sigstore", ".sigstore.json", ".bundle.json"];
/// Most ignored paths (bounds the check of each name against each of them).
const MAX_IGNORED: usize = 64;

/// One signed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelFile {
    /// Path below the model's folder, `/` between parts.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
}

/// What a statement says, its form and its inner consistency checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) name: String,
    pub(crate) root: Sha256Digest,
    pub(crate) files: Vec<ModelFile>,
    pub(crate) ignored: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementJson {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectJson>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    // Read after the predicate type is known: another predicate has another shape.
    predicate: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectJson {
    name: String,
    digest: DigestJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestJson {
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredicateJson {
    resources: Vec<ResourceJson>,
    serialization: SerializationJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceJson {
    name: String,
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SerializationJson {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
    // Only shards have one; whatever its type, its presence says that files were cut.
    shard_size: Option<serde_json::Value>,
}

/// Lower-case hexadecimal only: one digest, one spelling.
fn digest(name: &str, text: &str) -> Result<Sha256Digest, ModelRejection> {
    let fault = || ModelRejection::DigestForm { name: shown(name) };
    if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(fault());
    }
    text.parse().map_err(|_| fault())
}

impl Statement {
    /// Reads the signed payload. `tolerated` are ignored paths that the caller accepts beyond the defaults.
    pub(crate) fn parse(payload: &[u8], tolerated: &[String]) -> Result<Self, ModelRejection> {
        let form = |fault| match fault {
            JsonFault::TooLong { limit } => ModelRejection::TooLarge { limit },
            JsonFault::Form(detail) => ModelRejection::Malformed { detail: shown(&detail) },
        };
        let statement: StatementJson = json::typed(payload, super::bundle::MAX_BUNDLE).map_err(form)?;
        if statement.kind != STATEMENT_TYPE {
            return Err(ModelRejection::malformed(format!(
                "statement type `{}`",
                shown(&statement.kind)
            )));
        }
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(ModelRejection::PredicateType {
                found: shown(&statement.predicate_type),
            });
        }
        let [subject] = statement.subject.as_slice() else {
            return Err(ModelRejection::malformed(format!(
                "{} subjects",
                statement.subject.len()
            )));
        };
        name::check(&subject.name)?;
        let predicate: PredicateJson =
            serde_json::from_value(statement.predicate).map_err(|error| ModelRejection::Malformed {
                detail: shown(&error.to_string()),
            })?;
        check_serialization(&predicate.serialization)?;
        let files = files(&predicate.resources)?;
        let ignored = ignored(predicate.serialization.ignore_paths, tolerated, &files)?;

        let mut hasher = Sha256Hasher::new();
        for file in &files {
            hasher.update(file.sha256.as_bytes());
        }
        let root = hasher.finish();
        if digest("subject", &subject.digest.sha256)? != root {
            return Err(ModelRejection::RootDigest {
                expected: root,
                found: shown(&subject.digest.sha256),
            });
        }
        Ok(Self {
            name: subject.name.clone(),
            root,
            files,
            ignored,
        })
    }
}

fn check_serialization(serialization: &SerializationJson) -> Result<(), ModelRejection> {
    // The reference implementation's own verifier crashes on its shards, and a shard list says nothing about empty files.
    if serialization.method == "shards" || serialization.shard_size.is_some() {
        return Err(ModelRejection::Shards);
    }
    if serialization.method != "files" {
        return Err(ModelRejection::malformed(format!(
            "method `{}`",
            shown(&serialization.method)
        )));
    }
    if serialization.hash_type != "sha256" {
        let found = shown(&serialization.hash_type);
        return Err(ModelRejection::DigestAlgorithm {
            name: "serialization".to_owned(),
            found,
        });
    }
    if serialization.allow_symlinks {
        return Err(ModelRejection::Symlinks);
    }
    Ok(())
}

fn files(resources: &[ResourceJson]) -> Result<Vec<ModelFile>, ModelRejection> {
    if resources.is_empty() || resources.len() > MAX_FILES {
        return Err(ModelRejection::FileCount { found: resources.len() });
    }
    let mut files = Vec::with_capacity(resources.len());
    let mut folded = BTreeSet::new();
    for resource in resources {
        name::check(&resource.name)?;
        if resource.algorithm != "sha256" {
            let found = shown(&resource.algorithm);
            return Err(ModelRejection::DigestAlgorithm {
                name: shown(&resource.name),
                found,
            });
        }
        let sha256 = digest(&resource.name, &resource.digest)?;
        files.push(ModelFile {
            path: resource.name.clone(),
            sha256,
        });
    }
    if let Some(name) = out_of_order(&files) {
        return Err(ModelRejection::FileOrder { name: shown(name) });
    }
    for file in &files {
        if !folded.insert(name::fold(&file.path)) {
            let reason = "another file differs only in case or normal form";
            return Err(ModelRejection::FileName {
                name: shown(&file.path),
                reason,
            });
        }
    }
    // A name that is also a folder of another name cannot be stored.
    for file in &files {
        let mut path = file.path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            if folded.contains(&name::fold(parent)) {
                return Err(ModelRejection::FileName {
                    name: shown(parent),
                    reason: "it is a file and a folder",
                });
            }
            path = parent;
        }
    }
    Ok(files)
}

/// The specification sorts names by code point; the reference implementation sorts them part by part (`a/b` before
/// `a.txt`). Both are total orders, so either shows that nothing is listed twice.
fn out_of_order(files: &[ModelFile]) -> Option<&str> {
    let by_code_point = files.windows(2).find(|pair| match pair {
        [left, right] => left.path >= right.path,
        _ => false,
    });
    let by_part = files.windows(2).all(|pair| match pair {
        [left, right] => left.path.split('/').lt(right.path.split('/')),
        _ => true,
    });
    match by_code_point {
        Some([_, right]) if !by_part => Some(&right.path),
        _ => None,
    }
}

/// Whether `path` is `ignored` or below it.
pub(crate) fn is_below(path: &str, ignored: &str) -> bool {
    path.strip_prefix(ignored)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn ignored(paths: Vec<String>, tolerated: &[String], files: &[ModelFile]) -> Result<Vec<String>, ModelRejection> {
    if paths.len() > MAX_IGNORED {
        return Err(ModelRejection::malformed(format!("{} ignored paths", paths.len())));
    }
    for path in &paths {
        let harmless = DEFAULT_IGNORED.contains(&path.as_str())
            || tolerated.contains(path)
            || (!path.contains('/') && SIGNATURE_ENDINGS.iter().any(|ending| path.ends_with(ending)));
        // A path that is left out and listed all the same has two meanings.
        let listed = files.iter().any(|file| is_below(&file.path, path));
        if !harmless || listed || name::fault(path).is_some() {
            return Err(ModelRejection::IgnorePaths { path: shown(path) });
        }
    }
    Ok(paths)
}

//! `model DIR`: a folder against its signature.
//!
//! Refuses files that are not listed, and formats that engines must not be given. Invariant: what is checked are the bytes that
//! are read once.

use anyhow::Context as _;
use freehold_model_files::{FilesError, Watch, check_folder, gate_files};
use freehold_trust::PublicKey;
use freehold_trust::certificate::Certificate;
use freehold_verify::bom::{MAX_BOM, verify_bom};
use freehold_verify::model::{MAX_BUNDLE, SignerTrust, verify_bundle};
use freehold_verify::{Refusal, RefusalReport};
use serde_json::json;

use crate::answer::{Answer, Ending, Mark, Row, visible};
use crate::arguments::Model;
use crate::input::{now, read, read_text};

/// Keys and certificates in PEM: a chain of roots has some kilobytes.
const PEM_LIMIT: usize = 1024 * 1024;

/// Checks the folder.
pub fn inspect(arguments: &Model, at: Option<i64>) -> anyhow::Result<Answer> {
    let mut trust = SignerTrust::default();
    for path in &arguments.key {
        let key = PublicKey::from_spki_pem(&read_text(path, PEM_LIMIT)?);
        trust
            .keys
            .push(key.with_context(|| format!("`{}` is not a public key", path.display()))?);
    }
    for path in &arguments.roots {
        let roots = Certificate::all_from_pem(&read_text(path, PEM_LIMIT)?);
        trust
            .roots
            .extend(roots.with_context(|| format!("`{}` is not a list of certificates", path.display()))?);
    }
    let bundle = read(&arguments.bundle, MAX_BUNDLE)?;
    let manifest = match verify_bundle(&bundle, &trust, at.unwrap_or_else(now)) {
        Ok(manifest) => manifest,
        Err(rejection) => return Ok(Answer::refused(&rejection.report())),
    };
    let checked = check_folder(&arguments.folder, &manifest, Watch::nobody())
        .and_then(|files| gate_files(&arguments.folder, &files).map(|headers| (files, headers)));
    let (files, headers) = match checked {
        Ok(checked) => checked,
        Err(FilesError::Refused(rejection)) => return Ok(Answer::refused(&rejection.report())),
        Err(FilesError::Format(rejection)) => return Ok(Answer::refused(&rejection.report())),
        Err(other) => return Err(other.into()),
    };
    let bom: Option<RefusalReport> = match &arguments.bom {
        None => None,
        Some(path) => verify_bom(Some(&read(path, MAX_BOM)?), &manifest)
            .err()
            .map(|rejection| rejection.report()),
    };
    if let Some(report) = bom {
        return Ok(Answer::refused(&report));
    }
    let rows: Vec<Row> = files
        .files
        .iter()
        .map(|file| (Mark::Plain, vec![file.sha256.to_hex(), visible(&file.path)]))
        .collect();
    let answer = Answer::new(Ending::Yes, format!("● as signed  {}", visible(&manifest.name)))
        .fact("root", manifest.root.to_hex())
        .fact("signer", visible(&manifest.signer.id()))
        .fact("files", format!("{} with {} bytes", files.files.len(), files.total))
        .fact(
            "bom",
            if arguments.bom.is_some() {
                "describes these files"
            } else {
                "not given"
            },
        )
        .table("Files", &["sha-256", "path"], rows);
    Ok(answer
        .with("name", manifest.name.as_str())
        .with("root", manifest.root.to_hex())
        .with("signer", json!(manifest.signer))
        .with("total", files.total)
        .with("formats", headers.len())
        .with("files", json!(files.files)))
}

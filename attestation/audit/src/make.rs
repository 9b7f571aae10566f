//! Making a report: files from what a console has, and an assessment that follows from them.
//!
//! Refuses to write what the checker would refuse: it reads its own files back before it concludes anything. Invariant: the same
//! material gives the same bytes.

use std::collections::BTreeMap;

use freehold_record::{RecordRejected, SignedNote, TlogProof, VerifierKey};
use freehold_trust::{Sha256Digest, sha256};

use crate::check::CheckResult;
use crate::controls::shipped_controls;
use crate::document::Document;
use crate::judge::policies;
use crate::oscal::Assessment;
use crate::page::page;
use crate::rejection::AuditRejection;
use crate::verify::{ASSESSMENT, Files, MANIFEST, NOTE, SIGNED, catalogue};
use crate::world::World;

/// What a console has about one box, beside its line in the document.
#[derive(Debug, Clone, Default)]
pub struct BoxMaterial {
    /// Its evidence package.
    pub package: Option<Vec<u8>>,
    /// The entry about it in the console's record, and the proof.
    pub told: Option<(Vec<u8>, TlogProof)>,
    /// Its inventory, as it sent it.
    pub inventory: Option<Vec<u8>>,
}

/// Everything that goes into a report.
#[derive(Debug)]
pub struct Material {
    /// `report.json`.
    pub document: Document,
    /// The signed head of the console's record.
    pub checkpoint: Vec<u8>,
    /// The entries from the document's first to that head.
    pub entries: Vec<Vec<u8>>,
    /// By the box's name.
    pub boxes: BTreeMap<String, BoxMaterial>,
}

/// Makes the files of a report. `sign` signs a note's text with the console's record key.
///
/// # Errors
/// [`AuditRejection`] when the material does not hold together.
pub fn make(
    material: &Material,
    sign: impl FnOnce(&str) -> Result<SignedNote, RecordRejected>,
) -> Result<BTreeMap<String, Vec<u8>>, AuditRejection> {
    let mut files = gathered(material)?;
    let (assessment, html) = {
        let view: Files<'_> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect();
        let key = VerifierKey::parse(&material.document.record.key)?;
        let world = World::read(&view, &material.document, &key, &policies()?)?;
        let catalogue = catalogue(&view)?;
        let results: Vec<CheckResult> = catalogue
            .checks()
            .into_iter()
            .map(|check| check.answer(&world))
            .collect();
        let findings = catalogue.findings(&results);
        let digests: BTreeMap<String, Sha256Digest> = files
            .iter()
            .map(|(name, bytes)| (name.clone(), sha256(bytes)))
            .collect();
        let assessment = Assessment {
            document: &material.document,
            catalogue: &catalogue,
            results: &results,
            findings: &findings,
            files: &digests,
        }
        .to_json();
        (
            encode(ASSESSMENT, &assessment)?,
            page(&world, &catalogue, &results, &findings),
        )
    };
    files.insert(ASSESSMENT.to_owned(), assessment);
    files.insert("index.html".to_owned(), html.into_bytes());
    let manifest: String = files
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes)))
        .collect();
    let note = sign(&format!("{SIGNED}\n{}\n", sha256(manifest.as_bytes())))?;
    files.insert(MANIFEST.to_owned(), manifest.into_bytes());
    files.insert(NOTE.to_owned(), note.to_string().into_bytes());
    Ok(files)
}

fn gathered(material: &Material) -> Result<BTreeMap<String, Vec<u8>>, AuditRejection> {
    let mut files = BTreeMap::new();
    files.insert("report.json".to_owned(), encode("report.json", &material.document)?);
    files.insert("record/checkpoint".to_owned(), material.checkpoint.clone());
    let mut entries = Vec::new();
    for entry in &material.entries {
        entries.extend_from_slice(entry);
        entries.push(b'\n');
    }
    files.insert("record/entries.jsonl".to_owned(), entries);
    for (name, text) in shipped_controls() {
        files.insert(format!("controls/{name}"), text.as_bytes().to_vec());
    }
    for (box_id, one) in &material.boxes {
        if let Some(package) = &one.package {
            files.insert(format!("evidence/{box_id}.json"), package.clone());
        }
        if let Some((entry, proof)) = &one.told {
            files.insert(format!("proofs/{box_id}.json"), entry.clone());
            files.insert(format!("proofs/{box_id}.tlog-proof"), proof.to_string().into_bytes());
        }
        if let Some(inventory) = &one.inventory {
            files.insert(format!("inventory/{box_id}.json"), inventory.clone());
        }
    }
    Ok(files)
}

fn encode(file: &str, value: &impl serde::Serialize) -> Result<Vec<u8>, AuditRejection> {
    serde_json::to_vec_pretty(value).map_err(|error| AuditRejection::Malformed {
        file: file.to_owned(),
        fault: error.to_string(),
    })
}

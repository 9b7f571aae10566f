//! Checking a report: every file, every piece of evidence, every conclusion.
//!
//! Refuses a report in which one byte is not what was signed, one reference dangles, or one conclusion does not follow. Needs no
//! network, no clock and nobody's word but the console's record key. Invariant: nothing is read that the signed list does not
//! name.

use std::collections::BTreeMap;

use freehold_record::{SignedNote, VerifierKey};
use freehold_trust::{Sha256Digest, sha256};
use serde_json::Value;

use crate::check::CheckResult;
use crate::controls::{Catalogue, Finding};
use crate::document::Document;
use crate::judge::policies;
use crate::rejection::AuditRejection;
use crate::resolve::resolve;
use crate::world::World;

/// The list of files, in the form of `sha256sum`.
pub(crate) const MANIFEST: &str = "manifest";
/// The signed note over its digest.
pub(crate) const NOTE: &str = "manifest.note";
/// The first line of the signed text: no other note of a record's key begins like this.
pub(crate) const SIGNED: &str = "freehold/report/v1";
/// The assessment.
pub(crate) const ASSESSMENT: &str = "oscal.json";

/// The files of a report, by name.
#[derive(Debug, Clone, Default)]
pub struct Files<'a>(BTreeMap<&'a str, &'a [u8]>);

impl<'a> FromIterator<(&'a str, &'a [u8])> for Files<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

impl<'a> Files<'a> {
    /// A file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.get(name).copied()
    }

    /// A file that must be there.
    ///
    /// # Errors
    /// `report.file_missing`.
    pub fn need(&self, name: &str) -> Result<&'a [u8], AuditRejection> {
        self.get(name)
            .ok_or_else(|| AuditRejection::FileMissing { file: name.to_owned() })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.0.iter().map(|(name, bytes)| (*name, *bytes))
    }
}

/// A report that holds.
#[derive(Debug)]
pub struct CheckedReport {
    /// `report.json`.
    pub document: Document,
    /// Where each control stands.
    pub findings: Vec<Finding>,
    /// The answers behind it.
    pub results: Vec<CheckResult>,
    /// Each box: name, verdict reached again or the code of the refusal, when, the entry that tells of it.
    pub boxes: Vec<CheckedBox>,
    /// Entries of the record that are in the report.
    pub entries: usize,
    /// The size of the record at its end.
    pub size: u64,
    /// Its root.
    pub root: Sha256Digest,
    /// Files that were checked.
    pub files: usize,
}

/// A box of a report that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBox {
    /// Its name.
    pub box_id: String,
    /// What people call it.
    pub label: String,
    /// The verdict: a word, or `no evidence`.
    pub verdict: String,
    /// The code, when there is one.
    pub code: Option<String>,
    /// When, Unix seconds.
    pub at: Option<i64>,
    /// The console's entry about it.
    pub told: Option<u64>,
}

/// Checks a report with the console's record `key`; without one, the report's own word is taken for it.
///
/// # Errors
/// [`AuditRejection`].
pub fn check_report(files: &Files<'_>, key: Option<&VerifierKey>) -> Result<CheckedReport, AuditRejection> {
    let document = Document::parse(files.need("report.json")?)?;
    let key = match key {
        Some(key) => key.clone(),
        None => VerifierKey::parse(&document.record.key)?,
    };
    signed(files, &key)?;
    let catalogue = catalogue(files)?;
    let world = World::read(files, &document, &key, &policies()?)?;
    let results: Vec<CheckResult> = catalogue
        .checks()
        .into_iter()
        .map(|check| check.answer(&world))
        .collect();
    let findings = catalogue.findings(&results);
    let assessment: Value =
        serde_json::from_slice(files.need(ASSESSMENT)?).map_err(|error| AuditRejection::Malformed {
            file: ASSESSMENT.to_owned(),
            fault: error.to_string(),
        })?;
    resolve(&assessment, files)?;
    follows(&assessment, &results, &findings)?;
    let boxes = checked_boxes(&world)?;
    let (entries, size, root) = (
        world.range.entries.len(),
        world.range.checkpoint.size,
        world.range.checkpoint.root,
    );
    Ok(CheckedReport {
        findings,
        results,
        boxes,
        entries,
        size,
        root,
        files: files.0.len(),
        document,
    })
}

/// The list of files is signed, and it is about exactly these files.
fn signed(files: &Files<'_>, key: &VerifierKey) -> Result<(), AuditRejection> {
    let manifest = files.need(MANIFEST)?;
    let note = SignedNote::parse(files.need(NOTE)?)?;
    let text = note.verify(key)?;
    let expected = format!("{SIGNED}\n{}\n", sha256(manifest));
    if text != expected {
        return Err(AuditRejection::OtherManifest {
            expected: text.lines().nth(1).unwrap_or_default().to_owned(),
            found: sha256(manifest).to_hex(),
        });
    }
    let malformed = |fault: &str| AuditRejection::Malformed {
        file: MANIFEST.to_owned(),
        fault: fault.to_owned(),
    };
    let listing = std::str::from_utf8(manifest).map_err(|_| malformed("not utf-8"))?;
    let mut listed: BTreeMap<&str, Sha256Digest> = BTreeMap::new();
    for line in listing.lines() {
        let (digest, name) = line
            .split_once("  ")
            .ok_or_else(|| malformed("a line without two spaces"))?;
        let digest = digest.parse().map_err(|_| malformed("a line without SHA-256"))?;
        if listed.insert(name, digest).is_some() {
            return Err(malformed("a name stands twice"));
        }
    }
    for (name, expected) in &listed {
        let found = sha256(files.need(name)?);
        if found != *expected {
            return Err(AuditRejection::FileChanged {
                file: (*name).to_owned(),
                expected: expected.to_hex(),
                found: found.to_hex(),
            });
        }
    }
    match files
        .iter()
        .find(|(name, _)| ![MANIFEST, NOTE].contains(name) && !listed.contains_key(name))
    {
        Some((name, _)) => Err(AuditRejection::FileUnlisted { file: name.to_owned() }),
        None => Ok(()),
    }
}

/// The controls that the report carries: a report is judged by its own, whatever a later version asks.
pub(crate) fn catalogue(files: &Files<'_>) -> Result<Catalogue, AuditRejection> {
    let mut texts = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("controls/")) {
        let text = std::str::from_utf8(bytes).map_err(|_| AuditRejection::Malformed {
            file: name.to_owned(),
            fault: "not utf-8".to_owned(),
        })?;
        texts.push((name, text));
    }
    Catalogue::parse(texts)
}

/// What the assessment says about each control and each subject is what follows from the evidence.
fn follows(assessment: &Value, results: &[CheckResult], findings: &[Finding]) -> Result<(), AuditRejection> {
    let result = assessment
        .pointer("/assessment-results/results/0")
        .unwrap_or(&Value::Null);
    let list = |name: &str| result.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let differs = |what: String, expected: &str, found: Option<&str>| {
        if found == Some(expected) {
            return Ok(());
        }
        Err(AuditRejection::Status {
            what,
            expected: expected.to_owned(),
            found: found.unwrap_or("nothing").to_owned(),
        })
    };
    let said = list("findings");
    for finding in findings {
        let id = &finding.control.id;
        let target = said
            .iter()
            .filter_map(|one| one.get("target"))
            .find(|target| target.get("target-id").and_then(Value::as_str) == Some(id.as_str()));
        let found = target.and_then(|target| property(target, "status"));
        differs(format!("control {id}"), &finding.status.word().replace(' ', "-"), found)?;
        let state = target.and_then(|target| target.pointer("/status/state")?.as_str());
        let expected = if finding.status == crate::Status::Satisfied {
            "satisfied"
        } else {
            "not-satisfied"
        };
        differs(format!("state of control {id}"), expected, state)?;
    }
    if said.len() != findings.len() {
        let count = said.len().to_string();
        return differs(
            "number of findings".to_owned(),
            &findings.len().to_string(),
            Some(count.as_str()),
        );
    }
    let observations = list("observations");
    for result in results {
        let word = result.check.word();
        let observation = observations
            .iter()
            .find(|one| one.get("title").and_then(Value::as_str) == Some(word.as_str()));
        let subjects: BTreeMap<&str, &str> = observation
            .and_then(|one| one.get("subjects")?.as_array())
            .into_iter()
            .flatten()
            .filter_map(|subject| Some((subject.get("title")?.as_str()?, property(subject, "outcome")?)))
            .collect();
        for (subject, outcome) in &result.answers {
            let found = subjects.get(subject.as_str()).copied();
            differs(format!("{word} of {subject}"), outcome.word(), found)?;
        }
        if subjects.len() != result.answers.len() {
            let count = subjects.len().to_string();
            return differs(
                format!("subjects of {word}"),
                &result.answers.len().to_string(),
                Some(count.as_str()),
            );
        }
    }
    Ok(())
}

fn property<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    let of_name = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
    object
        .get("props")?
        .as_array()?
        .iter()
        .find(of_name)?
        .get("value")?
        .as_str()
}

/// A console that calls a box trusted whose evidence says otherwise has lied, or has been lied to.
fn checked_boxes(world: &World<'_>) -> Result<Vec<CheckedBox>, AuditRejection> {
    world
        .boxes
        .iter()
        .map(|one| {
            let (verdict, code, at, told) = match &one.seen {
                None => ("no evidence".to_owned(), None, None, None),
                Some(Err(report)) => ("refused".to_owned(), Some(report.code.clone()), None, None),
                Some(Ok(seen)) => (
                    seen.verdict.word().to_owned(),
                    seen.code.clone(),
                    Some(seen.at),
                    seen.told,
                ),
            };
            let called = one.line.verdict.as_deref().unwrap_or("unknown");
            let holds = matches!(verdict.as_str(), "trusted" | "trusted_simulated");
            if matches!(called, "trusted" | "trusted_simulated")
                && (!holds || (called == "trusted" && verdict != called))
            {
                return Err(AuditRejection::Verdict {
                    box_id: one.line.box_id.clone(),
                    expected: called.to_owned(),
                    found: verdict,
                });
            }
            Ok(CheckedBox {
                box_id: one.line.box_id.clone(),
                label: one.line.label.clone(),
                verdict,
                code,
                at,
                told,
            })
        })
        .collect()
}

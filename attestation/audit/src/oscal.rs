//! The assessment as OSCAL assessment results (1.1.2): observations, findings, and the files that they rest on.
//!
//! Refuses to write a reference to something that is not in the same document. Invariant: each observation names the files that
//! answer it, by a resource with their SHA-256; unknown is written as not satisfied, with the reason `other` and the word.

use std::collections::BTreeMap;

use freehold_trust::Sha256Digest;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::check::{CheckResult, FLEET, Outcome};
use crate::controls::{Catalogue, Finding, Status};
use crate::document::Document;
use crate::identifier::uuid;

/// The version of OSCAL.
const OSCAL: &str = "1.1.2";
/// The namespace of our own properties.
const NAMESPACE: &str = "https://freehold.invalid/ns/oscal";

/// RFC 3339 in UTC.
pub(crate) fn instant(unix: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

/// What goes into the assessment.
pub(crate) struct Assessment<'a> {
    pub(crate) document: &'a Document,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) results: &'a [CheckResult],
    pub(crate) findings: &'a [Finding],
    /// The files of the report and their digests, this one not among them.
    pub(crate) files: &'a BTreeMap<String, Sha256Digest>,
}

impl Assessment<'_> {
    fn id(&self, name: &str) -> String {
        let scope = format!(
            "{} {} {}",
            self.document.fleet,
            self.document.at,
            self.document.scope.words()
        );
        uuid(&scope, name)
    }

    fn subject(&self, subject: &str) -> String {
        self.id(&format!("component {subject}"))
    }

    fn resource(&self, file: &str) -> String {
        self.id(&format!("resource {file}"))
    }

    fn observation(&self, result: &CheckResult) -> String {
        self.id(&format!("observation {}", result.check.word()))
    }

    /// The files that answer a question about a subject, as far as they are there.
    fn rests_on(&self, subject: &str) -> Vec<String> {
        let wanted = if subject == FLEET {
            vec!["record/checkpoint".to_owned(), "record/entries.jsonl".to_owned()]
        } else {
            vec![
                format!("evidence/{subject}.json"),
                format!("proofs/{subject}.tlog-proof"),
                format!("proofs/{subject}.json"),
            ]
        };
        let mut found: Vec<String> = wanted
            .into_iter()
            .filter(|file| self.files.contains_key(file))
            .collect();
        if found.is_empty() {
            // Nothing was shown: the console's list of boxes says so.
            found.push("report.json".to_owned());
        }
        found
    }

    fn observations(&self) -> Vec<Value> {
        let collected = instant(self.document.at);
        self.results
            .iter()
            .map(|result| {
                let mut evidence = Vec::new();
                let mut subjects = Vec::new();
                for (subject, outcome) in &result.answers {
                    subjects.push(json!({
                        "subject-uuid": self.subject(subject), "type": "component", "title": subject,
                        "props": [{"name": "outcome", "ns": NAMESPACE, "value": outcome.word()}],
                    }));
                    for file in self.rests_on(subject) {
                        let why = match outcome {
                            Outcome::Yes => format!("{subject}: yes"),
                            other => format!("{subject}: {}, {}", other.word(), other.why()),
                        };
                        evidence.push(json!({"href": format!("#{}", self.resource(&file)), "description": why}));
                    }
                }
                let count = |word: &str| result.answers.iter().filter(|(_, outcome)| outcome.word() == word).count();
                let mut observation = json!({
                    "uuid": self.observation(result),
                    "title": result.check.word(),
                    "description": format!("{} {} yes, {} no, {} unknown.", result.check.asks(), count("yes"), count("no"), count("unknown")),
                    "methods": ["TEST"],
                    "types": ["control-objective"],
                    "collected": collected,
                });
                if let Some(object) = observation.as_object_mut() {
                    // OSCAL has no empty lists.
                    if !subjects.is_empty() {
                        object.insert("subjects".to_owned(), Value::Array(subjects));
                        object.insert("relevant-evidence".to_owned(), Value::Array(evidence));
                    }
                }
                observation
            })
            .collect()
    }

    fn findings(&self) -> Vec<Value> {
        self.findings
            .iter()
            .map(|finding| {
                let control = &finding.control;
                let (state, reason) = match finding.status {
                    Status::Satisfied => ("satisfied", "pass"),
                    Status::NotSatisfied => ("not-satisfied", "fail"),
                    Status::Unknown => ("not-satisfied", "other"),
                };
                let remarks = match &finding.why {
                    Some(why) => format!("{}: {why}", finding.status.word()),
                    None => finding.status.word().to_owned(),
                };
                let related: Vec<Value> = self
                    .results
                    .iter()
                    .filter(|result| control.checks.contains(&result.check))
                    .map(|result| json!({"observation-uuid": self.observation(result)}))
                    .collect();
                json!({
                    "uuid": self.id(&format!("finding {}", control.id)),
                    "title": format!("{} {}", control.id, control.title),
                    "description": control.says,
                    "target": {
                        "type": "objective-id", "target-id": control.id,
                        "props": [{"name": "status", "ns": NAMESPACE, "value": finding.status.word().replace(' ', "-")}],
                        "status": {"state": state, "reason": reason, "remarks": remarks},
                    },
                    "related-observations": related,
                })
            })
            .collect()
    }

    /// The whole document.
    pub(crate) fn to_json(&self) -> Value {
        let document = self.document;
        let (from, at) = (instant(document.from), instant(document.at));
        let mut components = vec![json!({
            "uuid": self.subject(FLEET), "type": "system", "title": FLEET,
            "description": format!("Fleet {} with its console and its record.", document.name),
            "status": {"state": "operational"},
        })];
        components.extend(document.boxes.iter().map(|one| {
            json!({
                "uuid": self.subject(&one.box_id), "type": "hardware", "title": one.box_id,
                "description": format!("Box {} at site {}.", one.label, one.site),
                "status": {"state": "operational"},
            })
        }));
        let selections: Vec<Value> = self
            .catalogue
            .frameworks
            .iter()
            .map(|framework| {
                let controls: Vec<Value> = framework
                    .controls
                    .iter()
                    .map(|control| json!({"control-id": control.id}))
                    .collect();
                json!({"description": framework.title, "include-controls": controls})
            })
            .collect();
        let resources: Vec<Value> = self
            .files
            .iter()
            .map(|(file, digest)| {
                json!({
                    "uuid": self.resource(file), "title": file,
                    "rlinks": [{
                        "href": file, "media-type": media(file),
                        "hashes": [{"algorithm": "SHA-256", "value": digest.to_hex()}],
                    }],
                })
            })
            .collect();
        json!({"assessment-results": {
            "uuid": self.id("assessment results"),
            "metadata": {
                "title": format!("Freehold: {} of fleet {}", document.scope.words(), document.name),
                "last-modified": at, "version": "1", "oscal-version": OSCAL,
            },
            "import-ap": {"href": format!("#{}", self.resource("report.json"))},
            "results": [{
                "uuid": self.id("result"),
                "title": format!("What the evidence shows about {}", document.scope.words()),
                "description": "Each finding follows from the evidence in this archive by the checks that it names. Unknown is not satisfied.",
                "start": from, "end": at,
                "local-definitions": {"components": components},
                "reviewed-controls": {"control-selections": selections},
                "observations": self.observations(),
                "findings": self.findings(),
            }],
            "back-matter": {"resources": resources},
        }})
    }
}

fn media(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("json") => "application/json",
        Some("jsonl") => "application/jsonl",
        Some("toml") => "application/toml",
        Some("html") => "text/html",
        _ => "text/plain",
    }
}

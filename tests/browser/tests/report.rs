//! The auditor's report for people, in Chromium: readable, complete in itself, and printed as PDF.

#[path = "../../../attestation/verify/tests/support/paper_tpm.rs"]
mod paper_tpm;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use freehold_audit::{BoxLine, BoxMaterial, Document, Material, RecordPlace, Scope, make};
use freehold_browser_tests::{Browser, Theme, View, checks};
use freehold_record::{Checkpoint, Entry, Frontier, NoteSigner, leaf_hash};
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::evidence::EvidencePackage;
use freehold_verify::identity::TpmKind;
use paper_tpm::{NOW, PaperBox, REQUIRED};

const ORIGIN: &str = "freehold/console/f1";

fn package() -> EvidencePackage {
    let paper = PaperBox::new("amber-fox-1");
    EvidencePackage {
        v: 1,
        box_id: paper.id.clone(),
        evidence: paper.evidence().encode(),
        challenge: paper.challenge.clone(),
        ak_public: paper.ak.public().to_bytes(),
        tpm: TpmKind::Software,
        tls: paper.tls.public().fingerprint(),
        pcrs: REQUIRED.to_vec(),
        manifests: paper.manifests.clone(),
        previous: None,
        volume: None,
        at: NOW + 2,
        verdict: serde_json::Value::Null,
        models: Vec::new(),
        assignment: None,
        inclusion: None,
    }
}

fn html() -> Result<Vec<u8>> {
    let signer = NoteSigner::new(ORIGIN, SigningKey::generate(KeyKind::Ed25519)?)?;
    let entry = Entry::new(NOW * 1000, "ines", "session.sign_in")
        .with("from", "10.0.0.1")
        .encode()?;
    let mut frontier = Frontier::new();
    frontier.push(leaf_hash(&entry));
    let head = Checkpoint::new(ORIGIN, 1, frontier.root()).sign(&signer)?;
    let line = BoxLine {
        box_id: "amber-fox-1".to_owned(),
        label: "Radiology <B>".to_owned(),
        site: "north".to_owned(),
        verdict: Some("trusted_simulated".to_owned()),
        inventory: false,
    };
    let material = Material {
        document: Document {
            v: 1,
            fleet: "f1".to_owned(),
            name: "Riverside Hospitals".to_owned(),
            scope: Scope::Fleet {},
            from: NOW - 1000,
            at: NOW + 60,
            made_by: "ines".to_owned(),
            max_age: 86_400,
            record: RecordPlace {
                origin: ORIGIN.to_owned(),
                key: signer.verifier().to_string(),
                first: 0,
                before: Vec::new(),
            },
            boxes: vec![line],
            models: Vec::new(),
        },
        checkpoint: head.to_string().into_bytes(),
        entries: vec![entry],
        boxes: BTreeMap::from([(
            "amber-fox-1".to_owned(),
            BoxMaterial {
                package: Some(serde_json::to_vec(&package())?),
                ..BoxMaterial::default()
            },
        )]),
    };
    let mut files = make(&material, |text| signer.sign(text))?;
    files.remove("index.html").context("a report has a page")
}

#[test]
fn h06_the_report_is_readable_in_a_browser_and_prints_as_pdf() -> Result<()> {
    let world = tempfile::tempdir()?;
    let path = world.path().join("index.html");
    std::fs::write(&path, html()?)?;
    let browser = Browser::start()?;
    for view in [View::Desktop, View::Phone] {
        browser.look(view, Theme::Light)?;
        browser.open(&format!("file://{}", path.display()))?;
        let text = browser.text()?;
        for wanted in [
            "What the evidence shows about the fleet",
            "Radiology <B>",
            "trusted (simulated)",
            "NIST SP 800-53",
            "164.312",
            "Article 12",
            "unknown",
        ] {
            ensure!(text.contains(wanted), "the page lacks `{wanted}`:\n{text}");
        }
        if checks::axe().is_some() && view == View::Desktop {
            let violations = checks::violations(&browser)?;
            ensure!(violations.is_empty(), "{violations:?}");
        }
    }
    let pdf = browser.print()?;
    ensure!(
        pdf.starts_with(b"%PDF-") && pdf.len() > 20_000,
        "{} bytes of PDF",
        pdf.len()
    );
    let pages = pdf
        .windows(11)
        .filter(|part| part.starts_with(b"/Type /Page") && part != b"/Type /Pages")
        .count();
    println!("{} bytes of PDF, {pages} pages named", pdf.len());
    Ok(())
}

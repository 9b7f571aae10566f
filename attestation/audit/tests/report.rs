//! Reports: made from paper boxes, checked, broken in every way, judged by others. Cases H06 and H07.

#[path = "../../verify/tests/support/paper_tpm.rs"]
mod paper_tpm;

use std::collections::BTreeMap;

use freehold_audit::{
    BoxLine, BoxMaterial, Catalogue, CheckedReport, Document, Material, RecordPlace, Scope, Status, check_report, make,
    resolve, shipped_controls,
};
use freehold_record::{
    Checkpoint, Entry, Frontier, HashSource, NoteSigner, TlogProof, VerifierKey, empty_root, inclusion, leaf_hash,
    node_hash,
};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::evidence::EvidencePackage;
use freehold_verify::identity::TpmKind;
use paper_tpm::{NOW, PaperBox, REQUIRED};
use serde_json::Value;

const ORIGIN: &str = "freehold/console/f1";

type Bytes = BTreeMap<String, Vec<u8>>;

struct Leaves(Vec<Sha256Digest>);

impl HashSource for Leaves {
    type Error = std::convert::Infallible;
    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error> {
        fn root(leaves: &[Sha256Digest]) -> Sha256Digest {
            match leaves {
                [] => empty_root(),
                [one] => *one,
                many => node_hash(&root(&many[..many.len() / 2]), &root(&many[many.len() / 2..])),
            }
        }
        let start = usize::try_from(index << level).unwrap();
        Ok(root(&self.0[start..start + (1usize << level)]))
    }
}

/// A fleet on paper: a console's record, and boxes that prove themselves.
struct Fleet {
    signer: NoteSigner,
    entries: Vec<Vec<u8>>,
    packages: Vec<EvidencePackage>,
    /// The index of the first entry in the report.
    first: u64,
    at: i64,
}

fn package(id: &str, tpm: TpmKind) -> EvidencePackage {
    let box_ = PaperBox::new(id);
    let mut manifests = box_.manifests.clone();
    if tpm == TpmKind::Hardware {
        manifests.iter_mut().for_each(|manifest| {
            manifest.simulated = false;
            manifest.development_keys = false;
        });
    }
    EvidencePackage {
        v: 1,
        box_id: id.to_owned(),
        evidence: box_.evidence().encode(),
        challenge: box_.challenge.clone(),
        ak_public: box_.ak.public().to_bytes(),
        tpm,
        tls: box_.tls.public().fingerprint(),
        pcrs: REQUIRED.to_vec(),
        manifests,
        previous: None,
        volume: None,
        at: NOW + 2,
        verdict: Value::Null,
        models: Vec::new(),
        assignment: None,
        inclusion: None,
    }
}

impl Fleet {
    fn of(packages: Vec<EvidencePackage>) -> Self {
        let mut entries = Vec::new();
        let mut add = |entry: Entry| entries.push(entry.encode().unwrap());
        for n in 0..7u64 {
            add(Entry::new(1_799_000_000_000, "ines", "session.sign_in").with("from", format!("10.0.0.{n}")));
        }
        for package in &packages {
            add(Entry::new(1_799_000_000_000, "mira", "enrol.approved").with("about", package.box_id.as_str()));
            add(Entry::new(1_800_000_002_000, "console", "verdict.reached")
                .with("about", package.box_id.as_str())
                .with("verdict", "trusted")
                .with("evidence", sha256(&package.evidence))
                .with("policies", vec!["evidence.trusted"]));
        }
        let key = SigningKey::generate(KeyKind::Ed25519).unwrap();
        Self {
            signer: NoteSigner::new(ORIGIN, key).unwrap(),
            entries,
            packages,
            first: 0,
            at: NOW + 60,
        }
    }

    fn key(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    fn material(&self, word: &str) -> Material {
        let leaves = Leaves(self.entries.iter().map(|entry| leaf_hash(entry)).collect());
        let size = u64::try_from(self.entries.len()).unwrap();
        let mut frontier = Frontier::new();
        leaves.0.iter().for_each(|leaf| frontier.push(*leaf));
        let head = Checkpoint::new(ORIGIN, size, frontier.root())
            .sign(&self.signer)
            .unwrap();
        let mut before = Frontier::new();
        let first = usize::try_from(self.first).unwrap();
        leaves.0.iter().take(first).for_each(|leaf| before.push(*leaf));
        let mut boxes = BTreeMap::new();
        let mut lines = Vec::new();
        for package in &self.packages {
            let digest = sha256(&package.evidence).to_hex();
            let told = self
                .entries
                .iter()
                .position(|entry| String::from_utf8_lossy(entry).contains(&digest));
            let told = told.filter(|index| *index >= first).map(|index| {
                let at = u64::try_from(index).unwrap();
                let proof = TlogProof {
                    extra: None,
                    index: at,
                    path: inclusion(at, size, &leaves).unwrap().unwrap(),
                    checkpoint: head.clone(),
                };
                (self.entries[index].clone(), proof)
            });
            lines.push(BoxLine {
                box_id: package.box_id.clone(),
                label: format!("label of {}", package.box_id),
                site: "north".to_owned(),
                verdict: Some(word.to_owned()),
                inventory: true,
            });
            boxes.insert(
                package.box_id.clone(),
                BoxMaterial {
                    package: Some(serde_json::to_vec(package).unwrap()),
                    told,
                    inventory: Some(b"{}".to_vec()),
                },
            );
        }
        lines.sort_by(|a, b| a.box_id.cmp(&b.box_id));
        Material {
            document: Document {
                v: 1,
                fleet: "f1".to_owned(),
                name: "Riverside <Hospitals>".to_owned(),
                scope: Scope::Fleet {},
                from: NOW - 1_000_000,
                at: self.at,
                made_by: "ines".to_owned(),
                max_age: 86_400,
                record: RecordPlace {
                    origin: ORIGIN.to_owned(),
                    key: self.key().to_string(),
                    first: self.first,
                    before: before.roots().to_vec(),
                },
                boxes: lines,
                models: Vec::new(),
            },
            checkpoint: head.to_string().into_bytes(),
            entries: self.entries[first..].to_vec(),
            boxes,
        }
    }

    fn report(&self, word: &str) -> Bytes {
        make(&self.material(word), |text| self.signer.sign(text)).unwrap()
    }

    /// The list of files anew, signed anew: what somebody with the console's record key can do.
    fn sign_again(&self, files: &mut Bytes) {
        files.remove("manifest");
        files.remove("manifest.note");
        let manifest: String = files
            .iter()
            .map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes)))
            .collect();
        let text = format!("freehold/report/v1\n{}\n", sha256(manifest.as_bytes()));
        files.insert(
            "manifest.note".into(),
            self.signer.sign(&text).unwrap().to_string().into_bytes(),
        );
        files.insert("manifest".into(), manifest.into_bytes());
    }
}

fn check(files: &Bytes, key: Option<&VerifierKey>) -> Result<CheckedReport, &'static str> {
    let view = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    check_report(&view, key).map_err(|rejection| rejection.code())
}

fn status(report: &CheckedReport, id: &str) -> (Status, String) {
    let finding = report.findings.iter().find(|finding| finding.control.id == id).unwrap();
    (finding.status, finding.why.clone().unwrap_or_default())
}

#[test]
fn h06_a_report_of_attested_boxes_holds_and_says_what_their_evidence_shows() {
    let fleet = Fleet::of(vec![
        package("amber-fox-1", TpmKind::Hardware),
        package("coral-owl-2", TpmKind::Hardware),
    ]);
    let files = fleet.report("trusted");
    let report = check(&files, Some(fleet.key())).unwrap();
    assert_eq!((report.boxes.len(), report.boxes[0].verdict.as_str()), (2, "trusted"));
    assert_eq!(report.boxes[0].told, Some(8));
    for satisfied in ["si-7.1", "cm-2", "au-10", "ia-3", "ai-act-19", "hipaa-164.312-d"] {
        assert_eq!(
            status(&report, satisfied),
            (Status::Satisfied, String::new()),
            "{satisfied}"
        );
    }
    for unknown in ["ra-5", "sc-13", "ac-6"] {
        assert_eq!(status(&report, unknown).0, Status::Unknown, "{unknown}");
    }
    // Made twice, the same bytes; another key is not the console's.
    assert_eq!(files, fleet.report("trusted"));
    let other = Fleet::of(Vec::new());
    assert_eq!(check(&files, Some(other.key())).unwrap_err(), "record.unsigned");
    assert!(check(&files, None).is_ok(), "without a key it only hangs together");
    let html = String::from_utf8(files["index.html"].clone()).unwrap();
    assert!(html.contains("Riverside &lt;Hospitals&gt;") && !html.contains("<script"));
}

// promise S-246
#[test]
fn h07_nothing_is_satisfied_without_fresh_evidence_of_an_attested_box() {
    let simulated = Fleet::of(vec![package("amber-fox-1", TpmKind::Software)]);
    let report = check(&simulated.report("trusted_simulated"), None).unwrap();
    assert_eq!(report.boxes[0].verdict, "trusted_simulated");
    let (stands, why) = status(&report, "si-7.1");
    assert_eq!(stands, Status::Unknown);
    assert!(why.contains("simulated"), "{why}");

    let mut stale = Fleet::of(vec![package("amber-fox-1", TpmKind::Hardware)]);
    stale.at = NOW + 3 + 86_400;
    let report = check(&stale.report("trusted"), None).unwrap();
    let (stands, why) = status(&report, "si-7.1");
    assert_eq!(stands, Status::Unknown);
    assert!(why.contains("old"), "{why}");

    let mut silent = Fleet::of(vec![package("amber-fox-1", TpmKind::Hardware)]).material("unknown");
    silent.boxes.clear();
    let fleet = Fleet::of(Vec::new());
    silent.document.record.key = fleet.key().to_string();
    let mut own = fleet.material("unknown");
    own.document.boxes = silent.document.boxes;
    let report = check(&make(&own, |text| fleet.signer.sign(text)).unwrap(), None).unwrap();
    assert_eq!(status(&report, "si-7.1").0, Status::Unknown);
    let nobody = check(&fleet.report("unknown"), None).unwrap();
    assert_eq!(
        status(&nobody, "si-7.1").0,
        Status::Unknown,
        "nobody to ask about is not satisfied"
    );

    // One refused box among trusted ones: not satisfied, by name.
    let mut refused = package("coral-owl-2", TpmKind::Hardware);
    refused.manifests.iter_mut().for_each(|manifest| {
        manifest
            .pcrs
            .insert(4, freehold_verify::boot::PcrRule::Value(sha256(b"other")));
    });
    let fleet = Fleet::of(vec![package("amber-fox-1", TpmKind::Hardware), refused]);
    let mut material = fleet.material("trusted");
    material.document.boxes[1].verdict = Some("refused".to_owned());
    let report = check(&make(&material, |text| fleet.signer.sign(text)).unwrap(), None).unwrap();
    let (stands, why) = status(&report, "si-7.1");
    assert_eq!(stands, Status::NotSatisfied);
    assert!(why.starts_with("coral-owl-2"), "{why}");
    // The console called it trusted: it lied, or was lied to.
    assert_eq!(check(&fleet.report("trusted"), None).unwrap_err(), "report.verdict");
}

// promise S-244
#[test]
fn h06_a_report_with_one_file_changed_removed_or_added_fails() {
    let fleet = Fleet::of(vec![package("amber-fox-1", TpmKind::Hardware)]);
    let good = fleet.report("trusted");
    for name in good.keys() {
        let mut without = good.clone();
        without.remove(name);
        let code = check(&without, Some(fleet.key())).unwrap_err();
        assert_eq!(code, "report.file_missing", "{name}");
        let mut changed = good.clone();
        let bytes = changed.get_mut(name).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let code = check(&changed, Some(fleet.key())).unwrap_err();
        match name.as_str() {
            "manifest" => assert_eq!(code, "report.other_manifest"),
            "manifest.note" => assert!(code.starts_with("record.") || code == "report.other_manifest", "{code}"),
            "report.json" => assert!(["report.malformed", "report.file_changed"].contains(&code), "{code}"),
            _ => assert_eq!(code, "report.file_changed", "{name}"),
        }
    }
    let mut more = good.clone();
    more.insert("evidence/zebra.json".into(), b"{}".to_vec());
    assert_eq!(check(&more, Some(fleet.key())).unwrap_err(), "report.file_unlisted");
}

/// Somebody with the console's key signs a report whose conclusions do not follow, or whose references dangle.
// promise S-245
#[test]
fn h06_a_signed_report_that_does_not_follow_from_its_evidence_fails() {
    let fleet = Fleet::of(vec![package("amber-fox-1", TpmKind::Software)]);
    let good = fleet.report("trusted_simulated");
    let mut evidence_gone = good.clone();
    evidence_gone.remove("evidence/amber-fox-1.json");
    fleet.sign_again(&mut evidence_gone);
    assert_eq!(
        check(&evidence_gone, Some(fleet.key())).unwrap_err(),
        "report.file_missing"
    );

    type Change = fn(&mut Value);
    let cases: &[(&str, &str, Change)] = &[
        ("a status", "report.status", |oscal| {
            let findings = oscal.pointer_mut("/assessment-results/results/0/findings").unwrap();
            for finding in findings.as_array_mut().unwrap() {
                finding["target"]["status"]["state"] = "satisfied".into();
                finding["target"]["props"][0]["value"] = "satisfied".into();
            }
        }),
        ("an outcome", "report.status", |oscal| {
            let subject = "/assessment-results/results/0/observations/0/subjects/0/props/0/value";
            *oscal.pointer_mut(subject).unwrap() = "perhaps".into();
        }),
        ("a finding left out", "report.status", |oscal| {
            let findings = oscal.pointer_mut("/assessment-results/results/0/findings").unwrap();
            findings.as_array_mut().unwrap().pop();
        }),
        ("a dangling observation", "report.reference", |oscal| {
            let related = "/assessment-results/results/0/findings/0/related-observations/0/observation-uuid";
            *oscal.pointer_mut(related).unwrap() = "00000000-0000-4000-8000-000000000000".into();
        }),
        ("a dangling resource", "report.reference", |oscal| {
            oscal["assessment-results"]["import-ap"]["href"] = "#00000000-0000-4000-8000-000000000000".into();
        }),
        ("a resource without its digest", "report.reference", |oscal| {
            oscal["assessment-results"]["back-matter"]["resources"][0]["rlinks"][0]["hashes"] = Value::Null;
        }),
        ("a resource with another digest", "report.file_changed", |oscal| {
            let hash = "/assessment-results/back-matter/resources/0/rlinks/0/hashes/0/value";
            *oscal.pointer_mut(hash).unwrap() = "0".repeat(64).into();
        }),
        ("one identifier twice", "report.reference_twice", |oscal| {
            let first = oscal["assessment-results"]["uuid"].clone();
            oscal["assessment-results"]["results"][0]["uuid"] = first;
        }),
    ];
    for (what, code, change) in cases {
        let mut files = good.clone();
        let mut oscal: Value = serde_json::from_slice(&files["oscal.json"]).unwrap();
        change(&mut oscal);
        files.insert("oscal.json".into(), serde_json::to_vec(&oscal).unwrap());
        fleet.sign_again(&mut files);
        assert_eq!(check(&files, Some(fleet.key())).unwrap_err(), *code, "{what}");
    }
}

// promise S-247
#[test]
fn h06_an_entry_left_out_added_or_told_of_something_else_is_found() {
    let fleet = Fleet::of(vec![package("amber-fox-1", TpmKind::Hardware)]);
    let mut material = fleet.material("trusted");
    material.entries.remove(3);
    let code = |material: &Material| {
        make(material, |text| fleet.signer.sign(text))
            .map(|_| ())
            .map_err(|rejection| rejection.code())
    };
    assert_eq!(code(&material), Err("report.record_range"));
    let mut material = fleet.material("trusted");
    material.document.record.before.push(sha256(b"x"));
    assert_eq!(code(&material), Err("report.record_range"));
    let mut material = fleet.material("trusted");
    let one = material.boxes.get_mut("amber-fox-1").unwrap();
    let (entry, proof) = one.told.as_mut().unwrap();
    // A true entry with a true proof, about a sign-in.
    *entry = fleet.entries[2].clone();
    proof.index = 2;
    let leaves = Leaves(fleet.entries.iter().map(|entry| leaf_hash(entry)).collect());
    proof.path = inclusion(2, 9, &leaves).unwrap().unwrap();
    assert_eq!(code(&material), Err("report.inclusion"));
    let mut material = fleet.material("trusted");
    material.document.boxes.reverse();
    material.document.boxes.push(material.document.boxes[0].clone());
    let files = make(&material, |text| fleet.signer.sign(text)).unwrap();
    assert_eq!(check(&files, None).unwrap_err(), "report.malformed");
}

#[test]
fn a_report_about_a_later_period_needs_nothing_from_before_but_the_roots() {
    let mut fleet = Fleet::of(vec![package("amber-fox-1", TpmKind::Hardware)]);
    fleet.first = 5;
    let report = check(&fleet.report("trusted"), Some(fleet.key())).unwrap();
    assert_eq!((report.entries, report.size), (4, 9));
    let (stands, why) = status(&report, "ai-act-19");
    assert_eq!(stands, Status::Unknown);
    assert!(why.contains("entry 5"), "{why}");
}

#[test]
fn the_shipped_controls_are_those_that_were_asked_for() {
    let catalogue = Catalogue::parse(shipped_controls()).unwrap();
    let has = |id: &str| {
        let mut controls = catalogue.frameworks.iter().flat_map(|framework| &framework.controls);
        assert!(controls.any(|control| control.id == id), "{id}");
    };
    for id in [
        "si-7",
        "si-7.1",
        "si-7.9",
        "si-7.15",
        "cm-2",
        "cm-8",
        "cm-14",
        "sr-4",
        "sr-11",
        "au-9.3",
        "au-10",
        "au-12",
        "ia-3",
        "ac-3",
        "ac-6",
        "sc-7",
        "sc-13",
        "sc-28",
        "ra-5",
        "ca-7",
        "ai-act-12",
        "ai-act-19",
        "ai-act-26.6",
        "hipaa-164.312-b",
    ] {
        has(id);
    }
    for check in freehold_audit::Check::ALL {
        assert!(!check.word().is_empty() && check.asks().ends_with('?'));
    }
    let code = |text: &str| {
        Catalogue::parse([("x.toml", text)])
            .map(|_| ())
            .map_err(|rejection| rejection.code())
    };
    let control = |id: &str, checks: &str| {
        format!(
            "framework = \"f\"\ntitle = \"t\"\n[[control]]\nid = \"{id}\"\ntitle = \"t\"\nsays = \"s\"\nchecks = [{checks}]\n"
        )
    };
    assert_eq!(code(&control("a-1", "\"boot.matches\"")), Ok(()));
    for bad in [
        control("a-1", ""),
        control("a-1", "\"boot.sings\""),
        control("1a", "\"boot.matches\""),
        "framework = 1".to_owned(),
    ] {
        assert_eq!(code(&bad), Err("report.malformed"), "{bad}");
    }
}

#[test]
fn h06_the_assessment_passes_the_reference_validator_which_misses_a_dangling_reference() {
    let judge = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/bin/python");
    let found = judge.exists()
        && std::process::Command::new(&judge)
            .args(["-c", "import trestle"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: compliance-trestle is not in target/judges (tests/judges.sh brings it)");
        return;
    }
    let fleet = Fleet::of(vec![
        package("amber-fox-1", TpmKind::Hardware),
        package("coral-owl-2", TpmKind::Software),
    ]);
    let mut material = fleet.material("trusted");
    material.document.boxes[1].verdict = Some("trusted_simulated".to_owned());
    let files = make(&material, |text| fleet.signer.sign(text)).unwrap();
    let world = tempfile::tempdir().unwrap();
    let script = "import sys\nfrom trestle.oscal.assessment_results import AssessmentResults\nimport json\n\
                  data = json.load(open(sys.argv[1]))\nAssessmentResults.parse_obj(data['assessment-results'])\nprint('valid')\n";
    let validate = |bytes: &[u8]| {
        let path = world.path().join("oscal.json");
        std::fs::write(&path, bytes).unwrap();
        let output = std::process::Command::new(&judge)
            .args(["-c", script])
            .arg(&path)
            .output()
            .unwrap();
        (
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("valid"),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (valid, said) = validate(&files["oscal.json"]);
    assert!(valid, "{said}");
    let mut oscal: Value = serde_json::from_slice(&files["oscal.json"]).unwrap();
    oscal["assessment-results"]["results"][0]["findings"][0]["target"]["status"]["state"] = "perhaps".into();
    assert!(!validate(&serde_json::to_vec(&oscal).unwrap()).0, "the judge judges");
    // What it misses, our own resolver finds.
    let mut oscal: Value = serde_json::from_slice(&files["oscal.json"]).unwrap();
    oscal["assessment-results"]["results"][0]["findings"][0]["related-observations"][0]["observation-uuid"] =
        "00000000-0000-4000-8000-000000000000".into();
    assert!(validate(&serde_json::to_vec(&oscal).unwrap()).0);
    let view = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    assert_eq!(resolve(&oscal, &view).unwrap_err().code(), "report.reference");
}

//! Bills: read, put together for one box, judged by others. Case H01.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;

use freehold_supply::compose::{About, Part, compose};
use freehold_supply::spdx::to_spdx;
use freehold_supply::{Bill, Purl};
use freehold_verify::Refusal as _;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_795_262_400;

fn system() -> Vec<u8> {
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": { "type": "operating-system", "bom-ref": "os", "name": "freehold", "version": "1.0.0" } },
        "components": [
            { "type": "library", "bom-ref": "pkg:deb/debian/libssl3t64@3.5.4-1~deb13u1?arch=amd64&distro=trixie",
              "name": "libssl3t64", "version": "3.5.4-1~deb13u1",
              "purl": "pkg:deb/debian/libssl3t64@3.5.4-1~deb13u1?arch=amd64&distro=trixie",
              "licenses": [{ "expression": "Apache-2.0" }],
              "hashes": [{ "alg": "SHA-256", "content": "ab".repeat(32) }],
              "properties": [{ "name": "freehold:source", "value": "openssl 3.5.4-1~deb13u1" }] },
            { "type": "library", "bom-ref": "pkg:cargo/serde@1.0.229", "name": "serde", "version": "1.0.229",
              "purl": "pkg:cargo/serde@1.0.229", "licenses": [{ "expression": "MIT OR Apache-2.0" }] },
            { "type": "file", "bom-ref": "file:/usr/bin/x", "name": "/usr/bin/x" },
        ],
        "dependencies": [{ "ref": "os", "dependsOn": ["pkg:cargo/serde@1.0.229"] }],
    });
    bill.to_string().into_bytes()
}

fn whole_box() -> Vec<u8> {
    let system = system();
    let about = About {
        box_id: "amber-fox-9d1e",
        label: "ward 3",
        site: "north",
        at: NOW,
    };
    let parts = [
        Part {
            name: "systems/freehold/1.0.0/release.json",
            kind: "operating-system",
            version: "1.0.0",
            bill: Some(&system),
        },
        // The same bill a second time: two slots, two engines.
        Part {
            name: "engines/llama/1/release.json",
            kind: "application",
            version: "1",
            bill: Some(&system),
        },
        Part {
            name: "models/guide/1/release.json",
            kind: "machine-learning-model",
            version: "1",
            bill: None,
        },
    ];
    assert_eq!(compose(&about, &parts).unwrap(), compose(&about, &parts).unwrap());
    compose(&about, &parts).unwrap()
}

#[test]
fn a_bill_is_read_with_licence_source_and_digest() {
    let bill = Bill::parse(&system()).unwrap();
    assert_eq!((bill.components.len(), bill.files), (2, 1));
    let library = &bill.components[0];
    assert_eq!(
        library.source,
        Some(("openssl".to_owned(), "3.5.4-1~deb13u1".to_owned()))
    );
    assert_eq!(library.licences, ["Apache-2.0"]);
    assert_eq!(library.sha256.as_deref(), Some("ab".repeat(32).as_str()));
    for (what, change) in [
        ("another format", ("CycloneDX", "SPDX")),
        ("another version", ("\"1.6\"", "\"1.3\"")),
        ("no purl", ("\"purl\":\"pkg:cargo/", "\"purl\":\"package:")),
        ("a reference twice", ("file:/usr/bin/x", "pkg:cargo/serde@1.0.229")),
    ] {
        let text = String::from_utf8(system()).unwrap();
        let bad = text.replace(change.0, change.1);
        assert_ne!(bad, text, "{what}");
        assert_eq!(Bill::parse(bad.as_bytes()).unwrap_err().code(), "supply.bill", "{what}");
    }
    assert_eq!(Bill::parse(b"{}").unwrap_err().code(), "supply.bill");
}

#[test]
fn bills_and_sets_larger_than_any_are_not_read() {
    let large = vec![b' '; freehold_supply::bill::MAX_BILL + 1];
    assert_eq!(Bill::parse(&large).unwrap_err().code(), "supply.too_large");
    let many = r#"{"type":"library","name":"a"},"#.repeat(200_001);
    let text = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{{"component":{{"type":"device","name":"b"}}}},"components":[{}]}}"#,
        many.trim_end_matches(',')
    );
    assert_eq!(Bill::parse(text.as_bytes()).unwrap_err().code(), "supply.count");
}

// promise S-260
#[test]
fn a_box_is_the_sum_of_its_parts_and_says_what_it_does_not_know() {
    let bytes = whole_box();
    let composed: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(composed["metadata"]["component"]["name"], "ward 3");
    assert_eq!(composed["components"].as_array().unwrap().len(), 3);
    let unknown = composed["compositions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["aggregate"] == "unknown")
        .unwrap();
    assert_eq!(unknown["assemblies"], json!(["part:models/guide/1/release.json"]));
    let bill = Bill::parse(&bytes).unwrap();
    assert_eq!((bill.components.len(), bill.files), (3 + 2 * 2, 2));
    let broken = Part {
        name: "x",
        kind: "library",
        version: "",
        bill: Some(b"{\"a\":1,\"a\":2}"),
    };
    let about = About {
        box_id: "b",
        label: "",
        site: "",
        at: NOW,
    };
    assert_eq!(compose(&about, &[broken]).unwrap_err().code(), "supply.bill");
}

/// Runs a judge of target/judges over a file; `None` when it is not there.
fn judged(script: &str, bytes: &[u8]) -> Option<String> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/bin/python");
    if !python.exists() {
        println!("skipped: target/judges is not made (tests/judges.sh)");
        return None;
    }
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("document.json");
    std::fs::write(&file, bytes).unwrap();
    let output = Command::new(python).args(["-c", script]).arg(&file).output().unwrap();
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[test]
fn h01_the_bill_of_a_box_passes_the_strict_validator() {
    let script = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        print('fault:', JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))\n";
    let Some(said) = judged(script, &whole_box()) else {
        return;
    };
    assert_eq!(said.trim(), "fault: None");
    // The judge does judge.
    let bad = String::from_utf8(whole_box())
        .unwrap()
        .replace("\"device\"", "\"thing\"");
    assert_ne!(judged(script, bad.as_bytes()).unwrap().trim(), "fault: None");
}

#[test]
fn spdx_names_every_component_and_invents_no_licence() {
    let bill = Bill::parse(&whole_box()).unwrap();
    let document: Value = serde_json::from_slice(&to_spdx(&bill, NOW).unwrap()).unwrap();
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    let packages = document["packages"].as_array().unwrap();
    assert_eq!(packages.len(), bill.components.len() + 1);
    let serde = packages.iter().find(|one| one["name"] == "serde").unwrap();
    assert_eq!(serde["licenseDeclared"], "(MIT OR Apache-2.0)");
    assert_eq!(serde["externalRefs"][0]["referenceLocator"], "pkg:cargo/serde@1.0.229");
    let mut odd = bill;
    odd.components[0].licences = vec!["whoever finds it may have it".to_owned()];
    let document: Value = serde_json::from_slice(&to_spdx(&odd, NOW).unwrap()).unwrap();
    assert_eq!(
        document["hasExtractedLicensingInfos"][0]["extractedText"],
        "whoever finds it may have it"
    );
    assert_eq!(document["packages"][1]["licenseDeclared"], "LicenseRef-freehold-0");
    // Every relationship points at something that is there.
    let ids: Vec<&str> = document["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["SPDXID"].as_str().unwrap())
        .collect();
    for relation in document["relationships"].as_array().unwrap() {
        assert!(ids.contains(&relation["relatedSpdxElement"].as_str().unwrap()));
    }
}

proptest! {
    #[test]
    fn package_urls_survive_their_text(kind in "[a-z]{1,6}", name in "[^\\p{C}]{1,12}", version in "[^\\p{C}]{0,12}", value in "[^\\p{C}]{1,8}") {
        prop_assume!(!name.trim_matches('/').is_empty());
        let purl = Purl {
            kind: if kind == "deb" { "generic".to_owned() } else { kind },
            namespace: String::new(),
            name,
            version,
            qualifiers: [("distro".to_owned(), value)].into(),
        };
        prop_assert_eq!(purl.to_string().parse::<Purl>().ok(), Some(purl));
    }

    #[test]
    fn no_text_is_a_panic(text in ".{0,80}") {
        let _ = text.parse::<Purl>();
        let _ = format!("pkg:{text}").parse::<Purl>();
    }
}

//! The bill of materials against the signature.

use freehold_sign::bom::{BomDescription, make_bom};
use freehold_verify::Refusal;
use freehold_verify::bom::verify_bom;
use serde_json::{Value, json};

use crate::world::{NOW, files, manifest};

pub fn description() -> BomDescription {
    BomDescription {
        name: "guide".to_owned(),
        version: Some("1.0.0".to_owned()),
        description: Some("answers about the box".to_owned()),
        licence: Some("Apache-2.0".to_owned()),
        base_models: vec!["none".to_owned()],
        datasets: vec!["questions and answers".to_owned()],
    }
}

fn code(bom: Option<&[u8]>) -> &'static str {
    verify_bom(bom, &manifest())
        .err()
        .map_or("accepted", |rejection| rejection.code())
}

fn changed(change: impl FnOnce(&mut Value)) -> &'static str {
    let mut bom: Value = serde_json::from_slice(&make_bom(&description(), &files(), &[], NOW).unwrap()).unwrap();
    change(&mut bom);
    code(Some(&serde_json::to_vec(&bom).unwrap()))
}

#[test]
fn a_fitting_bill_is_accepted_and_read() {
    let bytes = make_bom(&description(), &files(), &[], NOW).unwrap();
    let bom = verify_bom(Some(&bytes), &manifest()).unwrap();
    assert_eq!(
        (bom.name.as_str(), bom.licences.as_slice()),
        ("guide", &["Apache-2.0".to_owned()][..])
    );
    assert_eq!(bom.base_models, ["none"]);
    assert_eq!(bom.datasets, ["questions and answers"]);
}

#[test]
fn a_missing_bill_is_refused() {
    assert_eq!(code(None), "model.bom_missing");
}

#[test]
fn h02_a_bill_about_other_bytes_is_refused() {
    let zero = "0".repeat(64);
    assert_eq!(
        changed(|bom| bom["metadata"]["component"]["hashes"][0]["content"] = json!(zero)),
        "model.bom_mismatch"
    );
    assert_eq!(
        changed(|bom| bom["metadata"]["component"]["hashes"] = json!([])),
        "model.bom_mismatch"
    );
    assert_eq!(
        changed(|bom| bom["components"][1]["hashes"][0]["content"] = json!(zero)),
        "model.bom_mismatch"
    );
    assert_eq!(
        changed(|bom| bom["components"][1]["hashes"] = json!([])),
        "model.bom_mismatch"
    );
    assert_eq!(
        changed(|bom| drop(bom["components"].as_array_mut().unwrap().remove(0))),
        "model.bom_mismatch"
    );
    let extra = json!({ "type": "file", "name": "extra", "hashes": [{ "alg": "SHA-256", "content": zero }] });
    assert_eq!(
        changed(|bom| bom["components"].as_array_mut().unwrap().push(extra)),
        "model.bom_mismatch"
    );
}

#[test]
fn a_bill_without_a_licence_is_refused() {
    assert_eq!(
        changed(|bom| bom["metadata"]["component"]["licenses"] = json!([])),
        "model.bom_licence"
    );
    let mut nothing = description();
    nothing.licence = None;
    assert!(make_bom(&nothing, &files(), &[], NOW).is_err());
}

#[test]
fn other_documents_are_refused() {
    assert_eq!(changed(|bom| bom["specVersion"] = json!("1.5")), "model.bom_malformed");
    assert_eq!(changed(|bom| bom["bomFormat"] = json!("SPDX")), "model.bom_malformed");
    assert_eq!(
        changed(|bom| bom["metadata"]["component"]["type"] = json!("library")),
        "model.bom_malformed"
    );
    assert_eq!(
        changed(|bom| bom["components"][1]["name"] = bom["components"][0]["name"].clone()),
        "model.bom_malformed"
    );
    assert_eq!(code(Some(b"{}")), "model.bom_malformed");
    assert_eq!(code(Some(b"")), "model.bom_malformed");
}

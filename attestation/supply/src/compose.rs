//! One bill for one box: what it runs now, put together from the bills of its releases (CycloneDX 1.6).
//!
//! Refuses to look complete where a part has no bill: that part is listed, and its composition says that it is not known.
//! Invariant: the same parts give the same bytes; a part's components keep their order and their words, only their references get
//! the part's name in front.

use freehold_trust::sha256;
use freehold_verify::json;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bill::MAX_BILL;
use crate::rejection::{SupplyRejection, shown};

/// One part of a box.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// What it is to the box: the target name of its release.
    pub name: &'a str,
    /// CycloneDX type, for a part without a bill.
    pub kind: &'a str,
    /// Version, for a part without a bill.
    pub version: &'a str,
    /// Its own bill.
    pub bill: Option<&'a [u8]>,
}

/// What a composed bill is about.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// The box.
    pub box_id: &'a str,
    /// Its label, for people.
    pub label: &'a str,
    /// Its site.
    pub site: &'a str,
    /// When, Unix seconds.
    pub at: i64,
}

/// Puts the bills together.
///
/// # Errors
/// [`SupplyRejection::Bill`] for a part whose bill cannot be read.
pub fn compose(about: &About<'_>, parts: &[Part<'_>]) -> Result<Vec<u8>, SupplyRejection> {
    let fault = |detail: &str| SupplyRejection::Bill { detail: shown(detail) };
    let mut components = Vec::with_capacity(parts.len());
    let mut dependencies = Vec::new();
    let (mut complete, mut unknown) = (Vec::new(), Vec::new());
    for part in parts {
        let reference = format!("part:{}", part.name);
        let Some(bytes) = part.bill else {
            components.push(json!({
                "type": part.kind, "bom-ref": reference, "name": part.name, "version": part.version,
            }));
            unknown.push(reference);
            continue;
        };
        let bill = json::parse(bytes, MAX_BILL).map_err(|error| fault(&error.to_string()))?;
        let Value::Object(mut bill) = bill else {
            return Err(fault("not an object"));
        };
        let about = bill
            .remove("metadata")
            .and_then(|mut metadata| metadata.get_mut("component").map(Value::take));
        let Some(Value::Object(mut root)) = about else {
            return Err(fault("it describes nothing"));
        };
        let own = root.get("bom-ref").and_then(Value::as_str).map(str::to_owned);
        let prefix = format!("{reference}#");
        let mut inside = bill.remove("components").unwrap_or_else(|| json!([]));
        renamed(&mut inside, &prefix);
        root.insert("bom-ref".to_owned(), json!(reference));
        root.insert("components".to_owned(), inside);
        components.push(Value::Object(root));
        if let Some(Value::Array(list)) = bill.remove("dependencies") {
            for mut one in list {
                let name = |text: &str| {
                    if Some(text) == own.as_deref() {
                        reference.clone()
                    } else {
                        format!("{prefix}{text}")
                    }
                };
                if let Some(text) = one.get("ref").and_then(Value::as_str).map(name) {
                    one["ref"] = json!(text);
                }
                if let Some(Value::Array(on)) = one.get_mut("dependsOn") {
                    for text in on.iter_mut() {
                        *text = json!(name(text.as_str().unwrap_or_default()));
                    }
                }
                dependencies.push(one);
            }
        }
        complete.push(reference);
    }
    let mut on = complete.clone();
    on.extend(unknown.iter().cloned());
    dependencies.insert(0, json!({ "ref": about.box_id, "dependsOn": on }));
    let mut compositions = Vec::new();
    for (aggregate, assemblies) in [("complete", complete), ("unknown", unknown)] {
        if !assemblies.is_empty() {
            compositions.push(json!({ "aggregate": aggregate, "assemblies": assemblies }));
        }
    }
    let time = OffsetDateTime::from_unix_timestamp(about.at)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(|| fault("the time"))?;
    let mut bill = Map::new();
    bill.insert(
        "$schema".to_owned(),
        json!("http://cyclonedx.org/schema/bom-1.6.schema.json"),
    );
    bill.insert("bomFormat".to_owned(), json!("CycloneDX"));
    bill.insert("specVersion".to_owned(), json!("1.6"));
    let inside = serde_json::to_vec(&components).unwrap_or_default();
    let seed = [about.box_id.as_bytes(), time.as_bytes(), &inside].join(&b'\n');
    bill.insert("serialNumber".to_owned(), json!(serial(&seed)));
    bill.insert("version".to_owned(), json!(1));
    bill.insert(
        "metadata".to_owned(),
        json!({
            "timestamp": time,
            "tools": { "components": [{ "type": "application", "name": "freehold", "version": env!("CARGO_PKG_VERSION") }] },
            "component": {
                "type": "device", "bom-ref": about.box_id, "name": about.label,
                "properties": [
                    { "name": "freehold:box", "value": about.box_id },
                    { "name": "freehold:site", "value": about.site },
                ],
            },
        }),
    );
    bill.insert("components".to_owned(), Value::Array(components));
    bill.insert("dependencies".to_owned(), Value::Array(dependencies));
    bill.insert("compositions".to_owned(), Value::Array(compositions));
    serde_json::to_vec_pretty(&Value::Object(bill)).map_err(|error| fault(&error.to_string()))
}

/// Puts `prefix` in front of every reference of a component below.
fn renamed(value: &mut Value, prefix: &str) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| renamed(one, prefix)),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match (name.as_str(), &*field) {
                    ("bom-ref", Value::String(text)) => *field = json!(format!("{prefix}{text}")),
                    ("components" | "ancestors", _) => renamed(field, prefix),
                    ("pedigree", _) => renamed(field, prefix),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A version 8 UUID (RFC 9562, "custom") from what is in the bill: the same bill has the same serial number.
pub(crate) fn serial(seed: &[u8]) -> String {
    let mut hex: Vec<char> = sha256(seed).to_hex().chars().take(32).collect();
    for (at, digit) in [(12, '8'), (16, 'a')] {
        if let Some(slot) = hex.get_mut(at) {
            *slot = digit;
        }
    }
    let part = |from: usize, count: usize| hex.iter().skip(from).take(count).collect::<String>();
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 4),
        part(12, 4),
        part(16, 4),
        part(20, 12)
    )
}

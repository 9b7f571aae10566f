//! The same bill as SPDX 2.3, for tools that read nothing else.
//!
//! Refuses to make a licence identifier out of a name: what is no SPDX expression becomes a reference with its text beside it.
//! Invariant: every component of the CycloneDX bill is a package here, with its package URL and digest.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bill::{Bill, Component};
use crate::rejection::{SupplyRejection, shown};

/// Writes a bill as SPDX 2.3 JSON; `at` in Unix seconds.
///
/// # Errors
/// [`SupplyRejection::Bill`] for a time that cannot be written.
pub fn to_spdx(bill: &Bill, at: i64) -> Result<Vec<u8>, SupplyRejection> {
    let fault = |detail: &str| SupplyRejection::Bill { detail: shown(detail) };
    let created = OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|time| time.replace_nanosecond(0).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(|| fault("the time"))?;
    let mut texts = BTreeMap::new();
    let mut packages = vec![package("SPDXRef-root", &bill.about, &mut texts)];
    let mut relations = vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root",
    })];
    for (place, component) in bill.components.iter().enumerate() {
        let id = format!("SPDXRef-{place}");
        packages.push(package(&id, component, &mut texts));
        relations.push(json!({
            "spdxElementId": "SPDXRef-root", "relationshipType": "CONTAINS", "relatedSpdxElement": id,
        }));
    }
    let seed = serde_json::to_vec(&packages).unwrap_or_default();
    let serial = crate::compose::serial(&seed);
    let extracted: Vec<Value> = texts
        .iter()
        .map(|(name, id)| json!({ "licenseId": id, "name": name, "extractedText": name }))
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.about.name,
        "documentNamespace": format!("https://freehold.invalid/spdx/{}", serial.trim_start_matches("urn:uuid:")),
        "creationInfo": { "created": created, "creators": [concat!("Tool: freehold-", env!("CARGO_PKG_VERSION"))] },
        "packages": packages,
        "relationships": relations,
    });
    if !extracted.is_empty() {
        document["hasExtractedLicensingInfos"] = Value::Array(extracted);
    }
    serde_json::to_vec_pretty(&document).map_err(|error| fault(&error.to_string()))
}

fn package(id: &str, component: &Component, texts: &mut BTreeMap<String, String>) -> Value {
    let purpose = match component.kind.as_str() {
        "operating-system" => "OPERATING-SYSTEM",
        "application" => "APPLICATION",
        "library" => "LIBRARY",
        "framework" => "FRAMEWORK",
        "container" => "CONTAINER",
        "firmware" => "FIRMWARE",
        "device" => "DEVICE",
        _ => "OTHER",
    };
    let mut out = json!({
        "SPDXID": id,
        "name": component.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence(&component.licences, texts),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": purpose,
    });
    if !component.version.is_empty() {
        out["versionInfo"] = json!(component.version);
    }
    if let Some(purl) = &component.purl {
        out["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl.to_string(),
        }]);
    }
    if let Some(digest) = &component.sha256 {
        out["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": digest }]);
    }
    out
}

/// One expression out of everything that is declared.
fn licence(licences: &[String], texts: &mut BTreeMap<String, String>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for one in licences {
        let text = if is_expression(one) {
            one.clone()
        } else {
            let next = format!("LicenseRef-freehold-{}", texts.len());
            texts.entry(one.clone()).or_insert(next).clone()
        };
        let text = if text.contains(' ') { format!("({text})") } else { text };
        if !parts.contains(&text) {
            parts.push(text);
        }
    }
    if parts.is_empty() {
        "NOASSERTION".to_owned()
    } else {
        parts.join(" AND ")
    }
}

/// Licences that SPDX's list names and that occur here; everything else is a name.
const KNOWN: [&str; 32] = [
    "0BSD",
    "AFL-3.0",
    "Apache-2.0",
    "Artistic-1.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CC-BY-4.0",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "X11",
    "Zlib",
    "bzip2-1.0.6",
    "curl",
    "LLVM-exception",
];

fn is_expression(text: &str) -> bool {
    let mut words = 0;
    for word in text.split_whitespace() {
        let word = word.trim_matches(['(', ')']);
        let known = KNOWN.contains(&word) || matches!(word, "AND" | "OR" | "WITH");
        if !known {
            return false;
        }
        words += 1;
    }
    words > 0
}

//! Entries of the record: every kind that a program writes is declared, and the programs open records that take no other.

use std::collections::BTreeSet;

use freehold_laws::{sources, text};
use freehold_record::schema;

/// The part of a source that ships: unit tests stand behind this line.
fn shipped(file: &str) -> String {
    let all = text(file);
    let end = all.find("#[cfg(test)]").unwrap_or(all.len());
    all.get(..end).unwrap_or_default().to_owned()
}

fn programs() -> impl Iterator<Item = String> {
    sources().into_iter().filter(|file| {
        (file.starts_with("appliance/supervisor/src/")
            || file.starts_with("admin-ui/server/src/")
            || file.starts_with("admin-ui/fleet/src/"))
            && !file.contains("/tests/")
    })
}

/// What stands in quotation marks behind `.entry(` or `Entry::new(`, over line ends.
fn kinds(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for call in [
        ".entry(",
        "Entry::new(",
        "stranger(session, ",
        "stranger(open, ",
        "model(&self.chronicle, ",
        "note(&recorder, &who, ",
    ] {
        for (at, _) in source.match_indices(call) {
            let rest = source
                .get(at.saturating_add(call.len())..)
                .unwrap_or_default()
                .trim_start();
            if let Some(kind) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                found.insert(kind.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_kind_that_a_program_writes_is_declared() {
    let mut written = BTreeSet::new();
    for file in programs() {
        for kind in kinds(&shipped(&file)).into_iter().filter(|kind| kind.contains('.')) {
            assert!(
                schema::kind(&kind).is_some(),
                "{file} writes entries of kind `{kind}`: declare it in attestation/record/src/schema/kinds.rs and docs/record.md"
            );
            written.insert(kind);
        }
    }
    assert!(written.len() > 40, "only {} kinds were found", written.len());
}

#[test]
fn boxes_and_consoles_open_records_that_take_declared_entries_only() {
    let mut opened = 0;
    for file in programs() {
        let source = shipped(&file);
        for (at, _) in source.match_indices("Recorder::open(") {
            let call: String = source.get(at..).unwrap_or_default().chars().take(160).collect();
            assert!(
                call.contains("Options::declared()"),
                "{file} opens a record that takes anything"
            );
            opened += 1;
        }
    }
    assert_eq!(opened, 2, "a box's record and a console's");
}

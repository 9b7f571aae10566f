//! A refusal code is one name with many uses: declared once, explained once, asserted by a test.

use std::collections::{BTreeMap, BTreeSet};

use freehold_laws::{declared_codes, root, sources, text};

#[test]
fn every_declared_code_is_explained() {
    let faults: Vec<String> = declared_codes()
        .into_iter()
        .filter(|code| freehold_explain::explain(code).is_none())
        .collect();
    assert!(faults.is_empty(), "no entry in en.ftl for:\n{}", faults.join("\n"));
}

#[test]
fn every_explained_code_is_declared() {
    let declared = declared_codes();
    let declared_keys: Vec<String> = declared.iter().map(|code| code.replace(['.', '_'], "-")).collect();
    let faults: Vec<String> = freehold_explain::codes()
        .filter(|code| !declared_keys.contains(&code.replace(['.', '_'], "-")))
        .collect();
    assert!(
        faults.is_empty(),
        "en.ftl explains what no crate declares:\n{}",
        faults.join("\n")
    );
}

#[test]
fn the_fluent_file_has_no_syntax_error() {
    assert_eq!(freehold_explain::syntax_errors(), Vec::<String>::new());
}

#[test]
fn every_declared_code_is_asserted_by_a_test() {
    let tests: String = sources()
        .into_iter()
        .filter_map(|file| {
            let text = text(&file);
            if file.contains("/tests/") || file.starts_with("tests/") {
                return Some(text);
            }
            // Unit tests stand in the source, behind this line.
            text.find("#[cfg(test)]").map(|start| text[start..].to_owned())
        })
        .collect();
    // Golden tables of decisions name codes as plain words.
    let tables: String = freehold_laws::files()
        .into_iter()
        .filter(|file| file.starts_with("policies/cases/"))
        .map(|file| text(&file))
        .collect();
    let words: Vec<&str> = tables.split_whitespace().collect();
    let faults: Vec<String> = declared_codes()
        .into_iter()
        .filter(|code| !tests.contains(&format!("\"{code}\"")) && !words.contains(&code.as_str()))
        .collect();
    assert!(faults.is_empty(), "no test asserts these codes:\n{}", faults.join("\n"));
}

/// Where each code stands in quotation marks in tests: `file::test`, or `file` for a table beside the tests.
fn asserted() -> BTreeMap<String, BTreeSet<String>> {
    let codes: BTreeSet<String> = declared_codes().into_iter().collect();
    let mut index: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let all = text(&file);
        let whole = file.contains("/tests/") || file.starts_with("tests/");
        let start = if whole { Some(0) } else { all.find("#[cfg(test)]") };
        let Some(start) = start else { continue };
        let (mut test, mut inside) = (false, None);
        for line in all[start..].lines() {
            let plain = line.trim_start();
            if plain.starts_with("#[") && (plain.contains("test]") || plain.contains("test(")) {
                test = true;
            }
            let signature = plain.strip_prefix("pub ").unwrap_or(plain);
            let signature = signature.strip_prefix("async ").unwrap_or(signature);
            if let Some(rest) = signature.strip_prefix("fn ") {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                inside = test.then(|| name.to_owned());
                test = false;
            }
            for word in line.split('"').skip(1).step_by(2).filter(|word| codes.contains(*word)) {
                let place = inside
                    .as_ref()
                    .map_or_else(|| file.clone(), |name| format!("{file}::{name}"));
                index.entry(word.to_owned()).or_default().insert(place);
            }
        }
    }
    for file in freehold_laws::files()
        .into_iter()
        .filter(|file| file.starts_with("policies/cases/"))
    {
        for word in text(&file).split_whitespace().filter(|word| codes.contains(*word)) {
            index.entry(word.to_owned()).or_default().insert(file.clone());
        }
    }
    index
}

/// The index itself goes to `target/refusals.txt`: for each code, the tests that assert it.
#[test]
fn the_index_of_refusals_names_a_test_for_each_code() {
    let index = asserted();
    let lines = declared_codes().into_iter().map(|code| {
        let places = index.get(&code).cloned().unwrap_or_default();
        format!("{code}: {}\n", places.into_iter().collect::<Vec<_>>().join(", "))
    });
    let lines: Vec<String> = lines.collect();
    std::fs::write(root().join("target/refusals.txt"), lines.concat()).expect("the index can be written");
    let faults: Vec<&String> = lines.iter().filter(|line| line.trim_end().ends_with(':')).collect();
    assert!(faults.is_empty(), "no test asserts these codes:\n{faults:?}");
}

/// What a box's people read in docs/box.md is what the programs say.
#[test]
fn the_table_of_troubles_says_what_the_programs_say() {
    let page = text("docs/box.md");
    let start = page
        .find("## Troubleshooting")
        .expect("docs/box.md has a section for it");
    let mut rows = 0;
    for line in page[start..]
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
    {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, symptom, code, next, _] = cells.as_slice() else {
            panic!("not three cells: {line}");
        };
        let code = code.trim_matches('`');
        let said = freehold_explain::explain(code).unwrap_or_else(|| panic!("`{code}` is no code"));
        assert_eq!((*symptom, *next), (said.what.as_str(), said.next.as_str()), "{code}");
        rows += 1;
    }
    assert!(rows > 40, "{rows} rows");
}

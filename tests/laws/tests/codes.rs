//! A refusal code is one name with many uses: declared once, explained once, asserted by a test.

use freehold_laws::{declared_codes, sources, text};

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

//! `docs/specification.md` numbers the promises and names their tests; this holds both ways.
//!
//! A promise is a table row `| S-07 | sentence | test_name, other_test |`, or names `unproven: reason`. A test claims a
//! promise with a line `// promise S-07` above it.

use std::collections::{BTreeMap, BTreeSet};

use freehold_laws::{files, sources, text};

/// Number → (sentence, proofs).
fn promises() -> BTreeMap<String, (String, String)> {
    let mut promises = BTreeMap::new();
    for line in text("docs/specification.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, number, sentence, proof, ..] = cells.as_slice()
            && number.starts_with("S-")
        {
            let before = promises.insert((*number).to_owned(), ((*sentence).to_owned(), (*proof).to_owned()));
            assert!(before.is_none(), "promise {number} stands twice");
        }
    }
    promises
}

fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in sources() {
        let text = text(&file);
        for line in text.lines() {
            let line = line.trim_start();
            for start in ["fn ", "async fn "] {
                if let Some(rest) = line.strip_prefix(start) {
                    names.insert(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let promises = promises();
    assert!(promises.len() >= 20, "only {} promises found", promises.len());
    let tests = test_names();
    let mut faults = Vec::new();
    for (number, (_, proof)) in &promises {
        if proof.starts_with("unproven: ") {
            continue;
        }
        for name in proof.split(',').map(|name| name.trim().trim_matches('`')) {
            let exists = match name.split_once(": ") {
                // A step of the tour is named by its title.
                Some(("tour", title)) => files()
                    .iter()
                    .filter(|file| file.starts_with("tests/tour/src"))
                    .any(|file| text(file).contains(title)),
                // A case in a virtual machine is named in their list.
                Some(("image", case)) => text("tests/machine/src/cases.rs").contains(&format!("\"{case}\"")),
                _ => tests.contains(name),
            };
            if !exists {
                faults.push(format!("{number} names `{name}`, which is no test"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_claim_of_a_test_is_a_promise_that_names_it() {
    let promises = promises();
    let mut faults = Vec::new();
    for file in sources() {
        let text = text(&file);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(number) = line.trim().strip_prefix(concat!("// pro", "mise ")) else {
                continue;
            };
            let name = lines[index..].iter().find_map(|line| {
                let line = line.trim_start();
                line.strip_prefix("fn ")
                    .or_else(|| line.strip_prefix("async fn "))
                    .map(|rest| rest.split('(').next().unwrap_or_default())
            });
            match (promises.get(number.trim()), name) {
                (Some((_, proof)), Some(name)) if proof.contains(name) => {}
                _ => faults.push(format!("{file}:{}: claims {number}, which does not name it", index + 1)),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_readme_counts_the_unproven_promises() {
    let unproven = promises()
        .values()
        .filter(|(_, proof)| proof.starts_with("unproven: "))
        .count();
    let total = promises().len();
    let expected = format!("{unproven} of {total} promises are not proven yet");
    assert!(
        text("README.md").contains(&expected),
        "the README should say: {expected}"
    );
}

//! The trust cases of `tests/cases.txt` against the tests that carry their codes.
//!
//! Refuses a code that is missing, stands twice or out of order, and a case that says "unproven" although a test carries its
//! code. Invariant: every case is shown by a test, a step of the tour, a case of the virtual machine, or says why by none.

use std::collections::BTreeMap;

use crate::{files, sources, text};

/// How many cases each section has.
pub const SECTIONS: [(char, u32); 10] = [
    ('A', 21),
    ('B', 10),
    ('C', 23),
    ('D', 21),
    ('E', 6),
    ('F', 17),
    ('G', 10),
    ('H', 7),
    ('I', 10),
    ('J', 6),
];

/// One case of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// `A01`.
    pub code: String,
    /// What must hold, in a sentence.
    pub title: String,
    /// Why no test shows it.
    pub unproven: Option<String>,
    /// What its tests leave out.
    pub partly: Option<String>,
    /// Tests by name, `image: name`, `tour: title`.
    pub shown_by: Vec<String>,
}

/// The table, and what is wrong with it.
#[must_use]
pub fn cases() -> (Vec<Case>, Vec<String>) {
    let tests = tests_by_code();
    let by_name = crate::mutants::targets();
    let tour: String = files()
        .into_iter()
        .filter(|file| file.starts_with("tests/tour/src"))
        .map(|file| text(&file))
        .collect();
    let machine = text("tests/machine/src/cases.rs");
    let mut faults = Vec::new();
    let mut cases = Vec::new();
    for line in text("tests/cases.txt").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut cells = line.split(" | ").map(str::trim);
        let code = cells.next().unwrap_or_default().to_owned();
        let title = cells.next().unwrap_or_default().to_owned();
        if title.is_empty() {
            faults.push(format!("{code}: no title"));
        }
        let mut case = Case {
            shown_by: tests.get(&code).cloned().unwrap_or_default(),
            code,
            title,
            unproven: None,
            partly: None,
        };
        for cell in cells {
            match cell.split_once(": ") {
                Some(("unproven", why)) if !why.trim().is_empty() => case.unproven = Some(why.to_owned()),
                Some(("partly", what)) if !what.trim().is_empty() => case.partly = Some(what.to_owned()),
                Some(("image", name)) => {
                    if !machine.contains(&format!("\"{name}\"")) {
                        faults.push(format!("{}: no case of the virtual machine is `{name}`", case.code));
                    }
                    case.shown_by.push(cell.to_owned());
                }
                Some(("tour", title)) => {
                    if !tour.contains(title) {
                        faults.push(format!("{}: no step of the tour is `{title}`", case.code));
                    }
                    case.shown_by.push(cell.to_owned());
                }
                Some(("test", names)) => {
                    for name in names.split(", ") {
                        if !by_name.contains_key(name) {
                            faults.push(format!("{}: there is no test `{name}`", case.code));
                        }
                        case.shown_by.push(name.to_owned());
                    }
                }
                _ => faults.push(format!("{}: `{cell}` is not understood", case.code)),
            }
        }
        match (&case.unproven, case.shown_by.is_empty()) {
            (None, true) => faults.push(format!("{}: no test, and no reason", case.code)),
            (Some(_), false) => faults.push(format!(
                "{}: called unproven, but shown by {}",
                case.code,
                case.shown_by.join(", ")
            )),
            _ => {}
        }
        cases.push(case);
    }
    let expected: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}{number:02}")))
        .collect();
    let found: Vec<String> = cases.iter().map(|case| case.code.clone()).collect();
    for code in expected.iter().filter(|code| !found.contains(code)) {
        faults.push(format!("{code}: not in the table"));
    }
    if faults.is_empty() && found != expected {
        faults.push("the table has codes twice, unknown ones, or out of order".to_owned());
    }
    for code in tests.keys().filter(|code| !expected.contains(code)) {
        faults.push(format!("{code}: tests carry this code, which no case has"));
    }
    (cases, faults)
}

/// Code → tests that begin with it.
fn tests_by_code() -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources() {
        let text = text(&file);
        let mut test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[") {
                test |= line.contains("test]") || line.contains("test(");
                continue;
            }
            if let Some(name) = function(line) {
                for code in codes(name).into_iter().filter(|_| test) {
                    tests.entry(code).or_default().push(name.to_owned());
                }
            }
            // An attribute belongs to what follows it; comments between do not part them.
            test &= line.is_empty() || line.starts_with("//") || !line.contains('{') && !line.contains(';');
        }
    }
    for names in tests.values_mut() {
        names.sort();
        names.dedup();
    }
    tests
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// The codes that a name begins with: `a08_a09_replayed` has two.
fn codes(name: &str) -> Vec<String> {
    let mut codes = Vec::new();
    for word in name.split('_') {
        let mut chars = word.chars();
        let section = chars.next().filter(|c| ('a'..='j').contains(c));
        match (section, chars.as_str()) {
            (Some(section), number) if number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()) => {
                codes.push(format!("{}{number}", section.to_ascii_uppercase()));
            }
            _ => break,
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::codes;

    #[test]
    fn codes_stand_in_front_of_a_name() {
        assert_eq!(codes("a08_a09_replayed_over_the_wire"), ["A08", "A09"]);
        assert_eq!(codes("c23_mutated_logs"), ["C23"]);
        assert!(codes("k01_other").is_empty() && codes("a1_short").is_empty() && codes("adds_up").is_empty());
    }
}

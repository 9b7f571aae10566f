//! The table of mutants fits the sources: each place is there once, each code is declared, each test exists.

#[test]
fn every_mutant_has_a_place_a_code_and_a_test() {
    let mutants = freehold_laws::mutants::table().expect("the table reads");
    let faults = freehold_laws::mutants::faults(&mutants);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(mutants.len() >= 40, "{} mutants", mutants.len());
}

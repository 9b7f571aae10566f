//! What the supervisor refuses by itself has a sentence for a person.

use freehold_supervisor::Fault;

#[test]
fn every_code_of_the_supervisor_is_explained() {
    // Beside its own it passes on what the record's folder says.
    for code in Fault::CODES.iter().chain(&["record.files"]) {
        assert!(freehold_explain::explain(code).is_some(), "{code}");
    }
}

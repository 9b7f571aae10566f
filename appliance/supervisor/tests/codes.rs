//! What the supervisor refuses by itself has a sentence for a person.

use freehold_supervisor::SUPERVISOR_CODES;

#[test]
fn every_code_of_the_supervisor_is_explained() {
    assert!(SUPERVISOR_CODES.contains(&"record.files"));
    for code in SUPERVISOR_CODES {
        assert!(freehold_explain::explain(code).is_some(), "{code}");
    }
}

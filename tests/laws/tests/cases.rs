//! The table of trust cases is whole and true: `tests/cases.txt`.

#[test]
fn every_trust_case_is_shown_or_says_why_not() {
    let (cases, faults) = freehold_laws::cases::cases();
    assert_eq!(
        cases.len() as u32,
        freehold_laws::cases::SECTIONS
            .iter()
            .map(|(_, count)| count)
            .sum::<u32>()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

//! Nonces: A08 (whose, which), A09 (order, reuse, time), A10 (all distinct).

#[path = "support/fixture.rs"]
mod fixture;

use std::collections::HashSet;

use fixture::{NOW, answer, challenge, code, fleet, happen, member};
use freehold_fleet::Event;

#[test]
fn a08_a_nonce_that_is_not_this_boxs_open_one_is_refused() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    member(&mut fleet, "blue-owl-0001", "ek2", "k2");
    challenge(&mut fleet, "amber-fox-9d1e", [1; 32], NOW);
    challenge(&mut fleet, "blue-owl-0001", [2; 32], NOW);
    let mut one_bit = [1; 32];
    one_bit[31] ^= 1;
    let mut padded = [1u8; 33].to_vec();
    padded[32] = 0;
    let cases: [(&[u8], &str); 6] = [
        (&[2; 32], "quote.nonce_other_box"),
        (&[], "quote.nonce"),
        (&[1; 31], "quote.nonce"),
        (&padded, "quote.nonce"),
        (&one_bit, "quote.nonce"),
        (&[9; 32], "quote.nonce"),
    ];
    for (nonce, expected) in cases {
        assert_eq!(
            code(&answer(&mut fleet, "amber-fox-9d1e", nonce, NOW)),
            expected,
            "{nonce:?}"
        );
    }
    assert_eq!(
        code(&answer(&mut fleet, "unknown-box-ffff", &[1; 32], NOW)),
        "enrol.unknown_box"
    );
    // None of that used up the right one.
    assert_eq!(code(&answer(&mut fleet, "amber-fox-9d1e", &[1; 32], NOW)), "accepted");
}

#[test]
fn a09_older_reused_and_late_nonces_are_refused() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    challenge(&mut fleet, "amber-fox-9d1e", [1; 32], NOW);
    challenge(&mut fleet, "amber-fox-9d1e", [2; 32], NOW + 1);
    assert_eq!(
        code(&answer(&mut fleet, "amber-fox-9d1e", &[1; 32], NOW + 2)),
        "quote.nonce_superseded"
    );
    assert_eq!(
        code(&answer(&mut fleet, "amber-fox-9d1e", &[2; 32], NOW + 2)),
        "accepted"
    );
    assert_eq!(
        code(&answer(&mut fleet, "amber-fox-9d1e", &[2; 32], NOW + 2)),
        "quote.nonce_used"
    );

    challenge(&mut fleet, "amber-fox-9d1e", [3; 32], NOW + 10);
    let late = NOW + 10 + fleet.rules.challenge_ttl + 1;
    assert_eq!(
        code(&answer(&mut fleet, "amber-fox-9d1e", &[3; 32], late)),
        "quote.nonce_expired"
    );
    assert_eq!(
        code(&answer(&mut fleet, "amber-fox-9d1e", &[3; 32], NOW + 11)),
        "quote.nonce_used",
        "expired is spent"
    );

    challenge(&mut fleet, "amber-fox-9d1e", [4; 32], NOW + 20);
    let back = answer(&mut fleet, "amber-fox-9d1e", &[4; 32], NOW - 365 * 86_400);
    assert_eq!(code(&back), "quote.nonce_expired", "a clock that jumped back");
}

#[test]
fn a10_ten_thousand_challenges_are_distinct_and_a_repeated_one_is_refused() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    member(&mut fleet, "blue-owl-0001", "ek2", "k2");
    let mut seen = HashSet::new();
    for number in 0..10_000u32 {
        let mut nonce = [0u8; 32];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        challenge(&mut fleet, "amber-fox-9d1e", nonce, NOW);
        assert!(seen.insert(nonce));
    }
    // A source of randomness that repeats itself (CVE-2026-6420) gives no challenge at all.
    let mut nonce = [0u8; 32];
    nonce[..4].copy_from_slice(&9_999u32.to_be_bytes());
    for box_id in ["amber-fox-9d1e", "blue-owl-0001"] {
        let outcome = happen(
            &mut fleet,
            &Event::ChallengeAsked {
                box_id: box_id.to_owned(),
                nonce,
            },
            NOW,
        );
        assert_eq!(code(&outcome), "console.nonce_repeated");
    }
}

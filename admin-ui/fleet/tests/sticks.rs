//! The limits of a road: challenges, enrolments and verdicts that travel by stick.

#[path = "support/fixture.rs"]
mod fixture;

use fixture::{NOW, answer, challenge, code, fleet, happen, member, session, verdict};
use freehold_fleet::verdict::BY_STICK;
use freehold_fleet::{Challenge, Event, Fleet, Freshness};
use freehold_protocol::status::VerdictWord;
use serde_json::json;

const BOX: &str = "amber-fox-9d1e";
const DAY: i64 = 86_400;

fn back(fleet: &mut Fleet, challenge: &Challenge, now: i64) -> &'static str {
    let event = Event::ChallengeBack {
        box_id: BOX.to_owned(),
        challenge: challenge.clone(),
    };
    code(&happen(fleet, &event, now))
}

#[test]
fn a_challenge_that_was_kept_is_answered_once_and_in_its_time() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    let kept = Challenge {
        nonce: [7; 32],
        issued: NOW,
        expires: NOW + 31 * DAY,
    };
    // The console asked over the wire in between, and lost what is only in memory.
    challenge(&mut fleet, BOX, [1; 32], NOW + DAY);
    assert_eq!(code(&answer(&mut fleet, BOX, &[7; 32], NOW + 9 * DAY)), "quote.nonce");
    assert_eq!(back(&mut fleet, &kept, NOW + 9 * DAY), "accepted");
    assert_eq!(code(&answer(&mut fleet, BOX, &[7; 32], NOW + 9 * DAY)), "accepted");
    assert_eq!(back(&mut fleet, &kept, NOW + 9 * DAY), "quote.nonce_used");

    let late = Challenge { nonce: [8; 32], ..kept };
    assert_eq!(back(&mut fleet, &late, NOW + 40 * DAY), "accepted");
    assert_eq!(
        code(&answer(&mut fleet, BOX, &[8; 32], NOW + 40 * DAY)),
        "quote.nonce_expired"
    );
    let event = Event::ChallengeBack {
        box_id: "unknown-box-ffff".to_owned(),
        challenge: late,
    };
    assert_eq!(code(&happen(&mut fleet, &event, NOW)), "enrol.unknown_box");
}

#[test]
fn an_enrolment_by_stick_waits_for_days_and_one_over_the_wire_does_not() {
    for (by_stick, days, expected) in [
        (true, 20, "accepted"),
        (true, 40, "enrol.session_expired"),
        (false, 1, "enrol.session_expired"),
    ] {
        let mut fleet = fleet();
        let mut open = session("s", BOX, "ek1", "k1");
        open.by_stick = by_stick;
        assert_eq!(
            code(&happen(&mut fleet, &Event::EnrolBegun(Box::new(open)), NOW)),
            "accepted"
        );
        let proof = Event::ProofChecked {
            session: "s".to_owned(),
            tls_spki: "k1".to_owned(),
            fault: None,
        };
        assert_eq!(
            code(&happen(&mut fleet, &proof, NOW + days * DAY)),
            expected,
            "{by_stick} {days}"
        );
    }
}

#[test]
fn a_verdict_by_stick_outlives_a_restart_and_not_its_month() {
    let fleet = fleet();
    let mut by_stick = verdict(VerdictWord::TrustedSimulated, NOW - DAY);
    let view = |verdict: &freehold_fleet::Verdict, now| {
        let view = freehold_fleet::verdict::view(Some(verdict), &fleet.rules, fleet.started, now);
        (view.word, view.freshness)
    };
    // Over the wire: from before this process started.
    assert_eq!(view(&by_stick, NOW), (VerdictWord::Unknown, Freshness::BeforeStart));
    by_stick.claims = json!({ BY_STICK: true, "pcrs": [] });
    let by_stick = by_stick.lean();
    assert_eq!(
        view(&by_stick, NOW),
        (VerdictWord::TrustedSimulated, Freshness::Current)
    );
    assert_eq!(
        view(&by_stick, NOW + 40 * DAY),
        (VerdictWord::Unknown, Freshness::Expired)
    );
}

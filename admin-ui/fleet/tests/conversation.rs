//! Verdicts that age, assignments that count up, reports in any order.

#[path = "support/fixture.rs"]
mod fixture;

use fixture::{NOW, code, fleet, happen, member, verdict};
use freehold_fleet::member::{AssignmentHead, CosignedHead, TokenRow};
use freehold_fleet::{Answer, Event, Fleet, Freshness};
use freehold_protocol::V1;
use freehold_protocol::report::BoxReport;
use freehold_protocol::status::VerdictWord;
use proptest::prelude::*;

const BOX: &str = "amber-fox-9d1e";

fn appraised(fleet: &mut Fleet, word: VerdictWord, now: i64) {
    let event = Event::Appraised {
        box_id: BOX.to_owned(),
        verdict: Box::new(verdict(word, now)),
        evidence: Vec::new(),
    };
    happen(fleet, &event, now).answer.expect("is taken");
}

fn seen(fleet: &Fleet, now: i64) -> (VerdictWord, Freshness) {
    let view = fleet.verdict_of(fleet.member(BOX).unwrap(), now);
    (view.word, view.freshness)
}

#[test]
fn a21_an_old_verdict_is_unknown_and_a_refusal_stays() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    assert_eq!(seen(&fleet, NOW), (VerdictWord::Unknown, Freshness::Never));
    appraised(&mut fleet, VerdictWord::Trusted, NOW);
    assert_eq!(seen(&fleet, NOW), (VerdictWord::Trusted, Freshness::Current));
    let old = NOW + fleet.rules.verdict_max_age + 1;
    assert_eq!(seen(&fleet, old), (VerdictWord::Unknown, Freshness::Expired));
    appraised(&mut fleet, VerdictWord::Refused, NOW + 1);
    assert_eq!(seen(&fleet, old + 2), (VerdictWord::Refused, Freshness::Expired));
    assert_eq!(
        fleet.member(BOX).unwrap().last_good.as_ref().map(|good| good.at),
        Some(NOW)
    );
}

#[test]
fn j03_a_verdict_from_before_the_start_is_not_trust() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    appraised(&mut fleet, VerdictWord::Trusted, NOW);
    let stored = fleet.member(BOX).unwrap().clone();
    let mut restored = Fleet::new("f1", "ward-7", fleet.rules.clone(), NOW + 5);
    restored.restore(stored);
    assert_eq!(seen(&restored, NOW + 6), (VerdictWord::Unknown, Freshness::BeforeStart));
    assert!(restored.wants_evidence(restored.member(BOX).unwrap(), NOW + 6));
}

fn head(counter: u64) -> AssignmentHead {
    AssignmentHead {
        counter,
        targets: vec!["models/guide/1.0.0/release.json".to_owned()],
        not_after: NOW + 1000,
        at: NOW,
        by: "ada".to_owned(),
    }
}

fn assign(fleet: &mut Fleet, counter: u64) -> &'static str {
    let event = Event::Assigned {
        box_id: BOX.to_owned(),
        head: head(counter),
        envelope: vec![1],
    };
    code(&happen(fleet, &event, NOW))
}

#[test]
fn counters_count_up_by_one_and_survive_removal() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    assert_eq!(assign(&mut fleet, 2), "console.counter_not_next");
    assert_eq!(assign(&mut fleet, 1), "accepted");
    assert_eq!(assign(&mut fleet, 1), "console.counter_not_next");
    happen(
        &mut fleet,
        &Event::Removed {
            box_id: BOX.to_owned(),
            by: "ada".to_owned(),
        },
        NOW,
    );
    member(&mut fleet, BOX, "ek1", "k1");
    assert!(fleet.member(BOX).unwrap().assignment.is_none());
    assert_eq!(
        assign(&mut fleet, 1),
        "console.counter_not_next",
        "the box remembers the first one"
    );
    assert_eq!(assign(&mut fleet, 2), "accepted");
}

#[test]
fn assignments_and_tokens_are_bounded() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    for targets in [Vec::new(), vec!["a".to_owned(); 257]] {
        let event = Event::Assigned {
            box_id: BOX.to_owned(),
            head: AssignmentHead { targets, ..head(1) },
            envelope: vec![],
        };
        assert_eq!(code(&happen(&mut fleet, &event, NOW)), "console.bad_targets");
    }
    let token = |name: &str| TokenRow {
        id: "t1".to_owned(),
        name: name.to_owned(),
        sha256: "s".to_owned(),
        models: Vec::new(),
        expires: None,
        made_at: NOW,
        made_by: "ada".to_owned(),
    };
    let mut make = |name: &str| {
        code(&happen(
            &mut fleet,
            &Event::TokenMade {
                box_id: BOX.to_owned(),
                token: token(name),
            },
            NOW,
        ))
    };
    assert_eq!(make(""), "console.bad_token");
    assert_eq!(make("a\nb"), "console.bad_token");
    assert_eq!(make("ward assistant"), "accepted");
    let withdraw = |id: &str| Event::TokenWithdrawn {
        box_id: BOX.to_owned(),
        id: id.to_owned(),
        by: "ada".to_owned(),
    };
    assert_eq!(code(&happen(&mut fleet, &withdraw("t9"), NOW)), "console.token_unknown");
    assert_eq!(code(&happen(&mut fleet, &withdraw("t1"), NOW)), "accepted");
}

#[test]
fn an_assignment_waits_for_trust() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    assign(&mut fleet, 1);
    let ask = Event::AssignmentAsked { box_id: BOX.to_owned() };
    assert_eq!(code(&happen(&mut fleet, &ask, NOW)), "console.not_trusted");
    appraised(&mut fleet, VerdictWord::TrustedSimulated, NOW);
    assert_eq!(happen(&mut fleet, &ask, NOW).answer, Ok(Answer::Assignment(Some(1))));
    appraised(&mut fleet, VerdictWord::Refused, NOW);
    assert_eq!(code(&happen(&mut fleet, &ask, NOW)), "console.not_trusted");
}

#[test]
fn a_record_that_goes_back_or_forks_is_not_cosigned() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    let mut show = |size: u64, root: &str| {
        let head = CosignedHead {
            size,
            root: root.to_owned(),
            at: NOW,
        };
        code(&happen(
            &mut fleet,
            &Event::CheckpointShown {
                box_id: BOX.to_owned(),
                head,
            },
            NOW,
        ))
    };
    assert_eq!(show(5, "a"), "accepted");
    assert_eq!(show(5, "a"), "accepted");
    assert_eq!(show(5, "b"), "record.rollback");
    assert_eq!(show(4, "c"), "record.rollback");
    assert_eq!(show(6, "d"), "accepted");
}

fn report(sequence: u64, at: i64) -> BoxReport {
    BoxReport {
        v: V1,
        sequence,
        at,
        version: "0.1.0".to_owned(),
        achieved: None,
        pursuing: None,
        doing: format!("{sequence} at {at}"),
        refusals: Vec::new(),
        models: Vec::new(),
        gateway: None,
        inventory: None,
        health: Vec::new(),
    }
}

fn reported(fleet: &mut Fleet, report: BoxReport) -> bool {
    let outcome = happen(
        fleet,
        &Event::Reported {
            box_id: BOX.to_owned(),
            report: Box::new(report),
        },
        NOW,
    );
    matches!(outcome.answer, Ok(Answer::Report { taken: true }))
}

#[test]
fn a_new_boot_starts_its_reports_again() {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    assert!(reported(&mut fleet, report(7, NOW)));
    assert!(!reported(&mut fleet, report(7, NOW)));
    assert!(!reported(&mut fleet, report(6, NOW - 1)));
    assert!(
        reported(&mut fleet, report(1, NOW - 10 * 365 * 86_400)),
        "a clock ten years off does not silence a box"
    );
}

proptest! {
    /// Whatever order and repetition the reports of one boot come in, the newest is what stays.
    #[test]
    fn reports_in_any_order_end_in_the_same_state(order in proptest::collection::vec(2u64..20, 1..60)) {
        let mut fleet = fleet();
        member(&mut fleet, BOX, "ek1", "k1");
        for sequence in &order {
            reported(&mut fleet, report(*sequence, NOW + i64::try_from(*sequence).unwrap()));
        }
        let newest = order.iter().max().copied();
        prop_assert_eq!(fleet.member(BOX).unwrap().report.as_ref().map(|report| report.sequence), newest);
    }
}

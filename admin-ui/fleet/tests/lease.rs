//! Verdict leases of the console: given with a good verdict, taken back by people and by faults.

use std::collections::BTreeSet;

use freehold_fleet::member::AssignmentHead;
use freehold_fleet::{Effect, Event, Fleet, LeaseChange, LeaseNow, Verdict, Withdrawn};
use freehold_protocol::status::VerdictWord;
use freehold_verify::document::LeasedModels;
use serde_json::json;

#[path = "support/fixture.rs"]
mod fixture;

use fixture::{NOW, fleet, member};

const BOX: &str = "amber-fox-9d1e";

fn approved() -> Fleet {
    let mut fleet = fleet();
    member(&mut fleet, BOX, "ek1", "k1");
    fleet
}

fn verdict(word: VerdictWord, at: i64, resets: u32) -> Verdict {
    Verdict {
        word,
        because: vec![],
        refusals: vec![],
        at,
        evidence: "00".repeat(32),
        claims: json!({"clock": {
            "clock": 1, "reset_count": resets, "restart_count": 0, "safe": true, "firmware_version": 1,
        }}),
        policies: vec![],
    }
}

fn judged(fleet: &mut Fleet, verdict: Verdict) {
    fleet.apply(&Effect::VerdictReached {
        box_id: BOX.to_owned(),
        verdict: Box::new(verdict),
        evidence: vec![],
    });
}

fn now(fleet: &Fleet, at: i64) -> LeaseNow {
    fleet.lease_of(fleet.member(BOX).unwrap(), at)
}

fn change(fleet: Fleet, change: LeaseChange) -> Fleet {
    let event = Event::LeaseChanged {
        box_id: BOX.to_owned(),
        change,
        by: "ada".to_owned(),
    };
    let (fleet, outcome) = fleet.step(&event, NOW);
    outcome.answer.unwrap();
    assert!(
        outcome
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Record(entry) if entry.kind.starts_with("lease.")))
    );
    fleet
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn held(lease: LeaseNow) -> (LeasedModels, u32, u64, i64) {
    match lease {
        LeaseNow::Held(lease) => (lease.models, lease.reset_count, lease.counter, lease.not_after),
        other => panic!("{other:?}"),
    }
}

// promise S-163
#[test]
fn a_lease_is_given_with_each_good_verdict_and_taken_back_by_a_fault() {
    let mut fleet = approved();
    assert_eq!(now(&fleet, NOW), LeaseNow::NotRenewed, "no verdict yet");
    judged(&mut fleet, verdict(VerdictWord::Trusted, NOW, 4));
    assert_eq!(
        held(now(&fleet, NOW)),
        (LeasedModels::ALL, 4, 0, NOW + fleet.rules.lease_ttl)
    );
    judged(&mut fleet, verdict(VerdictWord::TrustedSimulated, NOW + 300, 5));
    assert_eq!(
        held(now(&fleet, NOW + 300)),
        (LeasedModels::ALL, 5, 0, NOW + 300 + fleet.rules.lease_ttl)
    );
    // A verdict that is too old to count renews nothing and takes nothing back.
    assert_eq!(
        now(&fleet, NOW + 300 + fleet.rules.verdict_max_age + 1),
        LeaseNow::NotRenewed
    );
    // A fault takes it back, for the boot that it was given for.
    let mut refused = verdict(VerdictWord::Refused, NOW + 600, 0);
    refused.claims = serde_json::Value::Null;
    judged(&mut fleet, refused);
    match now(&fleet, NOW + 600) {
        LeaseNow::Withdrawn(lease) => assert_eq!((lease.models, lease.reset_count), (LeasedModels::none(), 5)),
        other => panic!("{other:?}"),
    }
    // What could not be told takes nothing back.
    judged(&mut fleet, verdict(VerdictWord::Unknown, NOW + 700, 5));
    assert_eq!(now(&fleet, NOW + 700), LeaseNow::NotRenewed);
}

#[test]
fn what_a_person_withdrew_stays_withdrawn_until_somebody_grants_it() {
    let mut fleet = approved();
    judged(&mut fleet, verdict(VerdictWord::Trusted, NOW, 4));
    let mut fleet = change(fleet, LeaseChange::Withdraw { models: names(&[]) });
    assert!(matches!(now(&fleet, NOW), LeaseNow::Withdrawn(lease) if lease.counter == 1));
    judged(&mut fleet, verdict(VerdictWord::Trusted, NOW + 5, 4));
    assert!(
        matches!(now(&fleet, NOW + 5), LeaseNow::Withdrawn(_)),
        "a good verdict gives it back to nobody"
    );
    // It survives the box's removal: boxes remember the count.
    let member = fleet.member(BOX).unwrap().clone();
    fleet.apply(&Effect::BoxRemoved { box_id: BOX.to_owned() });
    fleet.apply(&Effect::BoxSaved(Box::new(member)));
    assert_eq!(fleet.lease_order(BOX).unwrap().withdrawn, Withdrawn::All);
    let fleet = change(fleet, LeaseChange::Grant);
    assert_eq!(
        held(now(&fleet, NOW + 5)),
        (LeasedModels::ALL, 4, 2, NOW + 5 + fleet.rules.lease_ttl)
    );
}

#[test]
fn a_lease_without_some_models_names_the_others() {
    let mut fleet = approved();
    judged(&mut fleet, verdict(VerdictWord::Trusted, NOW, 4));
    fleet.apply(&Effect::Assigned {
        box_id: BOX.to_owned(),
        head: AssignmentHead {
            counter: 1,
            targets: vec![
                "models/guide/1.0.0/release.json".into(),
                "models/triage/2.0.0/release.json".into(),
            ],
            not_after: NOW + 60,
            at: NOW,
            by: "ada".to_owned(),
        },
        envelope: vec![],
    });
    let fleet = change(
        fleet,
        LeaseChange::Withdraw {
            models: names(&["triage"]),
        },
    );
    assert_eq!(held(now(&fleet, NOW)).0, LeasedModels::Named(names(&["guide"])));
    let fleet = change(
        fleet,
        LeaseChange::Withdraw {
            models: names(&["guide"]),
        },
    );
    assert!(
        matches!(now(&fleet, NOW), LeaseNow::Withdrawn(_)),
        "nothing is left to name"
    );
}

#[test]
fn a_change_about_an_unknown_box_or_of_a_name_that_is_none_is_refused_and_recorded() {
    let fleet = approved();
    let ask = |box_id: &str, models: BTreeSet<String>| {
        let event = Event::LeaseChanged {
            box_id: box_id.to_owned(),
            change: LeaseChange::Withdraw { models },
            by: "ada".to_owned(),
        };
        let outcome = fleet.decide(&event, NOW);
        assert!(matches!(outcome.effects.as_slice(), [Effect::Record(_)]));
        freehold_verify::Refusal::code(&outcome.answer.unwrap_err())
    };
    assert_eq!(ask("amber-fox-0000", names(&[])), "enrol.unknown_box");
    assert_eq!(ask(BOX, names(&[""])), "console.bad_lease");
    assert_eq!(
        ask(BOX, (0..300).map(|n| format!("m{n}")).collect()),
        "console.bad_lease"
    );
}

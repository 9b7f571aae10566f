//! Enrolment: B05 and B06 (one EK, one name), B09 (names and labels from outside), B10 (no row without a proof).

#[path = "support/fixture.rs"]
mod fixture;

use fixture::{NOW, code, fleet, happen, member, session};
use freehold_fleet::{Effect, EkTrust, Event, Membership};

fn begin(fleet: &mut freehold_fleet::Fleet, session: freehold_fleet::Session) -> &'static str {
    code(&happen(fleet, &Event::EnrolBegun(Box::new(session)), NOW))
}

fn prove(
    fleet: &mut freehold_fleet::Fleet,
    session: &str,
    key: &str,
    fault: Option<(&'static str, String)>,
) -> &'static str {
    let event = Event::ProofChecked {
        session: session.to_owned(),
        tls_spki: key.to_owned(),
        fault,
    };
    code(&happen(fleet, &event, NOW))
}

#[test]
fn b05_another_ek_never_takes_a_known_name() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    assert_eq!(
        begin(&mut fleet, session("s", "amber-fox-9d1e", "ek2", "k2")),
        "enrol.other_ek"
    );
    let known = fleet.member("amber-fox-9d1e").unwrap();
    assert_eq!((known.ek.as_str(), known.is_approved()), ("ek1", true));
}

#[test]
fn b05_of_two_open_sessions_for_one_name_the_second_proof_loses() {
    let mut fleet = fleet();
    assert_eq!(
        begin(&mut fleet, session("s1", "amber-fox-9d1e", "ek1", "k1")),
        "accepted"
    );
    assert_eq!(
        begin(&mut fleet, session("s2", "amber-fox-9d1e", "ek2", "k2")),
        "accepted"
    );
    assert_eq!(prove(&mut fleet, "s1", "k1", None), "accepted");
    assert_eq!(prove(&mut fleet, "s2", "k2", None), "enrol.other_ek");
    assert_eq!(fleet.member("amber-fox-9d1e").unwrap().ek, "ek1");
}

#[test]
fn b06_one_ek_never_has_two_names() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    assert_eq!(
        begin(&mut fleet, session("s", "blue-owl-0001", "ek1", "k2")),
        "enrol.same_ek"
    );
    assert!(fleet.member("blue-owl-0001").is_none());
}

#[test]
fn b09_names_and_labels_from_outside_are_bounded() {
    let mut fleet = fleet();
    for name in [
        "",
        "amber",
        "amber-fox",
        "amber-fox-9d1e\n",
        "AMBER-fox-9d1e",
        "../../etc-x-0000",
        "amber-fox-9d1e-x",
        &"a".repeat(1 << 20),
    ] {
        assert_eq!(
            begin(&mut fleet, session("s", name, "ek1", "k1")),
            "enrol.id",
            "{:.20}",
            name
        );
    }
    for label in ["a\nb", "\u{1b}[31mred", &"x".repeat(1 << 20)] {
        let mut hostile = session("s", "amber-fox-9d1e", "ek1", "k1");
        hostile.label = label.to_owned();
        assert_eq!(begin(&mut fleet, hostile), "enrol.bad_label");
    }
}

#[test]
fn b10_a_failed_proof_leaves_no_row_and_ends_the_session() {
    let mut fleet = fleet();
    assert_eq!(
        begin(&mut fleet, session("s", "amber-fox-9d1e", "ek1", "k1")),
        "accepted"
    );
    let fault = Some(("identity.activation", "the activation answer is wrong".to_owned()));
    assert_eq!(prove(&mut fleet, "s", "k1", fault), "enrol.proof_failed");
    assert!(fleet.member("amber-fox-9d1e").is_none());
    assert_eq!(
        prove(&mut fleet, "s", "k1", None),
        "enrol.session_unknown",
        "not even with a right answer afterwards"
    );
    assert!(fleet.boxes().is_empty());
}

#[test]
fn b04_a_session_belongs_to_the_key_that_began_it() {
    let mut fleet = fleet();
    assert_eq!(
        begin(&mut fleet, session("s", "amber-fox-9d1e", "ek1", "k1")),
        "accepted"
    );
    assert_eq!(prove(&mut fleet, "s", "k2", None), "enrol.session_other_key");
    assert_eq!(
        prove(&mut fleet, "s", "k1", None),
        "accepted",
        "a stranger's try does not end it"
    );
}

#[test]
fn nothing_is_a_member_before_a_person_compared() {
    let mut fleet = fleet();
    begin(&mut fleet, session("s", "amber-fox-9d1e", "ek1", "k1"));
    prove(&mut fleet, "s", "k1", None);
    assert_eq!(fleet.member("amber-fox-9d1e").unwrap().membership, Membership::Waiting);
    assert!(fleet.approved_by_key("k1").is_none());
    let approve = |fingerprint: &str| Event::Approved {
        box_id: "amber-fox-9d1e".to_owned(),
        fingerprint: fingerprint.to_owned(),
        ek: None,
        by: "ada".to_owned(),
    };
    assert_eq!(
        code(&happen(&mut fleet, &approve("fp-of-another"), NOW)),
        "enrol.fingerprint_differs"
    );
    assert_eq!(code(&happen(&mut fleet, &approve("fp-ek1-k1"), NOW)), "accepted");
    assert!(fleet.approved_by_key("k1").is_some());
}

#[test]
fn an_ek_without_certificate_is_approved_by_its_digest_or_not_at_all() {
    let mut fleet = fleet();
    let mut hashed = session("s", "amber-fox-9d1e", "ek1", "k1");
    hashed.ek_trust = EkTrust::Hash;
    begin(&mut fleet, hashed);
    prove(&mut fleet, "s", "k1", None);
    let approve = |ek: Option<&str>| Event::Approved {
        box_id: "amber-fox-9d1e".to_owned(),
        fingerprint: "fp-ek1-k1".to_owned(),
        ek: ek.map(str::to_owned),
        by: "ada".to_owned(),
    };
    assert_eq!(code(&happen(&mut fleet, &approve(None), NOW)), "enrol.ek_not_approved");
    assert_eq!(
        code(&happen(&mut fleet, &approve(Some("ek2")), NOW)),
        "enrol.ek_not_approved"
    );
    assert_eq!(code(&happen(&mut fleet, &approve(Some("ek1")), NOW)), "accepted");
}

#[test]
fn a_cleared_tpm_waits_again_while_the_old_keys_go_on() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    assert_eq!(
        begin(&mut fleet, session("s", "amber-fox-9d1e", "ek1", "k9")),
        "accepted"
    );
    assert_eq!(prove(&mut fleet, "s", "k9", None), "accepted");
    assert!(fleet.approved_by_key("k1").is_some());
    assert!(fleet.approved_by_key("k9").is_none(), "proven is not approved");
    let approve = Event::Approved {
        box_id: "amber-fox-9d1e".to_owned(),
        fingerprint: "fp-ek1-k9".to_owned(),
        ek: None,
        by: "ada".to_owned(),
    };
    happen(&mut fleet, &approve, NOW);
    assert!(fleet.approved_by_key("k9").is_some());
    assert!(fleet.approved_by_key("k1").is_none());
}

#[test]
fn a_refused_box_stays_refused_until_it_is_removed() {
    let mut fleet = fleet();
    begin(&mut fleet, session("s", "amber-fox-9d1e", "ek1", "k1"));
    prove(&mut fleet, "s", "k1", None);
    happen(
        &mut fleet,
        &Event::Refused {
            box_id: "amber-fox-9d1e".to_owned(),
            by: "ada".to_owned(),
        },
        NOW,
    );
    assert_eq!(
        begin(&mut fleet, session("s2", "amber-fox-9d1e", "ek1", "k1")),
        "enrol.refused_by_person"
    );
    happen(
        &mut fleet,
        &Event::Removed {
            box_id: "amber-fox-9d1e".to_owned(),
            by: "ada".to_owned(),
        },
        NOW,
    );
    assert_eq!(
        begin(&mut fleet, session("s3", "amber-fox-9d1e", "ek1", "k1")),
        "accepted"
    );
}

#[test]
fn strangers_cannot_hold_more_sessions_than_there_are() {
    let mut fleet = fleet();
    fleet.rules.max_sessions = 3;
    for number in 0..3 {
        assert_eq!(
            begin(
                &mut fleet,
                session(&format!("s{number}"), "amber-fox-9d1e", "ek1", &format!("k{number}"))
            ),
            "accepted"
        );
    }
    assert_eq!(
        begin(&mut fleet, session("s9", "amber-fox-9d1e", "ek1", "k9")),
        "enrol.busy"
    );
    assert_eq!(
        begin(&mut fleet, session("s10", "amber-fox-9d1e", "ek1", "k1")),
        "accepted",
        "the same key replaces its own"
    );
    let after = NOW + fleet.rules.session_ttl + 1;
    let mut later = session("s11", "amber-fox-9d1e", "ek1", "k11");
    later.opened = after;
    let outcome = happen(&mut fleet, &Event::EnrolBegun(Box::new(later)), after);
    assert_eq!(code(&outcome), "accepted", "those that ran out make room");
}

#[test]
fn every_refused_enrolment_is_an_entry_of_the_record() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    let event = Event::EnrolBegun(Box::new(session("s", "amber-fox-9d1e", "ek2", "k2")));
    let outcome = fleet.decide(&event, NOW);
    let codes: Vec<_> = outcome
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Record(entry) => entry.code.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["enrol.other_ek"]);
}

#[test]
fn pairing_and_keys_have_to_fit_this_fleet() {
    let mut fleet = fleet();
    member(&mut fleet, "amber-fox-9d1e", "ek1", "k1");
    let mut other = session("s", "blue-owl-0001", "ek2", "k2");
    other.fleet = "another".to_owned();
    assert_eq!(begin(&mut fleet, other), "enrol.other_fleet");
    let mut elsewhere = session("s", "blue-owl-0001", "ek2", "k2");
    elsewhere.site = "ward-8".to_owned();
    assert_eq!(begin(&mut fleet, elsewhere), "enrol.other_site");
    assert_eq!(
        begin(&mut fleet, session("s", "blue-owl-0001", "ek2", "k1")),
        "enrol.key_taken"
    );
    fleet.rules.accept_simulated = false;
    assert_eq!(
        begin(&mut fleet, session("s", "blue-owl-0001", "ek2", "k2")),
        "enrol.simulated_refused"
    );
}

#[test]
fn a_session_runs_out_and_nothing_waits_twice() {
    let mut fleet = fleet();
    begin(&mut fleet, session("s", "amber-fox-9d1e", "ek1", "k1"));
    let late = NOW + fleet.rules.session_ttl + 1;
    let event = Event::ProofChecked {
        session: "s".to_owned(),
        tls_spki: "k1".to_owned(),
        fault: None,
    };
    assert_eq!(code(&happen(&mut fleet, &event, late)), "enrol.session_expired");
    let refuse = Event::Refused {
        box_id: "amber-fox-9d1e".to_owned(),
        by: "ada".to_owned(),
    };
    assert_eq!(code(&happen(&mut fleet, &refuse, NOW)), "enrol.nothing_waits");
}

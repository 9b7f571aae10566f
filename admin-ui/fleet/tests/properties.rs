//! Whatever happens in whatever order: one EK one name, one name one EK, a nonce accepted once, counters that only rise.

#[path = "support/fixture.rs"]
mod fixture;

use std::collections::{HashMap, HashSet};

use fixture::{NOW, fleet, happen, session, verdict};
use freehold_fleet::{Answer, Event, Fleet};
use freehold_protocol::status::VerdictWord;
use proptest::prelude::*;

const NAMES: [&str; 3] = ["amber-fox-9d1e", "blue-owl-0001", "calm-elk-0002"];

#[derive(Debug, Clone)]
enum Move {
    Begin { name: usize, ek: u8, key: u8 },
    Prove { key: u8, holds: bool },
    Approve { name: usize },
    Refuse { name: usize },
    Remove { name: usize },
    Ask { name: usize, nonce: u8 },
    Answer { name: usize, nonce: u8 },
    Appraise { name: usize },
}

fn moves() -> impl Strategy<Value = Move> {
    let name = 0usize..3;
    prop_oneof![
        (name.clone(), 0u8..3, 0u8..4).prop_map(|(name, ek, key)| Move::Begin { name, ek, key }),
        (0u8..4, any::<bool>()).prop_map(|(key, holds)| Move::Prove { key, holds }),
        name.clone().prop_map(|name| Move::Approve { name }),
        name.clone().prop_map(|name| Move::Refuse { name }),
        name.clone().prop_map(|name| Move::Remove { name }),
        (name.clone(), any::<u8>()).prop_map(|(name, nonce)| Move::Ask { name, nonce }),
        (name.clone(), any::<u8>()).prop_map(|(name, nonce)| Move::Answer { name, nonce }),
        name.prop_map(|name| Move::Appraise { name }),
    ]
}

fn event(fleet: &Fleet, step: &Move) -> Event {
    let name = |index: &usize| NAMES[*index].to_owned();
    match step {
        Move::Begin { name: index, ek, key } => {
            let session = session(
                &format!("s{key}"),
                NAMES[*index],
                &format!("ek{ek}"),
                &format!("k{key}"),
            );
            Event::EnrolBegun(Box::new(session))
        }
        Move::Prove { key, holds } => Event::ProofChecked {
            session: format!("s{key}"),
            tls_spki: format!("k{key}"),
            fault: (!holds).then(|| ("identity.activation", "wrong".to_owned())),
        },
        Move::Approve { name: index } => {
            let waiting = fleet.member(NAMES[*index]).and_then(|member| member.pending.clone());
            Event::Approved {
                box_id: name(index),
                fingerprint: waiting.map(|keys| keys.fingerprint).unwrap_or_default(),
                ek: None,
                by: "ada".to_owned(),
            }
        }
        Move::Refuse { name: index } => Event::Refused {
            box_id: name(index),
            by: "ada".to_owned(),
        },
        Move::Remove { name: index } => Event::Removed {
            box_id: name(index),
            by: "ada".to_owned(),
        },
        Move::Ask { name: index, nonce } => Event::ChallengeAsked {
            box_id: name(index),
            nonce: [*nonce; 32],
        },
        Move::Answer { name: index, nonce } => Event::ChallengeAnswered {
            box_id: name(index),
            nonce: vec![*nonce; 32],
        },
        Move::Appraise { name: index } => Event::Appraised {
            box_id: name(index),
            verdict: Box::new(verdict(VerdictWord::Trusted, NOW)),
            evidence: Vec::new(),
        },
    }
}

fn check(fleet: &Fleet) -> Result<(), TestCaseError> {
    let mut eks = HashSet::new();
    let mut keys = HashMap::new();
    for (name, member) in fleet.boxes() {
        prop_assert_eq!(name, &member.box_id);
        prop_assert!(eks.insert(member.ek.clone()), "one EK under two names");
        for key in member.active.iter().chain(&member.pending) {
            let owner = keys.insert(key.tls_spki.clone(), name.clone());
            prop_assert!(owner.is_none_or(|owner| &owner == name), "one key in two boxes");
            prop_assert_eq!(&fleet.by_key(&key.tls_spki).unwrap().box_id, name, "the index agrees");
        }
        prop_assert_eq!(member.is_approved(), member.active.is_some());
        if member.challenge.is_some() {
            prop_assert!(member.is_approved(), "only members are challenged");
        }
    }
    for number in 0..4 {
        if let Some(owner) = fleet.by_key(&format!("k{number}")) {
            let has = owner
                .active
                .iter()
                .chain(&owner.pending)
                .any(|keys| keys.tls_spki == format!("k{number}"));
            prop_assert!(has, "the index holds no key that is gone");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_rules_hold_in_any_order(steps in proptest::collection::vec(moves(), 1..80)) {
        let mut fleet = fleet();
        let mut bound: HashMap<String, String> = HashMap::new();
        let mut open: HashMap<String, u8> = HashMap::new();
        for step in &steps {
            let event = event(&fleet, step);
            let outcome = happen(&mut fleet, &event, NOW);
            check(&fleet)?;
            match (step, &outcome.answer) {
                (Move::Remove { name }, Ok(_)) => {
                    bound.remove(NAMES[*name]);
                    open.remove(NAMES[*name]);
                }
                (Move::Ask { name, nonce }, Ok(_)) => {
                    open.insert(NAMES[*name].to_owned(), *nonce);
                }
                (Move::Answer { name, nonce }, answer) => {
                    let right = open.get(NAMES[*name]) == Some(nonce);
                    prop_assert_eq!(matches!(answer, Ok(Answer::Nonce(_))), right, "the open nonce, once");
                    if right {
                        open.remove(NAMES[*name]);
                    }
                }
                _ => {}
            }
            for (name, member) in fleet.boxes() {
                let ek = bound.entry(name.clone()).or_insert_with(|| member.ek.clone());
                prop_assert_eq!(&member.ek, ek, "a name keeps its EK");
            }
        }
    }

    #[test]
    fn the_same_events_give_the_same_fleet(steps in proptest::collection::vec(moves(), 1..40)) {
        let (mut one, mut two) = (fleet(), fleet());
        for step in &steps {
            let event = event(&one, step);
            let first = happen(&mut one, &event, NOW);
            let (next, second) = two.step(&event, NOW);
            two = next;
            prop_assert_eq!(first, second);
        }
        prop_assert_eq!(one.boxes(), two.boxes());
    }
}

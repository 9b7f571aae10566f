//! Approvals: what a box takes from people's passkeys, and everything that it refuses.

use std::collections::BTreeSet;

use freehold_harness::Passkey;
use freehold_trust::key::KeyKind;
use freehold_trust::sha256;
use freehold_verify::approval::{
    Approval, ApprovalExpectation, ApprovalPackage, ApprovalRejection, ApprovedRelease, Approver, Approvers, BoxLine,
    Rule, STATEMENT_KIND, Statement, WantedRelease, check_approvals, line_list, line_path, verify_approval,
};
use freehold_verify::release::ReleaseKind;
use freehold_verify::webauthn::Assertion;
use freehold_verify::{Refusal, Verified};
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;
const PAGE: &str = "https://console.example:8443";

fn release(name: &str) -> ApprovedRelease {
    ApprovedRelease {
        name: format!("models/{name}/1.0.0/release.json"),
        sha256: sha256(name.as_bytes()),
    }
}

fn wanted(name: &str) -> WantedRelease {
    WantedRelease {
        release: release(name),
        kind: ReleaseKind::Model,
    }
}

fn sites(sites: &[&str]) -> BTreeSet<String> {
    sites.iter().map(|site| (*site).to_owned()).collect()
}

/// Ann has two passkeys, Ben one, Eve none that the policy knows; Kim approves for another site.
struct People {
    ann: Passkey,
    ann_spare: Passkey,
    ben: Passkey,
    kim: Passkey,
    eve: Passkey,
    list: Approvers,
}

impl People {
    fn new() -> Self {
        let key = |kind| Passkey::new(kind, PAGE).unwrap();
        let (ann, ann_spare, ben) = (key(KeyKind::P256), key(KeyKind::P256), key(KeyKind::Ed25519));
        let (kim, eve) = (key(KeyKind::P256), key(KeyKind::P256));
        let person = |name: &str, at: &[&str], keys: &[&Passkey]| Approver {
            name: name.to_owned(),
            sites: sites(at),
            keys: keys.iter().map(|key| key.listed()).collect(),
        };
        let mut list = Approvers::new("console.example", vec![PAGE.to_owned()]);
        list.approvers = vec![
            person("ann", &["*"], &[&ann, &ann_spare]),
            person("ben", &["east", "west"], &[&ben]),
            person("kim", &["north"], &[&kim]),
        ];
        list.rules = vec![Rule {
            kind: ReleaseKind::Model,
            approvals: 2,
            sites: sites(&["*"]),
        }];
        let list = Approvers::parse(&list.to_bytes()).unwrap();
        Self {
            ann,
            ann_spare,
            ben,
            kim,
            eve,
            list,
        }
    }
}

fn lines() -> Vec<BoxLine> {
    let mut lines: Vec<BoxLine> = (0..5).map(|n| BoxLine::new(&format!("box-{n}"), "east")).collect();
    lines[2].back = vec![release("before")];
    lines
}

fn statement() -> Statement {
    Statement {
        v: 1,
        kind: STATEMENT_KIND.to_owned(),
        fleet: "fleet".to_owned(),
        plan: "7f3a".to_owned(),
        proposer: "otto".to_owned(),
        releases: vec![release("guide")],
        boxes: line_list(&lines()),
        schedule: sha256(b"at once"),
        not_after: NOW + 60,
    }
}

fn package(statement: &Statement, given: Vec<Assertion>) -> ApprovalPackage {
    let lines = lines();
    ApprovalPackage::new(
        &statement.to_bytes(),
        &lines[2],
        2,
        line_path(&lines, 2).unwrap(),
        given,
    )
}

fn judge(package: &ApprovalPackage, list: &Approvers) -> Result<Verified<Approval>, ApprovalRejection> {
    let expectation = ApprovalExpectation {
        fleet: "fleet",
        box_id: "box-2",
        site: "east",
        now: NOW,
    };
    verify_approval(&package.to_bytes(), list, &expectation)
}

fn code(package: &ApprovalPackage, list: &Approvers) -> &'static str {
    judge(package, list).err().map_or("accepted", |fault| fault.code())
}

// promise S-200
#[test]
fn two_people_beside_the_proposer_open_the_way_for_one_box_and_one_release() {
    let people = People::new();
    let statement = statement();
    let digest = statement.digest();
    let given = vec![
        people.ann.answer(digest.as_bytes()),
        people.ben.answer(digest.as_bytes()),
    ];
    let approval = judge(&package(&statement, given), &people.list).unwrap();
    assert_eq!(approval.by, sites(&["ann", "ben"]));
    let check =
        |wanted: &[WantedRelease]| check_approvals(wanted, None, std::slice::from_ref(&approval), &people.list, "east");
    assert_eq!(check(&[wanted("guide")]), Ok(()));
    // The way back is part of what was approved for this box.
    assert_eq!(check(&[wanted("before")]), Ok(()));
    let other = check(&[wanted("guide"), wanted("other")]).unwrap_err();
    assert_eq!(other.code(), "approval.other_release");
    // What no rule names needs nobody.
    let system = WantedRelease {
        release: release("other"),
        kind: ReleaseKind::Os,
    };
    assert_eq!(check(&[system]), Ok(()));
}

// promise S-201
#[test]
fn an_approval_that_lacks_people_is_refused() {
    let people = People::new();
    let statement = statement();
    let check = |approvals: &[Verified<Approval>]| {
        check_approvals(&[wanted("guide")], None, approvals, &people.list, "east").map_err(|fault| fault.code())
    };
    assert_eq!(check(&[]), Err("approval.missing"));
    let nobody = judge(&package(&statement, Vec::new()), &people.list).unwrap();
    assert_eq!(check(&[nobody]), Err("approval.missing"));
    let one = vec![people.ann.answer(statement.digest().as_bytes())];
    let one = judge(&package(&statement, one), &people.list).unwrap();
    // One person over two plans is still one person.
    assert_eq!(check(&[one.clone(), one]), Err("approval.missing"));
}

// promise S-201
#[test]
fn every_person_who_does_not_count_is_refused_by_name_of_the_fault() {
    let people = People::new();
    let mut statement = statement();
    let digest = statement.digest();
    let challenge = digest.as_bytes();
    let with = |given: Vec<Assertion>| code(&package(&statement, given), &people.list);
    let ann = people.ann.answer(challenge);
    assert_eq!(
        with(vec![ann.clone(), people.ann_spare.answer(challenge)]),
        "approval.twice"
    );
    assert_eq!(with(vec![ann.clone(), ann.clone()]), "approval.twice");
    assert_eq!(with(vec![people.eve.answer(challenge)]), "approval.unknown_approver");
    assert_eq!(with(vec![people.kim.answer(challenge)]), "approval.site");
    assert_eq!(
        with(vec![people.ann.answer(sha256(b"another plan").as_bytes())]),
        "approval.other_plan"
    );
    // Eve's signature under Ann's credential id.
    let forged = Assertion {
        credential: ann.credential.clone(),
        ..people.eve.answer(challenge)
    };
    assert_eq!(with(vec![forged]), "approval.signature");
    // One who does not count spoils the package, wherever they stand in it.
    assert_eq!(
        with(vec![ann, people.eve.answer(challenge)]),
        "approval.unknown_approver"
    );
    "ann".clone_into(&mut statement.proposer);
    let own = vec![people.ann.answer(statement.digest().as_bytes())];
    assert_eq!(code(&package(&statement, own), &people.list), "approval.self");
}

// promise S-201
#[test]
fn an_approval_for_another_fleet_box_site_or_time_is_refused() {
    let people = People::new();
    let base = statement();
    let package = package(&base, vec![people.ann.answer(base.digest().as_bytes())]);
    let bytes = package.to_bytes();
    let with = |fleet: &str, box_id: &str, site: &str, now: i64| {
        let expectation = ApprovalExpectation {
            fleet,
            box_id,
            site,
            now,
        };
        verify_approval(&bytes, &people.list, &expectation)
            .err()
            .map_or("accepted", |fault| fault.code())
    };
    assert_eq!(with("fleet", "box-2", "east", NOW + 60), "accepted");
    assert_eq!(with("other", "box-2", "east", NOW), "approval.other_fleet");
    assert_eq!(with("fleet", "box-3", "east", NOW), "approval.not_in_plan");
    assert_eq!(with("fleet", "box-2", "west", NOW), "approval.other_site");
    assert_eq!(with("fleet", "box-2", "east", NOW + 61), "approval.expired");
    // A box that is told a line of its own, which the root does not hold.
    let mut outside = package.clone();
    outside.line = ApprovalPackage::new(&[], &BoxLine::new("box-2", "east"), 0, Vec::new(), Vec::new()).line;
    assert_eq!(code(&outside, &people.list), "approval.not_in_plan");
    let mut elsewhere = package.clone();
    elsewhere.index = 3;
    assert_eq!(code(&elsewhere, &people.list), "approval.not_in_plan");
    let mut newer = package;
    newer.v = 2;
    assert_eq!(code(&newer, &people.list), "approval.version");
}

#[test]
fn statements_that_are_no_statements_are_refused() {
    let people = People::new();
    let mut other = statement();
    "something.else".clone_into(&mut other.kind);
    assert_eq!(code(&package(&other, Vec::new()), &people.list), "approval.malformed");
    let mut newer = statement();
    newer.v = 2;
    assert_eq!(code(&package(&newer, Vec::new()), &people.list), "approval.version");
    let fault = verify_approval(
        b"{}",
        &people.list,
        &ApprovalExpectation {
            fleet: "fleet",
            box_id: "box-2",
            site: "east",
            now: NOW,
        },
    );
    assert_eq!(fault.unwrap_err().code(), "approval.malformed");
}

// promise S-202
#[test]
fn leaving_a_policy_that_asks_for_approvals_needs_them() {
    let people = People::new();
    let lax = ApprovedRelease {
        name: "policies/lax/1/release.json".to_owned(),
        sha256: sha256(b"lax"),
    };
    let fault = check_approvals(&[], Some(&lax), &[], &people.list, "east").unwrap_err();
    assert_eq!(fault.code(), "approval.missing");
    let mut statement = statement();
    statement.releases.push(lax.clone());
    let digest = statement.digest();
    let given = vec![
        people.ann.answer(digest.as_bytes()),
        people.ben.answer(digest.as_bytes()),
    ];
    let approval = judge(&package(&statement, given), &people.list).unwrap();
    assert_eq!(
        check_approvals(&[], Some(&lax), &[approval], &people.list, "east"),
        Ok(())
    );
}

#[test]
fn a_list_in_which_one_person_could_count_twice_is_unusable() {
    let people = People::new();
    let code = |change: &dyn Fn(&mut Approvers)| {
        let mut list = people.list.clone();
        change(&mut list);
        Approvers::parse(&list.to_bytes()).err().map(|fault| fault.code())
    };
    let unusable = Some("approval.approvers_unusable");
    assert_eq!(code(&|_| {}), None);
    assert_eq!(
        code(&|list| list.approvers[1].keys = list.approvers[0].keys.clone()),
        unusable
    );
    // The same key under another credential id.
    assert_eq!(
        code(&|list| {
            let mut key = list.approvers[0].keys[0].clone();
            "b3RoZXI".clone_into(&mut key.credential);
            list.approvers[1].keys.push(key);
        }),
        unusable
    );
    assert_eq!(code(&|list| "ann".clone_into(&mut list.approvers[1].name)), unusable);
    assert_eq!(code(&|list| list.approvers[1].keys.clear()), unusable);
    assert_eq!(code(&|list| list.rules[0].approvals = 0), unusable);
    assert_eq!(code(&|list| list.v = 2), unusable);
    assert_eq!(Approvers::parse(b"{").err().map(|fault| fault.code()), unusable);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever byte of an accepted package is changed: refused, or the same people said the same thing.
    #[test]
    fn no_flipped_byte_gains_an_approval(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let people = People::new();
        let statement = statement();
        let digest = statement.digest();
        let given = vec![people.ann.answer(digest.as_bytes()), people.ben.answer(digest.as_bytes())];
        let good = package(&statement, given);
        let before = judge(&good, &people.list).unwrap();
        let mut bytes = good.to_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let expectation = ApprovalExpectation { fleet: "fleet", box_id: "box-2", site: "east", now: NOW };
        if let Ok(after) = verify_approval(&bytes, &people.list, &expectation) {
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let people = People::new();
        let expectation = ApprovalExpectation { fleet: "fleet", box_id: "box-2", site: "east", now: NOW };
        prop_assert!(verify_approval(&bytes, &people.list, &expectation).is_err());
    }
}

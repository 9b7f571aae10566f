//! What a report and a verdict say to a rollout, and what they do not.

use freehold_fleet::member::AssignmentHead;
use freehold_fleet::rollout::{Direction, Fact, Order, Outcome, Progress, Stage, Told, heard};
use freehold_fleet::{Fleet, Member};
use freehold_protocol::V1;
use freehold_protocol::health::{Answers, HealthState, ReleaseHealth, Requests, Speed};
use freehold_protocol::report::BoxReport;
use freehold_protocol::status::VerdictWord;

use crate::fixture::release;
use crate::support;

const TOLD: i64 = support::NOW + 100;

fn health(state: HealthState) -> ReleaseHealth {
    ReleaseHealth {
        release: release("2.0").sha256,
        name: "models/triage".into(),
        version: "2.0".into(),
        state,
        answers: Some(Answers { right: 19, total: 20 }),
        requests: Requests { served: 98, failed: 2 },
        speed: Speed {
            now: Some(9000),
            before: Some(10_000),
        },
    }
}

/// A box that took assignment 7 and reports this.
fn member(achieved: Option<u64>, pursuing: Option<u64>, health: Vec<ReleaseHealth>) -> Member {
    let mut fleet: Fleet = support::fleet();
    support::member(&mut fleet, "amber-fox-9d1e", "ek", "key");
    let mut member = fleet.member("amber-fox-9d1e").unwrap().clone();
    member.assignment = Some(AssignmentHead {
        counter: 7,
        targets: vec!["models/triage/2.0/release.json".into()],
        not_after: TOLD + 1000,
        at: TOLD,
        by: "rollout:r1".into(),
    });
    member.report = Some(BoxReport {
        v: V1,
        sequence: 3,
        at: TOLD,
        version: "test".into(),
        achieved,
        pursuing,
        doing: String::new(),
        refusals: Vec::new(),
        models: Vec::new(),
        gateway: None,
        inventory: None,
        health,
    });
    member
}

fn facts(member: &Member, direction: Direction, stage: Stage) -> Vec<Fact> {
    let order = Order {
        box_id: "amber-fox-9d1e".into(),
        direction,
        run: Some(release(if direction == Direction::Forward { "2.0" } else { "1.0" })),
        by_stick: false,
    };
    let progress = Progress {
        stage,
        told_at: Some(TOLD),
        since: Some(TOLD),
        ..Progress::default()
    };
    let told = Told {
        order: &order,
        progress: &progress,
        root: Some("ab"),
    };
    heard(member, &told)
}

#[test]
fn an_answer_counts_once_the_box_has_taken_its_assignment() {
    let forward = |member: &Member| facts(member, Direction::Forward, Stage::Ordered);
    let confirmed = Fact::Forward(Outcome::Confirmed {
        wrong_percent: 5,
        errors_permille: 20,
        slower_percent: 10,
    });
    let done = member(Some(7), None, vec![health(HealthState::Confirmed)]);
    assert_eq!(forward(&done), std::slice::from_ref(&confirmed));
    // The report of before says nothing about this order, whatever stands in it.
    let before = member(Some(6), None, vec![health(HealthState::Confirmed)]);
    assert_eq!(forward(&before), []);
    let failed = HealthState::WentBack {
        code: "health.answers".into(),
    };
    let tried = member(Some(6), Some(7), vec![health(failed)]);
    let code = "health.answers".to_owned();
    assert_eq!(forward(&tried), [Fact::Forward(Outcome::WentBack { code })]);
    let trying = member(Some(6), Some(7), vec![health(HealthState::Trying)]);
    assert_eq!(forward(&trying), []);
    // A box that is back says so only about the order to go back.
    assert_eq!(
        facts(&done, Direction::Back, Stage::ReturnOrdered { failed: true }),
        [Fact::Back]
    );
    assert_eq!(
        facts(&before, Direction::Back, Stage::ReturnOrdered { failed: true }),
        []
    );
}

#[test]
fn a_verdict_counts_when_it_came_after_the_order_and_names_the_model() {
    let verdicts = |member: &Member| -> Vec<Fact> {
        let all = facts(member, Direction::Forward, Stage::Ordered);
        all.into_iter()
            .filter(|fact| matches!(fact, Fact::Verdict(_)))
            .collect()
    };
    let mut member = member(Some(7), None, vec![health(HealthState::Confirmed)]);
    let mut verdict = support::verdict(VerdictWord::Trusted, TOLD - 1);
    verdict.claims = serde_json::json!({ "models": ["ab"] });
    member.verdict = Some(verdict.clone());
    assert_eq!(verdicts(&member), [], "from before the order");
    verdict.at = TOLD + 5;
    member.verdict = Some(verdict.clone());
    assert_eq!(verdicts(&member), [Fact::Verdict(None)]);
    verdict.claims = serde_json::json!({ "models": ["cd"] });
    member.verdict = Some(verdict.clone());
    assert_eq!(verdicts(&member), [], "about another model");
    verdict.word = VerdictWord::Refused;
    member.verdict = Some(verdict);
    assert_eq!(verdicts(&member), [Fact::Verdict(Some("verdict".into()))]);
}

#[test]
fn a_few_requests_say_nothing_about_a_share() {
    let mut few = health(HealthState::Confirmed);
    few.requests = Requests { served: 1, failed: 1 };
    few.answers = None;
    few.speed = Speed::default();
    let expected = Fact::Forward(Outcome::Confirmed {
        wrong_percent: 0,
        errors_permille: 0,
        slower_percent: 0,
    });
    let one = member(Some(7), None, vec![few]);
    assert_eq!(facts(&one, Direction::Forward, Stage::Ordered), [expected]);
}

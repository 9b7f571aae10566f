//! Rollouts in the console: planned, approved, driven, halted, and taken up again by a console that was killed.

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeMap;

use freehold_console::Console;
use freehold_console::people::account::AccountWish;
use freehold_console::people::session::Visitor;
use freehold_console::rollouts::Wish;
use freehold_console::run::open;
use freehold_console::state::StateDir;
use freehold_fleet::rollout::Command;
use freehold_fleet::{Event, Verdict};
use freehold_protocol::V1;
use freehold_protocol::health::{Answers, HealthState, ReleaseHealth, Requests, Speed};
use freehold_protocol::report::BoxReport;
use freehold_protocol::status::VerdictWord;
use freehold_sign::repository::{Expiry, OtherPublication, export, publish_other};
use freehold_verify::release::ReleaseKind;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::paper_tpm::PaperBox;
use support::{World, call, code, copy, json as body, now};

const OLD: &str = "policies/ward/1.0.0/release.json";
const NEW: &str = "policies/ward/1.1.0/release.json";

/// Publishes both versions and gives them to the console.
async fn publish(world: &World) {
    for version in ["1.0.0", "1.1.0"] {
        let file = world.folder.path().join("policy.json");
        std::fs::write(&file, format!("{{\"v\":\"{version}\"}}")).unwrap();
        let release = OtherPublication {
            kind: ReleaseKind::Policy,
            name: "ward",
            version,
            counter: None,
            files: vec![("policy.json".to_owned(), file)],
            licence: None,
            hardware: Vec::new(),
        };
        publish_other(&world.publisher, &release, &Expiry::default(), now().unix_timestamp()).unwrap();
    }
    let out = world.folder.path().join("rolled");
    export(&world.publisher, &out).unwrap();
    world.console().import(&out, None, "test").await.unwrap();
}

/// A box in words: it takes what it is assigned, unless it is one that the new release does not suit.
#[derive(Clone)]
struct Actor {
    id: String,
    suits: bool,
    sequence: u64,
}

impl Actor {
    /// Proves itself, and reports what it did about its assignment.
    async fn act(&mut self, console: &Console) {
        let at = console.now();
        let verdict = Verdict {
            word: VerdictWord::TrustedSimulated,
            because: vec!["in a test".to_owned()],
            refusals: Vec::new(),
            at,
            evidence: freehold_trust::sha256(self.id.as_bytes()).to_hex(),
            claims: json!({}),
            policies: Vec::new(),
        };
        let event = Event::Appraised {
            box_id: self.id.clone(),
            verdict: Box::new(verdict),
            evidence: Vec::new(),
        };
        console.happen(event).await.unwrap();
        let head = console.fleet().member(&self.id).unwrap().assignment.clone();
        let mut health = Vec::new();
        for target in head.iter().flat_map(|head| &head.targets) {
            let shelf = console.shelf();
            let info = shelf.targets.as_ref().unwrap().target(target).unwrap();
            let holds = self.suits || target != NEW;
            health.push(ReleaseHealth {
                release: info.sha256.to_hex(),
                name: "policies/ward".to_owned(),
                version: target.split('/').nth(2).unwrap().to_owned(),
                state: if holds {
                    HealthState::Confirmed
                } else {
                    HealthState::WentBack {
                        code: "health.answers".to_owned(),
                    }
                },
                answers: Some(Answers { right: 3, total: 3 }),
                requests: Requests::default(),
                speed: Speed::default(),
            });
        }
        self.sequence += 1;
        let report = BoxReport {
            v: V1,
            sequence: self.sequence,
            at,
            version: "test".to_owned(),
            achieved: head.as_ref().map(|head| head.counter),
            pursuing: None,
            doing: String::new(),
            refusals: Vec::new(),
            models: Vec::new(),
            gateway: None,
            inventory: None,
            health,
        };
        let event = Event::Reported {
            box_id: self.id.clone(),
            report: Box::new(report),
        };
        console.happen(event).await.unwrap();
        // Reports are written in groups; a console that is killed hears them again.
        console.flush_reports().await;
    }
}

/// Boxes of a fleet that all run the old release.
async fn fleet(world: &World, count: usize, unsuited: &[usize]) -> Vec<Actor> {
    publish(world).await;
    let mut actors = Vec::new();
    for number in 0..count {
        let paper = PaperBox::new(&format!("paper-box-{number:04x}"));
        world.member(&paper).await;
        let mut actor = Actor {
            id: paper.id.clone(),
            suits: !unsuited.contains(&number),
            sequence: 0,
        };
        world
            .console()
            .assign(&actor.id, &[OLD.to_owned()], None, "test")
            .await
            .unwrap();
        actor.act(world.console()).await;
        actors.push(actor);
    }
    actors
}

fn wish(more: Value) -> Wish {
    let mut wish = json!({
        "release": NEW,
        "waves": [{ "canaries": ["paper-box-0000"] }, { "count": 2 }, { "percent": 100 }],
        "limits": { "unavailable": 2, "unavailable_per_site": 2 },
        "approvals": 0,
    });
    wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(wish).unwrap()
}

async fn begin(console: &Console, wish: &Wish) -> String {
    let id = console.propose_rollout(wish, "mia").await.unwrap();
    console
        .command_rollout(&id, Command::Start { by: "mia".to_owned() })
        .await
        .unwrap();
    id
}

/// Ticks and lets boxes act until the rollout is over.
async fn play(console: &Console, actors: &mut [Actor], id: &str) {
    for _ in 0..60 {
        console.tick_rollouts().await;
        if phase(console, id) == "done" || phase(console, id) == "rolled_back" {
            return;
        }
        for actor in &mut *actors {
            actor.act(console).await;
        }
    }
    panic!("not over: {:#?}", shown(console, id));
}

fn shown(console: &Console, id: &str) -> Value {
    serde_json::to_value(console.shown_rollout(id).unwrap()).unwrap()
}

fn phase(console: &Console, id: &str) -> String {
    shown(console, id)["phase"].as_str().unwrap().to_owned()
}

fn stages(console: &Console, id: &str) -> BTreeMap<String, String> {
    let seen = shown(console, id);
    let waves = seen["waves"].as_array().unwrap().clone();
    let boxes = waves.iter().flat_map(|wave| wave["boxes"].as_array().unwrap().clone());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    boxes.map(|one| (text(&one["box"]), text(&one["stage"]))).collect()
}

fn counters(console: &Console, actors: &[Actor]) -> Vec<u64> {
    let fleet = console.fleet();
    let head = |actor: &Actor| fleet.member(&actor.id).unwrap().assignment.clone().unwrap();
    actors.iter().map(|actor| head(actor).counter).collect()
}

// promise S-183
#[tokio::test]
async fn a_rollout_goes_wave_by_wave_and_a_box_that_went_back_keeps_what_it_ran() {
    let world = World::new().await;
    let mut actors = fleet(&world, 6, &[4]).await;
    let console = world.console();
    let id = begin(console, &wish(json!({ "failure_budget": 1 }))).await;
    play(console, &mut actors, &id).await;
    assert_eq!(phase(console, &id), "done");
    let seen = shown(console, &id);
    assert_eq!(seen["rolled_back"], json!(["paper-box-0004"]));
    assert_eq!(seen["counts"]["healthy"], 5);
    assert_eq!(seen["waves"][0]["boxes"][0]["box"], "paper-box-0000", "canaries first");
    let begun: Vec<i64> = (seen["waves"].as_array().unwrap().iter())
        .map(|wave| wave["begun"].as_i64().unwrap())
        .collect();
    assert!(begun.is_sorted(), "{begun:?}");
    // What each box was told last: the new release with its way back, or the old one again.
    for actor in &actors {
        let head = console.fleet().member(&actor.id).unwrap().assignment.clone().unwrap();
        assert_eq!(head.targets, [if actor.suits { NEW } else { OLD }]);
        let envelope = console
            .store()
            .assignment_of(&actor.id, head.counter)
            .await
            .unwrap()
            .unwrap();
        let text = payload(&envelope);
        assert_eq!(
            text["fallback"].as_array().map_or(0, Vec::len),
            usize::from(actor.suits),
            "{text:#}"
        );
    }
    // One order each, and one more for the box that went back: nothing is told twice.
    assert_eq!(counters(console, &actors), [2, 2, 2, 2, 3, 2]);
    let (token, _) = world.session("auditor", "api").await;
    let entries = body(&call(&world, &token, Method::GET, "/api/v1/record/entries?limit=500", None).await);
    let text = entries.to_string();
    for kind in [
        "rollout.proposed",
        "rollout.started",
        "rollout.wave",
        "rollout.box",
        "rollout.phase",
    ] {
        assert!(text.contains(kind), "{kind} is not in the record");
    }
    assert!(
        text.contains("health.answers"),
        "why a box went back stands in the record"
    );
}

fn payload(envelope: &[u8]) -> Value {
    use base64::Engine as _;
    let envelope: Value = serde_json::from_slice(envelope).unwrap();
    let text = envelope["payload"].as_str().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

// promise S-184
#[tokio::test]
async fn more_failures_than_the_budget_send_every_box_back() {
    let world = World::new().await;
    let mut actors = fleet(&world, 5, &[1, 2, 3, 4]).await;
    let console = world.console();
    let id = begin(console, &wish(json!({ "failure_budget": 1 }))).await;
    play(console, &mut actors, &id).await;
    let seen = shown(console, &id);
    assert_eq!(seen["phase"], "rolled_back");
    assert!(
        seen["because"]
            .as_str()
            .unwrap()
            .contains("more than the budget allows")
    );
    let told = counters(console, &actors);
    for (actor, counter) in actors.iter().zip(told) {
        let targets = console
            .fleet()
            .member(&actor.id)
            .unwrap()
            .assignment
            .clone()
            .unwrap()
            .targets;
        assert_eq!(targets, [OLD], "{} was told {counter} times", actor.id);
    }
    assert_eq!(stages(console, &id)["paper-box-0000"], "returned");
}

// promise S-185
#[tokio::test]
async fn a_console_killed_at_any_step_of_a_rollout_loses_and_repeats_nothing() {
    let world = World::new().await;
    let actors = fleet(&world, 4, &[3]).await;
    let World { folder, running, .. } = world;
    running.stop().await;
    let state = folder.path().join("state");
    let copies = tempfile::tempdir().unwrap();
    let console = open(StateDir::new(&state)).await.unwrap();
    let mut playing = actors.clone();
    for actor in &mut playing {
        actor.act(&console).await;
    }
    let id = begin(&console, &wish(json!({ "failure_budget": 1 }))).await;
    // What lies on the disk after each step is what a killed process leaves there.
    let mut snapshots = Vec::new();
    while phase(&console, &id) == "running" {
        console.tick_rollouts().await;
        snapshots.push((copies.path().join(format!("{}", snapshots.len())), playing.clone()));
        copy(&state, &snapshots.last().unwrap().0);
        for place in 0..playing.len() {
            playing[place].act(&console).await;
            snapshots.push((copies.path().join(format!("{}", snapshots.len())), playing.clone()));
            copy(&state, &snapshots.last().unwrap().0);
        }
        assert!(snapshots.len() < 100);
    }
    let expected = (stages(&console, &id), counters(&console, &actors));
    assert_eq!(expected.1, [2, 2, 2, 3]);
    assert!(snapshots.len() > 10, "{}", snapshots.len());
    for (folder, mut actors) in snapshots {
        let again = open(StateDir::new(&folder)).await.unwrap();
        for actor in &mut actors {
            actor.act(&again).await;
        }
        play(&again, &mut actors, &id).await;
        let found = (stages(&again, &id), counters(&again, &actors));
        assert_eq!(found, expected, "killed at {}", folder.display());
    }
}

async fn role(world: &World, role: &str) -> (String, String) {
    let (token, session) = world.session(role, "api").await;
    (token, session.account)
}

// promise S-186
#[tokio::test]
async fn a_plan_is_approved_by_somebody_else_with_their_password_or_it_does_not_begin() {
    let world = World::new().await;
    fleet(&world, 2, &[]).await;
    let (operator, name) = role(&world, "operator").await;
    let (viewer, _) = role(&world, "viewer").await;
    let ask = json!({ "release": NEW, "boxes": "label=on*", "waves": [{ "percent": 100 }] });
    let path = "/api/v1/rollouts";
    let refused = call(&world, &viewer, Method::POST, path, Some(ask.clone())).await;
    assert_eq!(code(&refused), "policy.no_permit");
    // A preview keeps nothing.
    let preview = call(
        &world,
        &operator,
        Method::POST,
        "/api/v1/rollouts/plan",
        Some(ask.clone()),
    )
    .await;
    assert_eq!(preview.status, StatusCode::OK, "{:?}", preview.body);
    assert!(body(&preview)["risks"].as_array().unwrap().len() > 1);
    let all = body(&call(&world, &viewer, Method::GET, path, None).await);
    assert_eq!(all["rollouts"], json!([]));
    let made = call(&world, &operator, Method::POST, path, Some(ask.clone())).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = body(&made);
    let (id, digest) = (made["id"].as_str().unwrap(), made["digest"].as_str().unwrap());
    let to = |what: &str| format!("/api/v1/rollouts/{id}/{what}");
    let seen = json!({ "digest": digest });
    let start = call(&world, &operator, Method::POST, &to("start"), Some(seen.clone())).await;
    assert_eq!(code(&start), "rollout.not_approved");
    let other = json!({ "digest": "0".repeat(64) });
    assert_eq!(
        code(&call(&world, &operator, Method::POST, &to("start"), Some(other)).await),
        "rollout.plan_changed"
    );
    // Nobody approves their own, and an administrator decides about no plan.
    let approval = json!({ "digest": digest, "password": "four plain words" });
    for role in [&operator, &viewer] {
        let refused = call(&world, role, Method::POST, &to("approve"), Some(approval.clone())).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{:?}", refused.body);
    }
    // An approver with a password that is really one.
    let noor = AccountWish {
        name: "noor".to_owned(),
        role: "approver".to_owned(),
        sites: vec!["*".to_owned()],
        kind: "person".to_owned(),
    };
    let password = world.console().make_account(&noor, "test").await.unwrap();
    let signed = world
        .console()
        .sign_in_whole("noor", &password, None, "127.0.0.1")
        .await
        .unwrap();
    let visitor = Visitor {
        account: signed.account.clone(),
        session: signed.session.clone(),
        scope: None,
    };
    world
        .console()
        .change_password(&visitor, &password, "four plain words together")
        .await
        .unwrap();
    let wrong = call(&world, &signed.token, Method::POST, &to("approve"), Some(approval)).await;
    assert_eq!(code(&wrong), "console.sign_in_refused");
    let right = json!({ "digest": digest, "password": "four plain words together" });
    let approved = call(&world, &signed.token, Method::POST, &to("approve"), Some(right)).await;
    assert_eq!(approved.status, StatusCode::OK, "{:?}", approved.body);
    assert_eq!(body(&approved)["approvals"], json!(["noor"]));
    let start = call(&world, &operator, Method::POST, &to("start"), Some(seen)).await;
    assert_eq!(body(&start)["phase"], "running", "{:?}", start.body);
    assert_eq!(body(&start)["by"], name.as_str());
    // A second rollout of the same release line over the same boxes has to wait for the first.
    let second = call(&world, &operator, Method::POST, path, Some(ask)).await;
    assert_eq!(code(&second), "rollout.busy");
    for what in ["pause", "pause", "resume", "abort", "abort"] {
        let said = call(&world, &operator, Method::POST, &to(what), None).await;
        assert_eq!(said.status, StatusCode::OK, "{what}: {:?}", said.body);
    }
    let ended = call(&world, &operator, Method::POST, &to("resume"), None).await;
    assert_eq!(code(&ended), "rollout.ended");
}

#[tokio::test]
async fn a_wish_that_makes_no_plan_is_refused_by_code() {
    let world = World::new().await;
    fleet(&world, 2, &[]).await;
    let (operator, _) = role(&world, "operator").await;
    for (more, expected) in [
        (json!({ "boxes": "sit=north" }), "rollout.query"),
        (json!({ "boxes": "label=nobody" }), "rollout.no_boxes"),
        (
            json!({ "waves": [{ "canaries": ["paper-box-0009"] }] }),
            "rollout.canary",
        ),
        (json!({ "waves": [{ "count": 1 }] }), "rollout.waves"),
        (
            json!({ "limits": { "unavailable": 0, "unavailable_per_site": 1 } }),
            "rollout.limit",
        ),
        (
            json!({ "release": "models/none/1/release.json" }),
            "release.unknown_target",
        ),
        (json!({ "unknown": 1 }), "console.unreadable"),
    ] {
        let mut ask = json!({ "release": NEW });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = call(&world, &operator, Method::POST, "/api/v1/rollouts", Some(ask)).await;
        assert_eq!(code(&refused), expected, "{:?}", refused.body);
    }
}

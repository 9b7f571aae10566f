//! Rollouts of what the publisher's policy wants people to approve: with their passkeys, kept over a kill, and packed so that
//! each box's own check takes them, on the way there and back.

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use freehold_console::Console;
use freehold_console::people::session::Visitor;
use freehold_console::rollouts::Wish;
use freehold_console::run::open;
use freehold_console::state::StateDir;
use freehold_decide::{Bundle, BundleData};
use freehold_fleet::rollout::Command;
use freehold_fleet::{Event, Verdict};
use freehold_harness::Passkey;
use freehold_protocol::V1;
use freehold_protocol::report::BoxReport;
use freehold_protocol::status::VerdictWord;
use freehold_protocol::stick::{Letter, letter_name};
use freehold_sign::repository::{Expiry, OtherPublication, export, publish_other};
use freehold_trust::dsse::Envelope;
use freehold_trust::{KeyKind, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::approval::{
    Approval, ApprovalExpectation, ApprovalPackage, ApprovalRejection, ApprovedRelease, Approver, Approvers, BoxLine,
    Rule, Statement, WantedRelease, check_approvals, verify_approval,
};
use freehold_verify::container::{Container, Kind};
use freehold_verify::document::{Assignment, MAX_DOCUMENT};
use freehold_verify::release::ReleaseKind;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::paper_tpm::PaperBox;
use support::{World, call, code, copy, json as body, now};

const PAGE: &str = "https://console.ward.example:8443";
const SITE: &str = "ward-7";
const OLD: &str = "engines/runner/1.0.0/release.json";
const NEW: &str = "engines/runner/1.1.0/release.json";
const OTHER: &str = "engines/other/1.0.0/release.json";
const BOXES: [&str; 3] = ["paper-box-0000", "paper-box-0001", "paper-box-0002"];

fn everywhere() -> BTreeSet<String> {
    BTreeSet::from(["*".to_owned()])
}

/// A console with three boxes that run the old release, and two people whose passkeys a policy may list.
struct Ward {
    world: World,
    ann: Passkey,
    ben: Passkey,
}

impl Ward {
    async fn new() -> Self {
        let world = World::new().await;
        let passkey = |kind| Passkey::new(kind, PAGE).unwrap();
        let ward = Self {
            ann: passkey(KeyKind::P256),
            ben: passkey(KeyKind::Ed25519),
            world,
        };
        for (name, version) in [("runner", "1.0.0"), ("runner", "1.1.0"), ("other", "1.0.0")] {
            let text = format!("{name} {version}");
            ward.publish(ReleaseKind::Engine, name, version, &[("engine", text.as_bytes())]);
        }
        ward.import().await;
        for id in BOXES {
            ward.world.member(&PaperBox::new(id)).await;
            let old = [OLD.to_owned()];
            ward.world.console().assign(id, &old, None, "test").await.unwrap();
            proves_itself(ward.world.console(), id, 1).await;
        }
        ward
    }

    /// The same, and the policy in force wants two people for every engine.
    async fn strict() -> Self {
        let ward = Self::new().await;
        ward.demand("1.0.0", &["ann", "ben"], 2).await;
        ward
    }

    fn publish(&self, kind: ReleaseKind, name: &str, version: &str, files: &[(&str, &[u8])]) {
        let folder = self.world.folder.path();
        let files = files.iter().map(|(path, bytes)| {
            let file = folder.join(path);
            std::fs::write(&file, bytes).unwrap();
            ((*path).to_owned(), file)
        });
        let publication = OtherPublication {
            kind,
            name,
            version,
            counter: None,
            files: files.collect(),
            licence: None,
            hardware: Vec::new(),
        };
        let at = now().unix_timestamp();
        publish_other(&self.world.publisher, &publication, &Expiry::default(), at).unwrap();
    }

    async fn import(&self) {
        let folder = freehold_console::random::hex::<4>().unwrap();
        let out = self.world.folder.path().join(folder);
        export(&self.world.publisher, &out).unwrap();
        self.world.console().import(&out, None, "test").await.unwrap();
    }

    fn approvers(&self, listed: &[&str], approvals: u32) -> Approvers {
        let mut list = Approvers::new("console.ward.example", vec![PAGE.to_owned()]);
        for (name, key) in [("ann", &self.ann), ("ben", &self.ben)] {
            if listed.contains(&name) {
                list.approvers.push(Approver {
                    name: name.to_owned(),
                    sites: everywhere(),
                    keys: vec![key.listed()],
                });
            }
        }
        list.rules.push(Rule {
            kind: ReleaseKind::Engine,
            approvals,
            sites: everywhere(),
        });
        list
    }

    /// Publishes a policy that wants so many of these people for every engine; it is in force from then on.
    async fn demand(&self, version: &str, listed: &[&str], approvals: u32) {
        let bundle = Bundle::shipped("hospital", version, BundleData::default()).to_bytes();
        let list = self.approvers(listed, approvals).to_bytes();
        let files: [(&str, &[u8]); 2] = [("policy.json", &bundle), (Approvers::FILE, &list)];
        self.publish(ReleaseKind::Policy, "hospital", version, &files);
        self.import().await;
        assert!(self.world.console().shelf().approvers.is_some());
    }

    /// The doors are closed; what lies in the folder is opened again, as after a kill.
    async fn killed(self) -> (Console, Passkeys, tempfile::TempDir) {
        let approvers = self.approvers(&["ann", "ben"], 2);
        let Self { world, ann, ben } = self;
        let World { folder, running, .. } = world;
        running.stop().await;
        let console = open(StateDir::new(&folder.path().join("state"))).await.unwrap();
        (console, Passkeys { approvers, ann, ben }, folder)
    }
}

struct Passkeys {
    approvers: Approvers,
    ann: Passkey,
    ben: Passkey,
}

/// A box proves its boot, and says that it has done its assignment with this counter.
async fn proves_itself(console: &Console, id: &str, achieved: u64) {
    let at = console.now();
    let verdict = Verdict {
        word: VerdictWord::TrustedSimulated,
        because: vec!["in a test".to_owned()],
        refusals: Vec::new(),
        at,
        evidence: freehold_trust::sha256(id.as_bytes()).to_hex(),
        claims: json!({}),
        policies: Vec::new(),
    };
    let event = Event::Appraised {
        box_id: id.to_owned(),
        verdict: Box::new(verdict),
        evidence: Vec::new(),
    };
    console.happen(event).await.unwrap();
    static SEQUENCE: AtomicU64 = AtomicU64::new(1);
    let report = BoxReport {
        v: V1,
        sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
        at,
        version: "test".to_owned(),
        achieved: Some(achieved),
        pursuing: None,
        doing: String::new(),
        refusals: Vec::new(),
        models: Vec::new(),
        gateway: None,
        inventory: None,
        health: Vec::new(),
    };
    let event = Event::Reported {
        box_id: id.to_owned(),
        report: Box::new(report),
    };
    console.happen(event).await.unwrap();
    console.flush_reports().await;
}

async fn killed_again(state: &Path, folder: &Path, name: &str) -> Console {
    let again = folder.join(name);
    copy(state, &again);
    open(StateDir::new(&again)).await.unwrap()
}

fn ask(more: Value) -> Value {
    let mut ask = json!({
        "release": NEW, "waves": [{ "percent": 100 }], "limits": { "unavailable": 3, "unavailable_per_site": 3 },
    });
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

fn wish(more: Value) -> Wish {
    serde_json::from_value(ask(more)).unwrap()
}

fn shown(console: &Console, id: &str) -> Value {
    serde_json::to_value(console.shown_rollout(id).unwrap()).unwrap()
}

fn challenge(shown: &Value) -> Vec<u8> {
    let statement = shown["approval"]["statement"].as_str().unwrap();
    assert_eq!(shown["approval"]["sha256"], sha256(statement.as_bytes()).to_hex());
    sha256(statement.as_bytes()).as_bytes().to_vec()
}

async fn approve(console: &Console, visitor: &Visitor, key: &Passkey, id: &str) -> Result<(), String> {
    let assertion = key.answer(&challenge(&shown(console, id)));
    let done = console.approve_rollout_with_passkey(visitor, id, assertion).await;
    done.map_err(|refused| refused.report.code)
}

async fn start(console: &Console, id: &str) -> Result<(), String> {
    let done = console
        .command_rollout(id, Command::Start { by: "mia".to_owned() })
        .await;
    done.map_err(|refused| refused.report.code)
}

/// What a box would fetch: its newest assignment, and the packages that it names.
async fn told(console: &Console, id: &str) -> (Assignment, Vec<Vec<u8>>) {
    let counter = console.fleet().member(id).unwrap().assignment.as_ref().unwrap().counter;
    let envelope = console.store().assignment_of(id, counter).await.unwrap().unwrap();
    let envelope = Envelope::parse(&envelope, MAX_DOCUMENT).unwrap();
    let assignment: Assignment = serde_json::from_slice(&envelope.payload).unwrap();
    let mut packages = Vec::new();
    for named in &assignment.approvals {
        let package = console.store().approval_package(id, &named.to_hex()).await.unwrap();
        packages.push(package.expect("what the assignment names is there"));
    }
    (assignment, packages)
}

/// The box's own check of one package.
fn checked(
    console: &Console,
    box_id: &str,
    package: &[u8],
    approvers: &Approvers,
) -> Result<Approval, ApprovalRejection> {
    let expectation = ApprovalExpectation {
        fleet: &console.file().fleet,
        box_id,
        site: SITE,
        now: console.now(),
    };
    verify_approval(package, approvers, &expectation).map(|approval| (*approval).clone())
}

/// The box's own check of a whole assignment that brings these releases.
fn takes(
    console: &Console,
    box_id: &str,
    brings: &[&str],
    packages: &[Vec<u8>],
    approvers: &Approvers,
) -> Result<(), ApprovalRejection> {
    let expectation = ApprovalExpectation {
        fleet: &console.file().fleet,
        box_id,
        site: SITE,
        now: console.now(),
    };
    let approvals: Result<Vec<_>, _> = packages
        .iter()
        .map(|package| verify_approval(package, approvers, &expectation))
        .collect();
    let wanted: Vec<WantedRelease> = brings
        .iter()
        .map(|name| WantedRelease {
            release: release(console, name),
            kind: ReleaseKind::Engine,
        })
        .collect();
    check_approvals(&wanted, None, &approvals?, approvers, SITE)
}

fn release(console: &Console, name: &str) -> ApprovedRelease {
    let shelf = console.shelf();
    ApprovedRelease {
        name: name.to_owned(),
        sha256: shelf.targets.as_ref().unwrap().target(name).unwrap().sha256,
    }
}

// promise S-189
#[tokio::test]
async fn a_rollout_that_boxes_want_approved_begins_with_enough_passkeys_and_carries_them_to_each_box() {
    let ward = Ward::strict().await;
    let world = &ward.world;
    let console = world.console();
    let (operator, _) = world.session("operator", "api").await;
    let (ann, _) = world.session_of("ann", "approver", "api").await;
    let (ben, _) = world.session_of("ben", "approver", "api").await;
    let post = async |token: &str, path: &str, body: Option<Value>| {
        call(world, token, Method::POST, &format!("/api/v1/rollouts{path}"), body).await
    };
    let preview = body(&post(&operator, "/plan", Some(ask(json!({})))).await);
    assert_eq!(preview["approval"]["needed"], 2, "{preview:#}");
    let made = post(&operator, "", Some(ask(json!({ "by_stick": [BOXES[2]] })))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let made = body(&made);
    let id = made["id"].as_str().unwrap();
    // The wish wants one person, the policy two.
    assert_eq!(
        (&made["approvals_needed"], &made["approval"]["missing"]),
        (&json!(2), &json!(2))
    );
    let text = made["approval"]["statement"].as_str().unwrap();
    let statement = Statement::parse(text.as_bytes()).unwrap();
    assert_eq!(
        (statement.plan.as_str(), statement.proposer.as_str()),
        (id, made["by"].as_str().unwrap())
    );
    assert_eq!(statement.releases, [release(console, NEW)]);
    assert_eq!(statement.schedule.to_hex(), made["digest"].as_str().unwrap());
    assert_eq!(
        (statement.boxes.size, json!(statement.not_after)),
        (3, made["deadline"].clone())
    );

    let to = |what: &str| format!("/{id}/{what}");
    let seen = json!({ "digest": made["digest"] });
    let begin = async || code(&post(&operator, &to("start"), Some(seen.clone())).await);
    let give = async |token: &str, key: &Passkey, challenge: &[u8]| {
        let answer = serde_json::to_value(key.answer(challenge)).unwrap();
        code(&post(token, &to("approvals"), Some(answer)).await)
    };
    let signed = challenge(&made);
    assert_eq!(begin().await, "approval.missing");
    // A password would stand on the page and count for no box.
    let password = json!({ "digest": made["digest"], "password": "four plain words together" });
    assert_eq!(
        code(&post(&ann, &to("approve"), Some(password)).await),
        "rollout.passkey_wanted"
    );
    // Another plan, however alike, is another statement.
    let second = body(&post(&operator, "", Some(ask(json!({})))).await);
    assert_eq!(give(&ann, &ward.ann, &challenge(&second)).await, "approval.other_plan");
    assert_eq!(give(&ann, &ward.ben, &signed).await, "console.other_passkey");
    let stranger = Passkey::new(KeyKind::P256, PAGE).unwrap();
    assert_eq!(give(&ann, &stranger, &signed).await, "approval.unknown_approver");
    let elsewhere = Passkey::new(KeyKind::P256, PAGE).unwrap().answer(&signed);
    let posing = freehold_verify::webauthn::Assertion {
        credential: ward.ann.listed().credential,
        ..elsewhere
    };
    let posing = serde_json::to_value(posing).unwrap();
    assert_eq!(
        code(&post(&ann, &to("approvals"), Some(posing)).await),
        "approval.signature"
    );
    assert!(give(&operator, &ward.ann, &signed).await.starts_with("policy."));

    assert_eq!(give(&ann, &ward.ann, &signed).await, "200");
    assert_eq!(give(&ann, &ward.ann, &signed).await, "approval.twice");
    assert_eq!(begin().await, "approval.missing");
    assert_eq!(give(&ben, &ward.ben, &signed).await, "200");
    let approved = shown(console, id);
    assert_eq!(
        (&approved["approvals"], &approved["approval"]["missing"]),
        (&json!(["ann", "ben"]), &json!(0))
    );
    assert_eq!(begin().await, "200");
    console.tick_rollouts().await;

    let approvers = ward.approvers(&["ann", "ben"], 2);
    let mut found = Vec::new();
    for box_id in BOXES {
        let (assignment, packages) = told(console, box_id).await;
        assert_eq!(assignment.targets[0].name, NEW);
        takes(console, box_id, &[NEW], &packages, &approvers).unwrap();
        let approval = checked(console, box_id, &packages[0], &approvers).unwrap();
        assert_eq!(approval.by, BTreeSet::from(["ann".to_owned(), "ben".to_owned()]));
        assert_eq!(
            approval.line.back,
            [release(console, OLD)],
            "and the way back stands in it"
        );
        assert!(approval.covers(&release(console, OLD)));
        found.push(packages[0].clone());
    }
    let of_another = checked(console, BOXES[1], &found[0], &approvers).unwrap_err();
    assert_eq!(of_another.code(), "approval.not_in_plan");
    let (auditor, _) = world.session("auditor", "api").await;
    let entries = call(world, &auditor, Method::GET, "/api/v1/record/entries?limit=500", None).await;
    let entries = body(&entries).to_string();
    for part in [
        "rollout.approved",
        &ward.ann.listed().credential,
        "approval.twice",
        "rollout.passkey_wanted",
    ] {
        assert!(entries.contains(part), "{part} is not in the record");
    }
    // The box without a network finds the same in its letter.
    let bundle = freehold_console::stick::Wish {
        boxes: vec![BOXES[2].to_owned()],
        part_size: None,
        days: None,
    };
    let number = console.make_bundle(&bundle, "me").await.unwrap()["number"]
        .as_u64()
        .unwrap();
    let part = call(
        world,
        &operator,
        Method::GET,
        &format!("/api/v1/bundles/{number}/parts/1"),
        None,
    )
    .await;
    let container = Container::parse(&part.body, Kind::Bundle).unwrap();
    let letter: Letter = serde_json::from_slice(container.need(&letter_name(BOXES[2])).unwrap()).unwrap();
    let carried: Vec<Vec<u8>> = letter.approvals.into_iter().map(|package| package.0).collect();
    takes(console, BOXES[2], &[NEW], &carried, &approvers).unwrap();
}

// promise S-189
#[tokio::test]
async fn a_killed_console_keeps_a_rollouts_approvals_and_tells_nobody_twice() {
    let ward = Ward::strict().await;
    let (_, ann) = ward.world.session_of("ann", "approver", "page").await;
    let (_, ben) = ward.world.session_of("ben", "approver", "page").await;
    let console = ward.world.console().clone();
    let id = console.propose_rollout(&wish(json!({})), "mia").await.unwrap();
    approve(&console, &ann, &ward.ann, &id).await.unwrap();
    let before = shown(&console, &id);
    drop(console);
    let (console, keys, folder) = ward.killed().await;
    assert_eq!(shown(&console, &id), before);
    assert_eq!(before["approval"]["given"][0]["name"], "ann");
    assert_eq!(
        approve(&console, &ann, &keys.ann, &id).await.unwrap_err(),
        "approval.twice"
    );
    assert_eq!(start(&console, &id).await.unwrap_err(), "approval.missing");
    approve(&console, &ben, &keys.ben, &id).await.unwrap();
    start(&console, &id).await.unwrap();
    let folder = folder.path();
    let again = killed_again(&folder.join("state"), folder, "again").await;
    // Boxes prove themselves anew to a console that was started; then the orders go out.
    for box_id in BOXES {
        proves_itself(&again, box_id, 1).await;
    }
    again.tick_rollouts().await;
    for box_id in BOXES {
        let (assignment, packages) = told(&again, box_id).await;
        assert_eq!(assignment.counter, 2);
        takes(&again, box_id, &[NEW], &packages, &keys.approvers).unwrap();
    }
    let third = killed_again(&folder.join("again"), folder, "third").await;
    third.tick_rollouts().await;
    assert_eq!(told(&third, BOXES[0]).await.0.counter, 2, "it was told already");
}

// promise S-189
#[tokio::test]
async fn the_way_back_was_approved_with_the_plan_and_needs_nobody_while_the_box_keeps_it() {
    let ward = Ward::strict().await;
    let (_, ann) = ward.world.session_of("ann", "approver", "page").await;
    let (_, ben) = ward.world.session_of("ben", "approver", "page").await;
    let (console, keys, _folder) = ward.killed().await;
    // Weeks are left of the first plan's time, an hour of the second's.
    for (deadline, counter, packed) in [(24 * 20, 3, 1), (1, 5, 0)] {
        for box_id in BOXES {
            proves_itself(&console, box_id, counter - 2).await;
        }
        let more = json!({ "deadline_hours": deadline });
        let id = console.propose_rollout(&wish(more), "mia").await.unwrap();
        approve(&console, &ann, &keys.ann, &id).await.unwrap();
        approve(&console, &ben, &keys.ben, &id).await.unwrap();
        start(&console, &id).await.unwrap();
        console.tick_rollouts().await;
        let (forward, packages) = told(&console, BOXES[0]).await;
        assert_eq!((forward.counter, packages.len()), (counter - 1, 1));
        assert_eq!(forward.fallback[0].name, OLD);
        for box_id in BOXES {
            proves_itself(&console, box_id, counter - 1).await;
        }
        let back = Command::RollBack { by: "mia".to_owned() };
        console.command_rollout(&id, back).await.unwrap();
        console.tick_rollouts().await;
        for box_id in BOXES {
            let (assignment, packages) = told(&console, box_id).await;
            assert_eq!((assignment.counter, packages.len()), (counter, packed));
            assert_eq!(assignment.targets[0].name, OLD);
            // Also a box that has lost the release takes it back, while there is time.
            let taken = takes(&console, box_id, &[OLD], &packages, &keys.approvers);
            assert_eq!(taken.is_ok(), packed == 1, "{taken:?}");
        }
        // They are back: the rollout is over, and the next one may begin.
        let abort = Command::Abort { by: "mia".to_owned() };
        console.command_rollout(&id, abort).await.unwrap();
    }
}

// promise S-189
#[tokio::test]
async fn who_proposed_a_rollout_counts_for_nobody_and_neither_does_who_is_no_longer_listed() {
    let ward = Ward::strict().await;
    let console = ward.world.console();
    let (_, ann) = ward.world.session_of("ann", "approver", "page").await;
    let (_, ben) = ward.world.session_of("ben", "approver", "page").await;
    let id = console.propose_rollout(&wish(json!({})), "ann").await.unwrap();
    assert_eq!(
        approve(console, &ann, &ward.ann, &id).await.unwrap_err(),
        "policy.own_proposal"
    );
    // And what a console that forgot to ask would send, the box refuses.
    let statement = shown(console, &id)["approval"]["statement"]
        .as_str()
        .unwrap()
        .to_owned();
    let kept = console.shown_rollout(&id).unwrap();
    let order: Vec<String> = (kept.waves.iter().flat_map(|wave| &wave.boxes))
        .map(|one| one.box_id.clone())
        .collect();
    let lines: Vec<BoxLine> = order
        .iter()
        .map(|box_id| BoxLine {
            back: vec![release(console, OLD)],
            ..BoxLine::new(box_id, SITE)
        })
        .collect();
    let given = vec![ward.ann.answer(sha256(statement.as_bytes()).as_bytes())];
    let path = freehold_verify::approval::line_path(&lines, 0).unwrap();
    let package = ApprovalPackage::new(statement.as_bytes(), &lines[0], 0, path, given).to_bytes();
    let approvers = ward.approvers(&["ann", "ben"], 2);
    let refused = checked(console, &order[0], &package, &approvers).unwrap_err();
    assert_eq!(refused.code(), "approval.self");

    let id = console.propose_rollout(&wish(json!({})), "mia").await.unwrap();
    approve(console, &ann, &ward.ann, &id).await.unwrap();
    approve(console, &ben, &ward.ben, &id).await.unwrap();
    ward.demand("2.0.0", &["ann"], 2).await;
    assert_eq!(start(console, &id).await.unwrap_err(), "approval.missing");
    ward.demand("3.0.0", &["ann"], 1).await;
    start(console, &id).await.unwrap();
    console.tick_rollouts().await;
    let (_, packages) = told(console, BOXES[0]).await;
    let approvers = ward.approvers(&["ann"], 1);
    takes(console, BOXES[0], &[NEW], &packages, &approvers).unwrap();
}

#[tokio::test]
async fn a_policy_that_asks_for_people_after_the_plan_was_made_stops_it_before_it_begins() {
    let ward = Ward::new().await;
    let console = ward.world.console();
    let (_, ann) = ward.world.session_of("ann", "approver", "page").await;
    let id = console
        .propose_rollout(&wish(json!({ "approvals": 0 })), "mia")
        .await
        .unwrap();
    assert!(shown(console, &id)["approval"].is_null());
    ward.demand("1.0.0", &["ann", "ben"], 2).await;
    assert_eq!(start(console, &id).await.unwrap_err(), "approval.missing");
    let assertion = ward.ann.answer(b"anything");
    let refused = console.approve_rollout_with_passkey(&ann, &id, assertion).await;
    assert_eq!(refused.unwrap_err().report.code, "rollout.password_wanted");
}

// promise S-189
#[tokio::test]
async fn a_box_that_was_away_gets_the_approvals_of_both_rollouts_that_it_missed() {
    let ward = Ward::strict().await;
    let (_, ann) = ward.world.session_of("ann", "approver", "page").await;
    let (_, ben) = ward.world.session_of("ben", "approver", "page").await;
    let (console, keys, _folder) = ward.killed().await;
    for box_id in BOXES {
        proves_itself(&console, box_id, 1).await;
    }
    for release in [NEW, OTHER] {
        let more = json!({ "release": release });
        let id = console.propose_rollout(&wish(more), "mia").await.unwrap();
        approve(&console, &ann, &keys.ann, &id).await.unwrap();
        approve(&console, &ben, &keys.ben, &id).await.unwrap();
        start(&console, &id).await.unwrap();
        console.tick_rollouts().await;
    }
    let (assignment, packages) = told(&console, BOXES[0]).await;
    assert_eq!(
        (assignment.counter, assignment.targets.len(), packages.len()),
        (3, 2, 2)
    );
    takes(&console, BOXES[0], &[NEW, OTHER], &packages, &keys.approvers).unwrap();
}

//! The two-person rule against real programs: what people approve arrives, and what a thief of the whole console orders does
//! not, whatever it makes of the approvals that it found.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use freehold_harness::world::Wish;
use freehold_harness::{PATIENCE, Passkey, World, wait_for};
use freehold_scenarios::client::{Server, code_of, runtime};
use freehold_scenarios::explained;
use freehold_scenarios::thief::{known, order, packages};
use freehold_trust::{KeyKind, sha256};
use freehold_verify::approval::{
    ApprovalPackage, ApprovedRelease, Approver, Approvers, BoxLine, Rule, STATEMENT_KIND, Statement, line_list,
};
use freehold_verify::document::AssignedTarget;
use freehold_verify::release::ReleaseKind;
use freehold_verify::webauthn::Assertion;
use http::Method;
use serde_json::{Value, json};

const PAGE: &str = "https://console.ward.example:8443";
const GUIDE: &str = "models/guide/1.0.0/release.json";
const OTHER: &str = "models/other/1.0.0/release.json";

fn everywhere() -> BTreeSet<String> {
    BTreeSet::from(["*".to_owned()])
}

/// A fleet whose policy wants two people for every model, and those two.
struct Ward {
    world: World,
    ann: Passkey,
    ben: Passkey,
}

impl Ward {
    fn new() -> Result<Self> {
        let wish = Wish {
            models: vec![
                ("guide".to_owned(), "1.0.0".to_owned()),
                ("other".to_owned(), "1.0.0".to_owned()),
            ],
            ..Wish::default()
        };
        let mut world = World::with(wish)?;
        let (ann, ben) = (
            Passkey::new(KeyKind::P256, PAGE)?,
            Passkey::new(KeyKind::Ed25519, PAGE)?,
        );
        let mut list = Approvers::new("console.ward.example", vec![PAGE.to_owned()]);
        for (name, key) in [("ann", &ann), ("ben", &ben)] {
            list.approvers.push(Approver {
                name: name.to_owned(),
                sites: everywhere(),
                keys: vec![key.listed()],
            });
        }
        list.rules.push(Rule {
            kind: ReleaseKind::Model,
            approvals: 2,
            sites: everywhere(),
        });
        let signer = world.publisher.signer();
        world.publisher.policy_with("ward", "2.0.0", &[signer], Some(&list))?;
        world.import()?;
        world.join()?;
        let policy = world.one.state().join("policy.json");
        wait_for("the policy with approvers", PATIENCE, || {
            Ok(read(&policy)["approvers"].is_string().then_some(()))
        })?;
        Ok(Self { world, ann, ben })
    }

    /// What the box accepted last, and who approved it.
    fn accepted(&self) -> (Value, Value) {
        let state = self.world.one.state();
        let accepted = read(&state.join("pursuit.json"))["accepted"].clone();
        (accepted, read(&state.join("approvals.json"))["by"].clone())
    }

    /// Waits until the box has refused with this code.
    fn refuses(&self, code: &str) -> Result<()> {
        let seen = self.world.wait_seen(&format!("the refusal {code}"), |seen| {
            let refusals = seen["report"]["refusals"].as_array();
            refusals.is_some_and(|all| all.last().is_some_and(|last| last["code"] == code))
        });
        seen.map(drop)
    }
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// An account with its own password, signed in over the API.
async fn person(admin: &Server, name: &str, role: &str) -> Result<Server> {
    let wish = json!({"name": name, "role": role});
    let (status, made) = admin.ask(Method::POST, "/api/v1/accounts", Some(wish)).await?;
    ensure!(status == 201, "{made}");
    let mut server = admin.as_nobody();
    let password = made["password"].as_str().context("a password")?;
    let sign_in = json!({"name": name, "password": password});
    let (_, signed) = server.ask(Method::POST, "/api/v1/session", Some(sign_in)).await?;
    server.authorization = Some(format!("Bearer {}", signed["token"].as_str().context("a token")?));
    let change = json!({"old": password, "new": "a calm instrument"});
    let (status, said) = server
        .ask(Method::POST, "/api/v1/account/password", Some(change))
        .await?;
    ensure!(status == 204, "{said}");
    Ok(server)
}

// promise S-62
// promise S-203
#[test]
fn a_console_that_was_copied_gets_nothing_past_a_box_that_demands_approval() -> Result<()> {
    let mut ward = Ward::new()?;
    let box_id = ward.world.one.id()?;
    let admin = Server::people(&ward.world)?;
    let approved = runtime().block_on(two_approve(&ward, &admin, &box_id))?;
    let (before, by) = ward.accepted();
    assert_eq!((&before, &by), (&json!(approved), &json!(["ann", "ben"])));

    // Now somebody copies the console: its keys, its database, every approval that it ever carried.
    let found = packages(&ward.world)?;
    let package: ApprovalPackage = serde_json::from_slice(found.first().context("the approval of the first plan")?)?;
    let wanted = known(&ward.world, OTHER)?;
    let both = || -> Result<Vec<AssignedTarget>> { Ok(vec![known(&ward.world, GUIDE)?, wanted.clone()]) };
    let orders: Vec<(&str, Vec<AssignedTarget>, Vec<ApprovalPackage>)> = vec![
        ("approval.missing", both()?, vec![]),
        // An old approval, of something else.
        ("approval.other_release", both()?, vec![package.clone()]),
        // A statement of the thief's own under people's old signatures.
        (
            "approval.other_plan",
            both()?,
            vec![restated(&ward, &package, &box_id, &wanted)?],
        ),
        // Passkeys of the thief's own: unknown, or under a name that the policy knows.
        (
            "approval.unknown_approver",
            both()?,
            vec![signed_by(&ward, &box_id, &wanted, None)?],
        ),
        (
            "approval.signature",
            both()?,
            vec![signed_by(&ward, &box_id, &wanted, Some(&ward.ann))?],
        ),
        // One person's approval, which somebody tricked them into, counted as two.
        ("approval.twice", both()?, vec![deceived(&ward, &box_id, &wanted, 2)?]),
        ("approval.missing", both()?, vec![deceived(&ward, &box_id, &wanted, 1)?]),
        (
            "approval.not_in_plan",
            both()?,
            vec![deceived(&ward, "another-box-0000", &wanted, 1)?],
        ),
    ];
    for (code, targets, forged) in orders {
        let bytes = forged.iter().map(ApprovalPackage::to_bytes).collect();
        let counter = order(&mut ward.world, targets, bytes)?;
        ward.refuses(code).with_context(|| format!("order {counter}"))?;
        explained(code);
        assert_eq!(ward.accepted(), (before.clone(), by.clone()), "{code}");
    }
    Ok(())
}

// promise S-202
#[test]
fn a_copied_console_cannot_choose_a_policy_without_the_rule() -> Result<()> {
    let mut ward = Ward::new()?;
    let box_id = ward.world.one.id()?;
    let admin = Server::people(&ward.world)?;
    runtime().block_on(two_approve(&ward, &admin, &box_id))?;
    // The publisher signed a policy for a laboratory, where nobody has to approve.
    let signer = ward.world.publisher.signer();
    ward.world
        .publisher
        .policy_with("laboratory", "1.0.0", &[signer], None)?;
    ward.world.import()?;
    let lax = known(&ward.world, "policies/laboratory/1.0.0/release.json")?;
    let targets = vec![known(&ward.world, GUIDE)?, lax];
    let before = ward.accepted();
    order(&mut ward.world, targets, Vec::new())?;
    ward.refuses("approval.missing")?;
    assert_eq!(ward.accepted(), before);
    let policy = read(&ward.world.one.state().join("policy.json"));
    assert_eq!(policy["target"], "policies/ward/2.0.0/release.json");
    Ok(())
}

// promise S-190
#[test]
fn a_rollout_reaches_a_box_with_two_passkeys_and_what_it_carried_opens_nothing_else() -> Result<()> {
    let mut ward = Ward::new()?;
    let admin = Server::people(&ward.world)?;
    runtime().block_on(two_approve_a_rollout(&ward, &admin))?;
    let told = wait_for("the box to take the rollout's order", PATIENCE, || {
        let taken = |(accepted, by): &(Value, Value)| accepted.is_u64() && *by == json!(["ann", "ben"]);
        Ok(Some(ward.accepted()).filter(taken))
    })?;
    ward.world.wait_seen("the release on its way", |seen| {
        let models = seen["report"]["models"].as_array();
        models.is_some_and(|models| models.iter().any(|model| model["name"] == "guide"))
    })?;
    // The console is copied, with the keys that sign orders and every approval that the rollout carried.
    let found = packages(&ward.world)?;
    let package = found.first().context("the approval of the rollout")?;
    let both = || -> Result<Vec<AssignedTarget>> { Ok(vec![known(&ward.world, GUIDE)?, known(&ward.world, OTHER)?]) };
    let orders = [
        ("approval.other_release", both()?, vec![package.clone()]),
        ("approval.missing", both()?, Vec::new()),
    ];
    for (code, targets, packages) in orders {
        order(&mut ward.world, targets, packages)?;
        ward.refuses(code)?;
        explained(code);
        assert_eq!(ward.accepted(), told, "{code}");
    }
    Ok(())
}

/// A rollout of the guide to every box: proposed, approved by two people with their passkeys, begun.
async fn two_approve_a_rollout(ward: &Ward, admin: &Server) -> Result<()> {
    let (ann, ben) = (
        person(admin, "ann", "approver").await?,
        person(admin, "ben", "approver").await?,
    );
    let wish = json!({"release": GUIDE, "waves": [{"percent": 100}]});
    let (status, plan) = admin.ask(Method::POST, "/api/v1/rollouts", Some(wish)).await?;
    ensure!(status == 201 && plan["approval"]["needed"] == 2, "{plan}");
    let id = plan["id"].as_str().context("a rollout")?;
    let to = |what: &str| format!("/api/v1/rollouts/{id}/{what}");
    let statement = plan["approval"]["statement"].as_str().context("a statement")?;
    let challenge = sha256(statement.as_bytes());
    let digest = json!({"digest": plan["digest"]});
    for (server, key) in [(&ann, &ward.ann), (&ben, &ward.ben)] {
        let (_, early) = admin.ask(Method::POST, &to("start"), Some(digest.clone())).await?;
        ensure!(code_of(&early) == "approval.missing", "{early}");
        let password = json!({"digest": plan["digest"], "password": "a calm instrument"});
        let (_, said) = server.ask(Method::POST, &to("approve"), Some(password)).await?;
        ensure!(code_of(&said) == "rollout.passkey_wanted", "{said}");
        let assertion = serde_json::to_value(key.answer(challenge.as_bytes()))?;
        let (status, said) = server.ask(Method::POST, &to("approvals"), Some(assertion)).await?;
        ensure!(status == 200, "{said}");
    }
    let (status, begun) = admin.ask(Method::POST, &to("start"), Some(digest)).await?;
    ensure!(status == 200 && begun["phase"] == "running", "{begun}");
    Ok(())
}

/// The honest way: the operator proposes, two people approve with their passkeys, the operator confirms, the box takes it.
async fn two_approve(ward: &Ward, admin: &Server, box_id: &str) -> Result<u64> {
    let (ann, ben) = (
        person(admin, "ann", "approver").await?,
        person(admin, "ben", "approver").await?,
    );
    // Without a plan there is nothing to approve, and the console says so before the box does.
    let direct = format!("/api/v1/boxes/{box_id}/assign");
    let wish = json!({"targets": [GUIDE]});
    let (_, said) = admin.ask(Method::POST, &direct, Some(wish.clone())).await?;
    ensure!(code_of(&said) == "approval.missing", "{said}");
    let (status, plan) = admin
        .ask(Method::POST, &format!("/api/v1/boxes/{box_id}/plans"), Some(wish))
        .await?;
    ensure!(status == 201 && plan["approval"]["needed"] == 2, "{plan}");
    let id = plan["id"].as_str().context("a plan")?;
    let statement = plan["approval"]["statement"].as_str().context("a statement")?;
    let challenge = sha256(statement.as_bytes());
    let (approve, confirm) = (
        format!("/api/v1/plans/{id}/approvals"),
        format!("/api/v1/plans/{id}/confirm"),
    );
    let digest = json!({"digest": plan["digest"]});
    let mut answers = Vec::new();
    for (server, key) in [(&ann, &ward.ann), (&ben, &ward.ben)] {
        let (_, early) = admin.ask(Method::POST, &confirm, Some(digest.clone())).await?;
        answers.push(code_of(&early));
        let assertion = serde_json::to_value(key.answer(challenge.as_bytes()))?;
        // Somebody else's passkey in one's own session counts for nobody.
        let other = if std::ptr::eq(server, &raw const ann) {
            &ben
        } else {
            &ann
        };
        let (_, said) = other.ask(Method::POST, &approve, Some(assertion.clone())).await?;
        answers.push(code_of(&said));
        let (status, said) = server.ask(Method::POST, &approve, Some(assertion)).await?;
        ensure!(status == 200, "{said}");
    }
    ensure!(
        answers
            == [
                "approval.missing",
                "console.other_passkey",
                "approval.missing",
                "console.other_passkey"
            ],
        "{answers:?}"
    );
    let (status, done) = admin.ask(Method::POST, &confirm, Some(digest)).await?;
    ensure!(status == 200 && done["stand"] == "done", "{done}");
    let counter = done["proposal"]["counter"].as_u64().context("a counter")?;
    wait_for("the box to take the approved plan", PATIENCE, || {
        Ok((ward.accepted().0 == json!(counter)).then_some(()))
    })?;
    Ok(counter)
}

fn statement(ward: &Ward, box_id: &str, wanted: &AssignedTarget) -> Result<(Statement, BoxLine)> {
    let line = BoxLine::new(box_id, "here");
    let pairing = read(ward.world.one.pairing().as_path());
    let statement = Statement {
        v: 1,
        kind: STATEMENT_KIND.to_owned(),
        fleet: pairing["fleet"].as_str().context("a fleet")?.to_owned(),
        plan: "thiefs-own".to_owned(),
        proposer: "admin".to_owned(),
        releases: vec![ApprovedRelease {
            name: wanted.name.clone(),
            sha256: wanted.sha256,
        }],
        boxes: line_list(std::slice::from_ref(&line)),
        schedule: sha256(b""),
        not_after: i64::MAX,
    };
    Ok((statement, line))
}

fn restated(ward: &Ward, old: &ApprovalPackage, box_id: &str, wanted: &AssignedTarget) -> Result<ApprovalPackage> {
    let (statement, line) = statement(ward, box_id, wanted)?;
    Ok(ApprovalPackage::new(
        &statement.to_bytes(),
        &line,
        0,
        Vec::new(),
        old.assertions.clone(),
    ))
}

/// Signed by passkeys of the thief's own, under the credential id of `posing` when there is one.
fn signed_by(ward: &Ward, box_id: &str, wanted: &AssignedTarget, posing: Option<&Passkey>) -> Result<ApprovalPackage> {
    let (statement, line) = statement(ward, box_id, wanted)?;
    let own = Passkey::new(KeyKind::P256, PAGE)?.answer(statement.digest().as_bytes());
    let credential = posing.map_or_else(|| own.credential.clone(), |posing| posing.listed().credential);
    let given = vec![Assertion { credential, ..own }];
    Ok(ApprovalPackage::new(&statement.to_bytes(), &line, 0, Vec::new(), given))
}

/// Ann was deceived into signing the thief's plan.
fn deceived(ward: &Ward, box_id: &str, wanted: &AssignedTarget, times: usize) -> Result<ApprovalPackage> {
    let (statement, line) = statement(ward, box_id, wanted)?;
    let given = (0..times).map(|_| ward.ann.answer(statement.digest().as_bytes()));
    Ok(ApprovalPackage::new(
        &statement.to_bytes(),
        &line,
        0,
        Vec::new(),
        given.collect(),
    ))
}

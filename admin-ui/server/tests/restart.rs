//! A console that stops and starts: everything acknowledged is there, nothing is trusted anew, timestamps go on.

#[path = "support/world.rs"]
mod support;

use std::time::Duration;

use freehold_console::run::{Doors, open, start};
use freehold_console::state::StateDir;
use freehold_protocol::status::VerdictWord;
use freehold_store::{Change, PendingChange, PlanRow, Store};
use http::{Method, StatusCode};
use support::paper_tpm::PaperBox;
use support::{World, ask, challenge, code, copy, evidence, now, self_signed, show};

#[tokio::test]
async fn j03_after_a_restart_a_box_is_unknown_until_it_proves_itself_again() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, Duration::from_secs(86_400))));
    let nonce = challenge(&dialer).await;
    assert_eq!(code(&show(&dialer, &evidence(&paper, nonce)).await), "200");
    // A second is the clock's grain: the start has to be after the verdict.
    let reached = now().unix_timestamp();
    while now().unix_timestamp() == reached {
        tokio::task::yield_now().await;
    }
    let open_nonce = challenge(&dialer).await;
    let World { folder, running, .. } = world;
    running.stop().await;
    let console = open(StateDir::new(&folder.path().join("state"))).await.unwrap();
    let fleet = console.fleet();
    let member = fleet.member("amber-fox-9d1e").unwrap();
    assert!(member.is_approved());
    assert_eq!(
        fleet.verdict_of(member, now().unix_timestamp()).word,
        VerdictWord::Unknown
    );
    assert!(fleet.wants_evidence(member, now().unix_timestamp()));
    assert!(
        member.challenge.is_none(),
        "the nonce {open_nonce:02x?} of before is worth nothing"
    );
    assert!(member.last_good.is_some(), "and what was proven then is not forgotten");
}

#[tokio::test]
async fn a_killed_console_forgets_neither_a_plan_nor_who_guessed() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world
        .enrol(&paper, &freehold_trust::sha256(b"ek").to_hex())
        .await
        .unwrap();
    let (token, session) = world.session("operator", "page").await;
    let cookie = format!("__Host-freehold={token}");
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut plans = Vec::new();
    for action in ["approve", "refuse"] {
        let form = format!("csrf={}&action={action}", session.csrf);
        let answer = ask(
            &world.person(),
            Method::POST,
            "/boxes/amber-fox-9d1e/propose",
            &headers,
            form,
        )
        .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        plans.push(answer.headers["location"].to_str().unwrap().to_owned());
    }
    let guess = async |world: &World| {
        let body = r#"{"name":"admin","password":"a wrong password"}"#;
        ask(&world.person(), Method::POST, "/api/v1/session", &[], body)
            .await
            .status
    };
    let mut said = StatusCode::UNAUTHORIZED;
    while said == StatusCode::UNAUTHORIZED {
        said = guess(&world).await;
    }
    assert_eq!(said, StatusCode::TOO_MANY_REQUESTS);

    // What lies on the disk at this moment is what a killed process leaves.
    let World {
        folder,
        running: _killed,
        password,
        publisher,
    } = world;
    let fresh = tempfile::tempdir().unwrap();
    let state = fresh.path().join("state");
    copy(&folder.path().join("state"), &state);
    // The second plan was being carried out.
    let store = Store::open(&state.join("console.db"), "ward-7").await.unwrap();
    let rows = store.plans().await.unwrap();
    let row = rows.into_iter().find(|row| plans[1].ends_with(&row.id)).unwrap();
    let in_work = PendingChange::Plan(PlanRow {
        document: row.document.replace("\"waiting\"", "\"in_work\""),
        ..row
    });
    let sealed = async { Ok::<(), std::io::Error>(()) };
    store.commit(&[Change::Pending(&in_work)], sealed).await.unwrap();
    store.close().await;

    let any = "127.0.0.1:0".parse().unwrap();
    let doors = Doors {
        people: any,
        boxes: any,
        people_url: None,
        boxes_url: None,
    };
    let running = start(open(StateDir::new(&state)).await.unwrap(), &doors).await.unwrap();
    let world = World {
        folder: fresh,
        running,
        password,
        publisher,
    };
    assert_eq!(guess(&world).await, StatusCode::TOO_MANY_REQUESTS, "the wait goes on");
    let page = async |path: &str| {
        let answer = ask(&world.person(), Method::GET, path, &headers[..1], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        String::from_utf8_lossy(&answer.body).into_owned()
    };
    assert!(
        page(&plans[0]).await.contains("Approve this box"),
        "the first still waits"
    );
    assert!(
        page(&plans[1]).await.contains("console.plan_interrupted"),
        "nobody can tell about the second"
    );
    assert!(page("/approvals").await.contains(plans[0].rsplit('/').next().unwrap()));
}

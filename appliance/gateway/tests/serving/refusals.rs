//! What a client is refused, by code, while others are served.
//!
//! Refuses nothing itself. Invariant: every refusal is JSON with a code.

use crate::world::{Disk, EXPIRED, Gateway, LISTER, MODEL, NARROW, Supervisor, TOKEN, World, code, config};
use freehold_protocol::local::{EngineDoor, Outcome, Serving};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Method, Request};
use std::path::Path;

const ASK: &str = r#"{"model":"guide","messages":[{"role":"user","content":"hello"}],"max_tokens":4}"#;

const ROUTES: [(Method, &str); 9] = [
    (Method::GET, "/v1/models"),
    (Method::POST, "/v1/chat/completions"),
    (Method::POST, "/v1/embeddings"),
    (Method::GET, "/api/version"),
    (Method::GET, "/api/tags"),
    (Method::POST, "/api/show"),
    (Method::POST, "/api/chat"),
    (Method::POST, "/api/generate"),
    (Method::POST, "/api/embed"),
];

// promise S-43
#[tokio::test]
async fn requests_without_a_token_are_refused() {
    let Some(world) = World::start(false).await else { return };
    for (method, path) in ROUTES {
        for (token, wanted) in [
            (None, "gateway.token"),
            (Some("guessed"), "gateway.token"),
            (Some(EXPIRED), "gateway.token_expired"),
        ] {
            let (status, refused) = world.gateway.json(method.clone(), path, token, ASK).await;
            assert_eq!((status, code(&refused)), (401, wanted), "{path}");
        }
    }
    let (status, refused) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(LISTER), ASK)
        .await;
    assert_eq!((status, code(&refused)), (403, "gateway.scope"));
    let (status, _) = world.gateway.json(Method::GET, "/v1/models", Some(LISTER), "").await;
    assert_eq!(status, 200);
    for (body, wanted) in [
        (ASK.replace('}', r#","tools":[]}"#), "gateway.unknown_field"),
        (
            ASK.replace(r#""max_tokens":4"#, r#""tools":[]"#),
            "gateway.unknown_field",
        ),
        (ASK.replace(r#""max_tokens":4"#, r#""n":2"#), "gateway.field"),
        (ASK.replace("guide", "gone"), "model.unknown"),
        ("{".to_owned(), "gateway.malformed"),
    ] {
        let (status, refused) = world
            .gateway
            .json(Method::POST, "/v1/chat/completions", Some(TOKEN), &body)
            .await;
        assert_eq!(
            (status == 400 || status == 404, code(&refused)),
            (true, wanted),
            "{body}"
        );
    }
    let (status, refused) = world.gateway.json(Method::GET, "/nowhere", Some(TOKEN), "").await;
    assert_eq!((status, code(&refused)), (404, "gateway.route"));
    let (status, refused) = world.gateway.json(Method::DELETE, "/api/tags", Some(TOKEN), "").await;
    assert_eq!((status, code(&refused)), (405, "gateway.method"));
    // Requests of a known token are in the record, refused ones too; strangers cannot fill it.
    let entries = world.supervisor.entries(5).await;
    assert!(
        entries
            .iter()
            .all(|entry| matches!(entry.outcome, Outcome::Refused { .. })),
        "{entries:?}"
    );
    let (status, answer) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!(status, 200, "others are served: {answer}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_not_finished() {
    let Some(world) = World::start(false).await else { return };
    world.supervisor.disk.send_replace(Disk::Full);
    let (status, refused) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!((status, code(&refused)), (503, "record.not_durable"));
    let stream = ASK.replace(r#""max_tokens":4"#, r#""max_tokens":4,"stream":true"#);
    let (_, text) = world
        .gateway
        .ask(Method::POST, "/v1/chat/completions", Some(TOKEN), &stream)
        .await;
    assert!(
        text.contains("record.not_durable") && !text.contains("[DONE]") && !text.contains(r#""finish_reason":""#),
        "{text}"
    );
    let ollama = ASK.replace(r#","max_tokens":4"#, r#","options":{"num_predict":4}"#);
    let (_, text) = world.gateway.ask(Method::POST, "/api/chat", Some(TOKEN), &ollama).await;
    assert!(
        text.contains("record.not_durable") && !text.contains(r#""done":true"#),
        "{text}"
    );
    world.supervisor.disk.send_replace(Disk::Fine);
    let (status, _) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_engine_that_is_missing_is_named_with_the_time_to_come_back() {
    let Some(mut world) = World::start(false).await else {
        return;
    };
    let (status, _) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!(status, 200);
    // It dies behind the gateway's kept connection.
    let engine = *freehold_engine::tree::descendants(world.engine.pid()).last().unwrap();
    freehold_engine::tree::signal(&[engine], rustix::process::Signal::KILL);
    world.engine.ended().await;
    let (response, text) = world
        .gateway
        .ask(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!(response.status().as_u16(), 503, "{text}");
    assert!(
        text.contains("engine.missing") && response.headers().contains_key("retry-after"),
        "{text}"
    );
    world
        .change(|config| {
            config.models[0].engine = EngineDoor::Away {
                code: "engine.starting".to_owned(),
                retry_after: 7,
            };
            config.models[0].name = "away".to_owned();
        })
        .await;
    let (response, text) = world
        .gateway
        .ask(
            Method::POST,
            "/api/chat",
            Some(TOKEN),
            &ASK.replace("guide", "away").replace(r#","max_tokens":4"#, ""),
        )
        .await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["retry-after"].to_str().unwrap()
        ),
        (503, "7"),
        "{text}"
    );
    assert!(text.contains("engine.starting"));
    world
        .change(|config| {
            config.serving = Serving::Closed {
                code: "verdict.lease_lost".to_owned(),
            };
            config.models[0].name = "closed".to_owned();
        })
        .await;
    let (status, refused) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!((status, code(&refused)), (503, "verdict.lease_lost"));
}

#[tokio::test]
async fn without_a_supervisor_nothing_is_answered_and_with_it_all_is_again() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    let (status, refused) = gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!((status, code(&refused)), (503, "gateway.supervisor_away"));
    let socket = folder.path().join("supervisor.sock");
    let nowhere = config(Path::new("/nowhere/engine.sock"), None);
    let supervisor = Supervisor::start(&socket, nowhere.clone());
    let listed = |json: serde_json::Value| json["data"][0]["id"].as_str().map(str::to_owned);
    let (_, list) = gateway.json(Method::GET, "/v1/models", Some(TOKEN), "").await;
    assert_eq!(listed(list).as_deref(), Some(MODEL));
    let (status, refused) = gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!((status, code(&refused)), (503, "engine.missing"));
    drop(supervisor);
    std::fs::remove_file(&socket).unwrap();
    // The connection's end may be seen a moment later; from then on known tokens are told, and strangers are not.
    let away = async {
        loop {
            let (_, refused) = gateway
                .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
                .await;
            if code(&refused) == "gateway.supervisor_away" {
                return;
            }
        }
    };
    tokio::time::timeout(crate::world::LIMIT, away).await.unwrap();
    let (status, refused) = gateway.json(Method::GET, "/v1/models", Some("guessed"), "").await;
    assert_eq!((status, code(&refused)), (401, "gateway.token"));
    let _back = Supervisor::start(&socket, nowhere);
    let (_, list) = gateway.json(Method::GET, "/v1/models", Some(TOKEN), "").await;
    assert_eq!(listed(list).as_deref(), Some(MODEL));
}

#[tokio::test]
async fn a_tokens_quota_holds_and_other_tokens_are_served() {
    let Some(world) = World::start(false).await else { return };
    // A request whose body is still on its way has its place already. It is refused itself where it met one of the others;
    // then it is made again.
    let met = async {
        loop {
            let (rest, pieces) = futures::channel::mpsc::unbounded::<Result<Frame<Bytes>, std::io::Error>>();
            let mut connection = world.gateway.connect().await;
            let request = Request::post("/v1/chat/completions")
                .header("host", "box")
                .header("authorization", format!("Bearer {NARROW}"))
                .body(BodyExt::boxed(StreamBody::new(pieces)))
                .unwrap();
            let held = tokio::spawn(async move { connection.send_request(request).await });
            while !held.is_finished() {
                let (response, text) = world
                    .gateway
                    .ask(Method::POST, "/v1/chat/completions", Some(NARROW), ASK)
                    .await;
                if response.status().as_u16() == 429 {
                    return (rest, held, response, text);
                }
            }
        }
    };
    let (rest, held, response, text) = tokio::time::timeout(crate::world::LIMIT, met).await.unwrap();
    assert!(
        text.contains("gateway.quota") && response.headers().contains_key("retry-after"),
        "{text}"
    );
    let (status, _) = world
        .gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), ASK)
        .await;
    assert_eq!(status, 200);
    drop(rest);
    assert_eq!(
        held.await.unwrap().unwrap().status().as_u16(),
        400,
        "its body ended early"
    );
    let served_again = async {
        while world
            .gateway
            .json(Method::POST, "/v1/chat/completions", Some(NARROW), ASK)
            .await
            .0
            != 200
        {}
    };
    tokio::time::timeout(crate::world::LIMIT, served_again).await.unwrap();
}

#[tokio::test]
async fn g06_tokens_that_speak_for_themselves_are_refused() {
    let Some(world) = World::start(false).await else { return };
    // {"alg":"none"}, and an HMAC by the key that a box's public key would be: nothing in a token is read here, so nothing in it
    // can be believed. A token is known by its digest, at this box, in its time.
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImV4cCI6OTk5OTk5OTk5OX0.";
    let swapped = "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0.eyJhdWQiOiJhbm90aGVyIGJveCJ9.AAAA";
    let longer = format!("{TOKEN}x");
    for (token, wanted) in [
        (none, "gateway.token"),
        (swapped, "gateway.token"),
        (&TOKEN[..TOKEN.len() - 1], "gateway.token"),
        (&longer, "gateway.token"),
        (&TOKEN.to_uppercase(), "gateway.token"),
        (EXPIRED, "gateway.token_expired"),
    ] {
        let (status, refused) = world
            .gateway
            .json(Method::POST, "/v1/chat/completions", Some(token), ASK)
            .await;
        assert_eq!((status, code(&refused)), (401, wanted), "{token}");
    }
    // Another audience: a token of another box, real there, is nobody's here.
    let (status, refused) = world
        .gateway
        .json(Method::GET, "/v1/models", Some("a-token-of-box2"), "")
        .await;
    assert_eq!((status, code(&refused)), (401, "gateway.token"));
}

//! What a client with a token gets: both protocols, streamed and whole, and each answer in the record.
//!
//! Refuses nothing itself. Invariant: no entry holds a word of a prompt or an answer.

use crate::world::{MODEL, Supervisor, TOKEN, World, config, spec};
use freehold_engine::{
    Answer, Chat, Completion, Embed, Engine as _, EngineProcess, Health, Message, OllamaServer, Purpose, Role, Sampling,
};
use freehold_gateway::{Gateway, link::Link, quota::Quotas, router};
use freehold_protocol::local::{Outcome, Route};
use hyper::Method;

const QUESTION: &str =
    r#"{"model":"guide","messages":[{"role":"user","content":"What is a box?"}],"temperature":0,"max_tokens":12"#;

fn events(text: &str) -> Vec<serde_json::Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn openai_chat_is_the_same_streamed_and_whole_and_each_is_recorded() {
    let Some(world) = World::start(false).await else { return };
    let (status, whole) = world
        .gateway
        .json(
            Method::POST,
            "/v1/chat/completions",
            Some(TOKEN),
            &format!("{QUESTION}}}"),
        )
        .await;
    assert_eq!(
        (status, whole["object"].as_str()),
        (200, Some("chat.completion")),
        "{whole}"
    );
    let said = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(!said.is_empty() && whole["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    let stream = format!(r#"{QUESTION},"stream":true,"stream_options":{{"include_usage":true}}}}"#);
    let (response, text) = world
        .gateway
        .ask(Method::POST, "/v1/chat/completions", Some(TOKEN), &stream)
        .await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let chunks = events(&text);
    let streamed: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(streamed, said);
    assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert_eq!(chunks[0]["id"], format!("chatcmpl-{id}"));
    let entries = world.supervisor.entries(2).await;
    assert_eq!(entries[1].request, id);
    for entry in entries {
        assert!(entry.first_token_ms.is_some_and(|first| first <= entry.total_ms));
        assert_eq!(
            (entry.token.as_deref(), entry.route, &entry.outcome),
            (Some("ward"), Route::OpenAiChat, &Outcome::Answered)
        );
        assert_eq!(
            u64::from(entry.answer_tokens),
            whole["usage"]["completion_tokens"].as_u64().unwrap()
        );
        assert_eq!(entry.model, Some(freehold_trust::sha256(b"the model")));
        let json = serde_json::to_string(&entry).unwrap();
        assert!(
            !json.contains("What is") && !json.contains(said) && !json.contains(TOKEN),
            "{json}"
        );
    }
    let log = std::fs::read_to_string(world.folder.path().join("gateway.log")).unwrap();
    assert!(!log.contains("What is") && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn ollama_chat_and_generate_say_the_same_as_openai() {
    let Some(world) = World::start(false).await else { return };
    let (_, openai) = world
        .gateway
        .json(
            Method::POST,
            "/v1/chat/completions",
            Some(TOKEN),
            &format!("{QUESTION}}}"),
        )
        .await;
    let said = openai["choices"][0]["message"]["content"].as_str().unwrap();
    let options = r#""options":{"temperature":0,"num_predict":12,"num_ctx":4096},"keep_alive":"5m""#;
    let chat =
        format!(r#"{{"model":"guide:latest","messages":[{{"role":"user","content":"What is a box?"}}],{options}}}"#);
    let (response, text) = world.gateway.ask(Method::POST, "/api/chat", Some(TOKEN), &chat).await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["content-type"].to_str().unwrap()
        ),
        (200, "application/x-ndjson"),
        "{text}"
    );
    let parts = lines(&text);
    let streamed: String = parts
        .iter()
        .filter_map(|line| line["message"]["content"].as_str())
        .collect();
    assert_eq!(streamed, said);
    let last = parts.last().unwrap();
    assert_eq!(
        (&last["done"], &last["eval_count"]),
        (&true.into(), &openai["usage"]["completion_tokens"])
    );
    let generate = format!(r#"{{"model":"guide","prompt":"What is a box?","stream":false,{options}}}"#);
    let (status, whole) = world
        .gateway
        .json(Method::POST, "/api/generate", Some(TOKEN), &generate)
        .await;
    assert_eq!((status, whole["response"].as_str()), (200, Some(said)), "{whole}");
    let raw = format!(r#"{{"model":"guide","prompt":"A box is","raw":true,{options}}}"#);
    let (status, text) = world
        .gateway
        .ask(Method::POST, "/api/generate", Some(TOKEN), &raw)
        .await;
    assert_eq!(status.status().as_u16(), 200, "{text}");
    assert_eq!(lines(&text).last().unwrap()["done"], true);
    let routes: Vec<Route> = world
        .supervisor
        .entries(4)
        .await
        .iter()
        .map(|entry| entry.route)
        .collect();
    assert_eq!(
        routes,
        [
            Route::OpenAiChat,
            Route::OllamaChat,
            Route::OllamaGenerate,
            Route::OllamaGenerate
        ]
    );
}

#[tokio::test]
async fn models_are_listed_in_both_protocols() {
    let Some(world) = World::start(false).await else { return };
    let (_, list) = world.gateway.json(Method::GET, "/v1/models", Some(TOKEN), "").await;
    assert_eq!(list["data"][0]["id"], MODEL);
    let (_, tags) = world.gateway.json(Method::GET, "/api/tags", Some(TOKEN), "").await;
    assert_eq!(tags["models"][0]["name"], MODEL);
    assert_eq!(
        tags["models"][0]["digest"],
        freehold_trust::sha256(b"the model").to_string()
    );
    let (_, version) = world.gateway.json(Method::GET, "/api/version", Some(TOKEN), "").await;
    assert!(version["version"].is_string());
    let (_, shown) = world
        .gateway
        .json(Method::POST, "/api/show", Some(TOKEN), r#"{"model":"guide"}"#)
        .await;
    assert_eq!(shown["model_info"]["general.context_length"], 512);
    // A token for another model does not see this one.
    world.change(|config| config.models[0].name = "other".to_owned()).await;
    world.supervisor.config.send_modify(|config| {
        config.tokens[0].models = vec![MODEL.to_owned()];
        config.generation += 1;
    });
    let (_, chat) = world
        .gateway
        .json(
            Method::POST,
            "/v1/chat/completions",
            Some(TOKEN),
            &format!("{QUESTION}}}"),
        )
        .await;
    assert_eq!(crate::world::code(&chat), "model.unknown");
}

#[tokio::test]
async fn embeddings_come_from_an_engine_of_their_own_or_not_at_all() {
    let Some(world) = World::start(true).await else { return };
    let ask = r#"{"model":"guide","input":["a box","a console"]}"#;
    let (status, made) = world
        .gateway
        .json(Method::POST, "/v1/embeddings", Some(TOKEN), ask)
        .await;
    assert_eq!(
        (status, made["data"].as_array().map(Vec::len)),
        (200, Some(2)),
        "{made}"
    );
    assert_eq!(made["data"][1]["index"], 1);
    let width = made["data"][0]["embedding"].as_array().unwrap().len();
    let encoded = ask.replace('}', r#","encoding_format":"base64"}"#);
    let (_, encoded) = world
        .gateway
        .json(Method::POST, "/v1/embeddings", Some(TOKEN), &encoded)
        .await;
    assert_eq!(
        encoded["data"][0]["embedding"].as_str().unwrap().len(),
        (width * 4).div_ceil(3) * 4
    );
    let (_, ollama) = world.gateway.json(Method::POST, "/api/embed", Some(TOKEN), ask).await;
    assert_eq!(ollama["embeddings"].as_array().unwrap().len(), 2);
    assert!(
        world
            .supervisor
            .entries(3)
            .await
            .iter()
            .all(|entry| entry.outcome == Outcome::Answered && entry.answer_tokens == 0)
    );
    world
        .change(|config| {
            config.models[0].embeddings = None;
            config.models[0].name = "without".to_owned();
        })
        .await;
    let (status, refused) = world
        .gateway
        .json(
            Method::POST,
            "/v1/embeddings",
            Some(TOKEN),
            &ask.replace("guide", "without"),
        )
        .await;
    assert_eq!((status, crate::world::code(&refused)), (404, "model.no_embeddings"));
}

#[tokio::test]
async fn a_client_that_goes_away_is_recorded_as_such() {
    let Some(world) = World::start(false).await else { return };
    let long = r#"{"model":"guide","messages":[{"role":"user","content":"Tell me everything."}],"max_tokens":400,"stream":true}"#;
    let body = http_body_util::BodyExt::boxed(http_body_util::BodyExt::map_err(
        http_body_util::Full::new(hyper::body::Bytes::from(long)),
        |never| match never {},
    ));
    let mut response = world
        .gateway
        .send(Method::POST, "/v1/chat/completions", Some(TOKEN), body, None)
        .await;
    assert!(http_body_util::BodyExt::frame(response.body_mut()).await.is_some());
    drop(response);
    let entries = world.supervisor.entries(1).await;
    // The engine may have been faster than the client's going.
    assert!(
        matches!(entries[0].outcome, Outcome::Abandoned | Outcome::Answered),
        "{entries:?}"
    );
    assert!(entries[0].first_token_ms.is_some());
}

/// ollama-rs speaks plain HTTP, which the program never does: the router is served here on the loopback, for this test alone.
#[tokio::test]
async fn the_ollama_adapter_speaks_to_a_boxs_own_ollama_surface() {
    let folder = tempfile::tempdir().unwrap();
    let Some(spec_chat) = spec(folder.path(), Purpose::Chat) else {
        return;
    };
    let Some(spec_embed) = spec(folder.path(), Purpose::Embeddings) else {
        return;
    };
    let mut engine = EngineProcess::start(&spec_chat).unwrap();
    let direct = engine.ready(crate::world::LIMIT).await.unwrap();
    let mut embedder = EngineProcess::start(&spec_embed).unwrap();
    embedder.ready(crate::world::LIMIT).await.unwrap();
    let socket = folder.path().join("supervisor.sock");
    let supervisor = Supervisor::start(&socket, config(engine.socket(), Some(embedder.socket())));
    let quotas = Quotas::default();
    let link = Link::start(socket, quotas.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router(Gateway::new(link, quotas))).into_future());
    let ollama = OllamaServer::new(address, MODEL, Some(TOKEN)).unwrap();
    assert_eq!(ollama.health().await, Ok(Health::Ready));
    let sampling = Sampling {
        max_tokens: Some(12),
        temperature: Some(0.0),
        ..Sampling::default()
    };
    let chat = Chat {
        messages: vec![Message {
            role: Role::User,
            content: "What is a box?".to_owned(),
        }],
        sampling: sampling.clone(),
    };
    let there = Answer::collect(ollama.chat(chat.clone()).await.unwrap(), 1 << 20)
        .await
        .unwrap();
    let here = Answer::collect(direct.chat(chat).await.unwrap(), 1 << 20)
        .await
        .unwrap();
    assert_eq!((&there.text, there.usage), (&here.text, here.usage));
    let raw = Completion {
        prompt: "A box is".to_owned(),
        sampling,
    };
    let there = Answer::collect(ollama.complete(raw.clone()).await.unwrap(), 1 << 20)
        .await
        .unwrap();
    let here = Answer::collect(direct.complete(raw).await.unwrap(), 1 << 20)
        .await
        .unwrap();
    assert_eq!(there.text, here.text);
    let made = ollama
        .embed(Embed {
            texts: vec!["a box".to_owned(), "a key".to_owned()],
        })
        .await
        .unwrap();
    assert_eq!(made.vectors.len(), 2);
    assert!(
        supervisor
            .entries(3)
            .await
            .iter()
            .all(|entry| entry.outcome == Outcome::Answered)
    );
    let stranger = OllamaServer::new(address, MODEL, Some("not a token")).unwrap();
    assert_eq!(stranger.health().await.unwrap_err().code(), "engine.refused");
    let elsewhere = OllamaServer::new("192.0.2.1:11434".parse().unwrap(), MODEL, None);
    assert_eq!(elsewhere.err().unwrap().code(), "engine.unsupported");
}

//! Secrets never reach a log, and keys are their owner's alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use freehold_harness::world::{PASSWORD, engine};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_scenarios::client::{Server, runtime};
use http::Method;
use serde_json::json;

/// Words that somebody asks and that nobody else may read.
const CANARY: &str = "the canary sings of patient four seven one one";

fn files_below(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, all);
        } else if path.is_file() {
            all.push(path);
        }
    }
}

// promise S-73
#[test]
fn i09_secrets_are_in_no_log_and_keys_are_for_their_owner_only() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the model", |status| {
            status["models"][0]["phase"] == "serving" || engine().is_none() && status["models"][0]["phase"] == "stopped"
        })
        .unwrap();
    let address = world.one.start_gateway().unwrap();
    let gateway = Server::gateway(&world, address).unwrap();
    let runtime = runtime();
    wait_for("the token to be known", PATIENCE, || {
        let answer = runtime.block_on(gateway.ask(Method::GET, "/v1/models", None));
        Ok(answer.ok().filter(|(status, _)| *status == 200).map(|_| ()))
    })
    .unwrap();
    // Asked well, asked badly, and asked of nobody.
    for body in [
        json!({"model": "guide", "max_tokens": 4, "messages": [{"role": "user", "content": CANARY}]}),
        json!({"model": CANARY, "messages": [{"role": "user", "content": CANARY}]}),
        json!({"model": "guide", "messages": CANARY}),
    ] {
        let _ = runtime.block_on(gateway.ask(Method::POST, "/v1/chat/completions", Some(body)));
    }
    // A wrong password that is nearly somebody's, at the console.
    let people = Server::people(&world).unwrap();
    let wrong = json!({"name": "admin", "password": format!("{PASSWORD} {CANARY}")});
    let (status, _) = runtime
        .block_on(people.ask(Method::POST, "/api/v1/session", Some(wrong)))
        .unwrap();
    assert!(status >= 400);
    world.one.stop().unwrap();
    world.stop_console().unwrap();
    drop(world.one.gateway.take());

    let bare = |shown: &Option<String>| shown.clone().unwrap().trim_start_matches("Bearer ").to_owned();
    let secrets = [
        CANARY.to_owned(),
        PASSWORD.to_owned(),
        world.password().unwrap(),
        bare(&gateway.authorization),
        bare(&people.authorization),
        "PRIVATE KEY".to_owned(),
    ];
    let mut files = world.logs().unwrap();
    assert!(files.len() >= 3, "{files:?}");
    // What is kept for ever is no place for them either.
    files_below(&world.one.state().join("record"), &mut files);
    files_below(&world.console_state().join("record"), &mut files);
    for file in &files {
        let bytes = fs::read(file).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(
                !found,
                "`{}` holds a secret ({} bytes long)",
                file.display(),
                secret.len()
            );
        }
    }

    let mut keys = Vec::new();
    for folder in [
        world.one.state(),
        world.console_state(),
        world.at("publisher"),
        world.at("box/gateway"),
    ] {
        files_below(&folder, &mut keys);
    }
    keys.retain(|path| fs::read(path).is_ok_and(|bytes| bytes.windows(12).any(|window| window == b"PRIVATE KEY-")));
    keys.extend([
        world.one.state().join("keys/tpm-keys"),
        world.at("password"),
        world.at("profile.json"),
    ]);
    assert!(keys.len() > 8, "{keys:?}");
    for key in keys {
        let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "`{}` has mode {mode:o}", key.display());
    }
}

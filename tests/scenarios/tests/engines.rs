//! A box without an engine: the model is admitted, and everybody who asks is told what is missing.

use freehold_harness::world::{BoxWish, Wish};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_scenarios::client::{Server, code_of, runtime};
use freehold_scenarios::explained;
use http::Method;
use serde_json::json;

#[test]
fn a_missing_engine_is_named_and_the_rest_goes_on() {
    let one = BoxWish {
        engine: None,
        ..BoxWish::named("box1")
    };
    let mut world = World::with(Wish { one, ..Wish::default() }).unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    let status = world.one.wait_refusal("engine.missing").unwrap();
    explained("engine.missing");
    assert_eq!(status["console"], "ok", "{status:#}");
    let address = world.one.start_gateway().unwrap();
    let gateway = Server::gateway(&world, address).unwrap();
    let runtime = runtime();
    let models = wait_for("the token to be known", PATIENCE, || {
        let answer = runtime.block_on(gateway.ask(Method::GET, "/v1/models", None));
        Ok(answer
            .ok()
            .filter(|(status, _)| *status == 200)
            .map(|(_, models)| models))
    })
    .unwrap();
    assert_eq!(models["data"][0]["id"], "guide", "{models}");
    let question = json!({"model": "guide", "messages": [{"role": "user", "content": "?"}]});
    let (status, answer) = runtime
        .block_on(gateway.ask(Method::POST, "/v1/chat/completions", Some(question)))
        .unwrap();
    assert_eq!((status, code_of(&answer).as_str()), (503, "engine.missing"), "{answer}");
    // Reports go on, and the console shows the code.
    world
        .wait_seen("the console to know", |seen| {
            let all = seen["report"]["refusals"].as_array();
            all.is_some_and(|all| all.iter().any(|one| one["code"] == "engine.missing"))
        })
        .unwrap();
}

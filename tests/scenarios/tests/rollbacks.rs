//! Stored state across versions: what the version after wrote, the version before reads.

use std::fs;

use freehold_harness::World;
use freehold_harness::world::engine;
use serde_json::{Value, json};

fn serves(status: &Value) -> bool {
    let phase = |wanted: &str| status["models"][0]["phase"] == wanted;
    phase("serving") || (engine().is_none() && (phase("admitted") || phase("stopped")))
}

/// Documents whose form is fixed by other means: pinned once and for all, or the same as on a wire.
const FIXED: [&str; 3] = ["pairing.json", "fleet.json", "tokens.json"];

// promise S-168
#[test]
fn a_box_that_went_back_reads_what_the_version_after_wrote() {
    let mut world = World::new().unwrap();
    world.join().unwrap();
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    world
        .one
        .wait("the model", |status| {
            serves(status) && (status["achieved"] == 1 || engine().is_none())
        })
        .unwrap();
    world.one.stop().unwrap();
    // The version after has more to say in every document.
    let state = world.one.state();
    let mut folders = vec![state.clone()];
    let mut changed = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Records, keys and signed documents have versions of their own.
            if path.is_dir() && !["record", "keys", "tuf", "releases", "files", "about"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".json") && !FIXED.contains(&name.as_str()) {
                let Ok(Value::Object(mut document)) = serde_json::from_slice(&fs::read(&path).unwrap()) else {
                    continue;
                };
                document.insert("of_the_version_after".to_owned(), json!({"more": [1, 2, 3]}));
                let mode = fs::metadata(&path).unwrap().permissions();
                fs::write(&path, serde_json::to_vec_pretty(&Value::Object(document)).unwrap()).unwrap();
                fs::set_permissions(&path, mode).unwrap();
                changed.push(name);
            }
        }
    }
    for document in [
        "pursuit.json",
        "installed.json",
        "policy.json",
        "clock.json",
        "box.json",
        "admitted.json",
    ] {
        assert!(
            changed.iter().any(|name| name == document),
            "{document} is not in {changed:?}"
        );
    }
    world.one.forget_status();
    world.one.start().unwrap();
    let status = world.one.wait("the model after going back", serves).unwrap();
    assert!(status["refusals"].as_array().is_some_and(Vec::is_empty), "{status:#}");
}

//! Scenarios: each file in `tests/scenarios/rollouts` has its transcript beside it.

use std::fs;
use std::path::Path;

use freehold_fleet::simulate::{Scenario, play};

#[test]
fn scenarios_give_their_transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios/rollouts");
    let mut wrong = Vec::new();
    let mut played = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        played += 1;
        let scenario: Scenario = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let result = play(&scenario).unwrap();
        assert_eq!(result.findings, [], "{}", path.display());
        let golden = path.with_extension("txt");
        if fs::read_to_string(&golden).ok().as_deref() != Some(&result.transcript) {
            let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join(golden.file_name().unwrap());
            fs::write(&new, &result.transcript).unwrap();
            wrong.push(format!(
                "{} is new; read it, then copy it to {}",
                new.display(),
                golden.display()
            ));
        }
    }
    assert!(played >= 3, "the scenarios are there");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn scenarios_that_cannot_be_played_say_so() {
    let text = "title = \"x\"\nseed = 1\ndays = 1\nbegins = \"yesterday\"\nsites = [{ name = \"a\", boxes = 1 }]\n";
    let scenario: Scenario = toml::from_str(text).unwrap();
    assert!(
        play(&scenario)
            .unwrap_err()
            .to_string()
            .contains("`yesterday` is no time")
    );
    let mut large = scenario.clone();
    large.sites[0].boxes = 1_000_000;
    assert!(play(&large).unwrap_err().to_string().contains("at most"));
    let waves = |waves: &str| toml::from_str::<Scenario>(&format!("{text}[rollout]\nwaves = [{waves}]\n"));
    assert!(waves("{ count = 1, start_after = 60 }").is_ok());
    for wrong in [
        "{ count = 1, start_afer = 60 }",
        "{ count = 1, percent = 5 }",
        "{ start_after = 60 }",
    ] {
        assert!(waves(wrong).is_err(), "{wrong}");
    }
    assert!(
        toml::from_str::<Scenario>(&format!("{text}colour = 1\n")).is_err(),
        "unknown fields are refused"
    );
}

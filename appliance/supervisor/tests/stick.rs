//! A box that has no network to its console: it enrols, proves itself, takes a model and reports, all by sticks.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use freehold_harness::program::Said;
use freehold_harness::publisher::weights;
use freehold_harness::world::engine;
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_protocol::V1;
use freehold_protocol::local::{HEADER_BYTES, decode, encode, frame_length};
use freehold_protocol::stick::{StickAnswer, StickWish};
use serde_json::Value;

/// A world whose one box knows its console by sticks alone.
fn island() -> World {
    let mut world = World::new().unwrap();
    let file = world.one.pairing();
    let pairing = world
        .operate(["console", "pairing", "--by-stick"])
        .unwrap()
        .yes()
        .unwrap();
    std::fs::write(&file, pairing.out).unwrap();
    world.one.start().unwrap();
    world
        .one
        .wait("the box to have a name", |status| status["box"] != "")
        .unwrap();
    world
}

/// Publishes guide 1.0.0, large enough for two parts of the least size, and assigns it.
fn assigned_in_two_parts(world: &World) {
    let folder = world.at("two-parts");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(weights(), folder.join("model.gguf")).unwrap();
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + state.to_be_bytes()[0] % 26
    });
    std::fs::write(folder.join("more.txt"), noise.take(2 << 20).collect::<Vec<u8>>()).unwrap();
    let (target, _) = world.publisher.model_from("guide", "1.0.0", &folder).unwrap();
    world.import().unwrap();
    world.assign(&[&target]).unwrap();
}

fn made(world: &World, name: &str, more: &[&str]) -> PathBuf {
    let stick = world.at(name);
    let words = ["bundle", "make", "--out"]
        .map(OsStr::new)
        .into_iter()
        .chain([stick.as_os_str()]);
    let said = world.operate(words.chain(more.iter().map(OsStr::new))).unwrap();
    said.yes().unwrap();
    stick
}

fn import(world: &World, stick: &Path, more: &[&str]) -> Said {
    let runtime = world.at("box/run");
    let words = [
        OsStr::new("bundle"),
        "import".as_ref(),
        stick.as_os_str(),
        "--runtime".as_ref(),
        runtime.as_os_str(),
    ];
    world
        .operate(words.into_iter().chain(more.iter().map(OsStr::new)))
        .unwrap()
}

/// The code of an answer that is no.
fn refusal(said: &Said) -> String {
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    said.json().unwrap()["refused"]["code"].as_str().unwrap().to_owned()
}

fn taken(world: &World, stick: &Path) -> Value {
    let said = world
        .operate([OsStr::new("bundle"), "take".as_ref(), stick.as_os_str()])
        .unwrap();
    said.yes().unwrap().json().unwrap()["returns"][0].clone()
}

/// Two round trips: the box shows its keys, then it proves them and its boot. A person approves in between.
fn enrolled(world: &mut World) -> String {
    let id = world.one.id().unwrap();
    let first = made(world, "first", &[]);
    import(world, &first, &["--apply"]).yes().unwrap();
    assert_eq!(taken(world, &first)["taken"], serde_json::json!(["enrol-begin.json"]));
    let second = made(world, "second", &["--box", &id]);
    import(world, &second, &["--apply"]).yes().unwrap();
    assert_eq!(
        taken(world, &second)["taken"],
        serde_json::json!(["enrol-activate.json"])
    );
    world.approve().unwrap();
    id
}

fn stored(status: &Value, version: &str) -> bool {
    let models = status["models"].as_array();
    models.is_some_and(|models| {
        models.iter().any(|model| {
            model["version"] == version
                && ["serving", "admitted", "stopped"]
                    .iter()
                    .any(|phase| model["phase"] == **phase)
        })
    })
}

// promise S-226
#[test]
fn a_box_without_a_network_enrols_takes_a_model_and_is_proven_by_sticks_alone() {
    let mut world = island();
    let id = enrolled(&mut world);
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    let third = made(&world, "third", &["--box", &id, "--part-size", "5M"]);
    world
        .operate([OsStr::new("bundle"), "verify".as_ref(), third.as_os_str()])
        .unwrap()
        .yes()
        .unwrap();

    // Shown first, and nothing is done without a yes.
    let shown = import(&world, &third, &[]).yes().unwrap().json().unwrap();
    assert_eq!(shown["applied"], false);
    let steps = shown["plan"]["steps"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step.as_str().unwrap().contains("guide")),
        "{steps:?}"
    );
    assert!(!stored(&world.one.status().unwrap(), "1.0.0"));

    let done = import(&world, &third, &["--apply"]);
    if engine().is_some() {
        done.yes().unwrap();
    }
    let status = world
        .one
        .wait("the model to be stored", |status| stored(status, "1.0.0"))
        .unwrap();
    assert_eq!(
        (status["enrolment"].as_str(), status["verdict"].as_str()),
        (Some("approved"), Some("trusted_simulated"))
    );

    // The way back moves the console on: verdict, report, and the record up to its cosigned head.
    let back = taken(&world, &third);
    assert_eq!(back["verdict"], "trusted (simulated)", "{back:#}");
    assert_eq!(
        back["taken"],
        serde_json::json!(["evidence.cbor", "report.json", "record.json"]),
        "{back:#}"
    );
    assert_eq!(back["achieved"], engine().is_some(), "{back:#}");
    assert!(back["entries"].as_u64().unwrap() > 10, "{back:#}");
    let seen = world.seen().unwrap();
    assert!(stored(&seen, "1.0.0"), "{seen:#}");
    let list = world
        .operate(["bundle", "list"])
        .unwrap()
        .yes()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(list["bundles"][0]["says"], "all 1 back", "{list:#}");
    assert_eq!(list["bundles"][0]["boxes"][0]["verdict"], "trusted (simulated)");

    // The same return again is no news; an old stick is refused.
    let again = world
        .operate([OsStr::new("bundle"), "take".as_ref(), third.as_os_str()])
        .unwrap();
    assert_eq!(again.yes().unwrap().json().unwrap()["returns"][0]["taken_before"], true);
    let old = import(&world, &world.at("second"), &["--apply"]);
    assert_eq!(refusal(&old), "stick.replayed");
    let earlier = world
        .operate([OsStr::new("bundle"), "take".as_ref(), world.at("second").as_os_str()])
        .unwrap();
    assert_eq!(refusal(&earlier), "stick.return_replayed");

    // The next bundle brings nothing that the box has, and the cosignature of its record.
    let fourth = made(&world, "fourth", &["--box", &id]);
    let size = |stick: &Path| -> u64 {
        let files = std::fs::read_dir(stick).unwrap();
        files
            .map(|file| file.unwrap())
            .filter(|file| file.file_name().to_str().unwrap().starts_with("freehold-bundle"))
            .map(|file| file.metadata().unwrap().len())
            .sum()
    };
    assert!(size(&fourth) < 1_000_000 && size(&third) > 3_000_000);
    import(&world, &fourth, &["--apply"]);
    assert!(world.at("box/state/cosigned.note").exists());
    let entries = world.one.entries().unwrap();
    for what in ["bundle.taken", "bundle.returned", "model.store"] {
        assert!(
            entries.iter().any(|(found, _)| found == what),
            "{what} is not in {entries:?}"
        );
    }
    assert!(
        entries
            .iter()
            .any(|(_, code)| code.as_deref() == Some("stick.replayed"))
    );
}

// promise S-227
#[test]
fn an_import_that_is_killed_at_any_step_goes_on_and_comes_to_its_end() {
    let mut world = island();
    let id = enrolled(&mut world);
    let (target, _) = world.publish("guide", "1.0.0").unwrap();
    world.assign(&[&target]).unwrap();
    let stick = made(&world, "third", &["--box", &id]);
    let plan = import(&world, &stick, &[]).yes().unwrap().json().unwrap()["plan"].clone();
    assert!(!plan["steps"].as_array().unwrap().is_empty());
    // The client is killed with the supervisor: nobody is there to confirm a second time.
    let journal = world.at("box/state/record/journal");
    let written = || std::fs::read(&journal).unwrap_or_default();
    // From here on it goes on by itself; a box that was killed before is asked again.
    let begun = || {
        let kept = std::fs::read(world.at("box/state/stick.json")).unwrap_or_default();
        let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
        kept["under_way"].is_string()
    };
    let mut client = std::process::Command::new(freehold_harness::program::built("freehold").unwrap());
    client.args(["--json", "bundle", "import", "--apply", "--runtime"]);
    client.arg(world.at("box/run")).arg(&stick);
    client
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut client = client.spawn().unwrap();
    wait_for("the import to begin", PATIENCE, || Ok(begun().then_some(()))).unwrap();
    world.one.kill();
    client.wait().unwrap();
    let returned = stick.join(format!("freehold-return-{id}-{}.fhz", plan["number"]));
    let mut kills = 1;
    loop {
        // Each time it comes a little further before it is killed.
        let (mut last, mut entries) = (written(), 0);
        world.one.start().unwrap();
        let ended = wait_for("the next step", PATIENCE, || {
            let now = written();
            if now != last {
                (last, entries) = (now, entries + 1);
            }
            let done = returned.exists();
            Ok((done || entries >= kills).then_some(done))
        });
        if ended.unwrap_or_else(|error| panic!("{error}\n{}", world.one.tail(60))) {
            break;
        }
        world.one.kill();
        kills += 1;
    }
    println!("killed {kills} times");
    let back = taken(&world, &stick);
    assert_eq!(back["verdict"], "trusted (simulated)", "{back:#}");
    world
        .one
        .wait("the model to be stored", |status| stored(status, "1.0.0"))
        .unwrap();
}

/// One wish to the supervisor, as another program would send it; the code of a refusal, or nothing.
fn wish(line: &mut UnixStream, wish: &StickWish) -> String {
    line.write_all(&encode(wish).unwrap()).unwrap();
    let mut header = [0; HEADER_BYTES];
    line.read_exact(&mut header).unwrap();
    let mut frame = vec![0; frame_length(header).unwrap()];
    line.read_exact(&mut frame).unwrap();
    match decode(&frame).unwrap() {
        StickAnswer::Refused { report } => report.code,
        StickAnswer::Plan { plan } => plan.digest,
        StickAnswer::Progress { .. } => String::new(),
    }
}

// promise S-228
#[test]
fn what_was_not_shown_is_not_done_a_missing_part_is_named_and_one_import_runs_at_a_time() {
    let mut world = island();
    let id = enrolled(&mut world);
    assigned_in_two_parts(&world);
    let small = world.at("small");
    let words = ["bundle", "make", "--box", &id, "--part-size", "1M", "--out"].map(OsStr::new);
    let said = world.operate(words.into_iter().chain([small.as_os_str()])).unwrap();
    assert_eq!(refusal(&said), "bundle.part_size");

    let stick = made(&world, "third", &["--box", &id, "--part-size", "4300000"]);
    let mut parts: Vec<PathBuf> = std::fs::read_dir(&stick)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    parts.sort();
    assert!(parts.len() > 1, "{parts:?}");
    let last = parts.pop().unwrap();
    std::fs::rename(&last, world.at("kept.fhz")).unwrap();
    let said = world
        .operate([OsStr::new("bundle"), "verify".as_ref(), stick.as_os_str()])
        .unwrap();
    assert_eq!(refusal(&said), "container.part_missing");

    let mut line = UnixStream::connect(world.at("box/run/stick.sock")).unwrap();
    let folder = stick.display().to_string();
    let look = StickWish::Look {
        v: V1,
        folder: folder.clone(),
    };
    let digest = wish(&mut line, &look);
    let apply = |digest: &str| StickWish::Apply {
        v: V1,
        folder: folder.clone(),
        digest: digest.to_owned(),
    };
    assert_eq!(wish(&mut line, &apply(&"0".repeat(64))), "import.plan_changed");
    assert_eq!(wish(&mut line, &apply(&digest)), "");
    assert_eq!(wish(&mut line, &apply(&digest)), "import.busy");
    // What is here was taken, what is not is named, and the way back says so.
    world.one.wait_refusal("container.part_missing").unwrap();
    let returned = wait_for("the return", PATIENCE, || {
        let files = std::fs::read_dir(&stick)?;
        let mut names = files.filter_map(|file| Some(file.ok()?.file_name().to_str()?.to_owned()));
        Ok(names.find(|name| name.starts_with("freehold-return")))
    });
    returned.unwrap();
    let back = taken(&world, &stick);
    assert_eq!(
        (back["verdict"].as_str(), back["achieved"].as_bool()),
        (Some("trusted (simulated)"), Some(false))
    );

    // With the last part the same bundle is brought to its end.
    std::fs::rename(world.at("kept.fhz"), last).unwrap();
    let done = import(&world, &stick, &["--apply"]);
    if engine().is_some() {
        done.yes().unwrap();
    }
    world
        .one
        .wait(
            "the model to be stored, and the next stick to be waited for",
            |status| stored(status, "1.0.0") && status["console"] == "import.answer_later",
        )
        .unwrap();
}

//! Settings typed at a box's screen: the real supervisor, a real console, real nft in a network namespace of its own, and a
//! stand-in for systemd that loads the filter as the unit of the image does.
//!
//! Refuses to touch this machine's own network. Needs root, unshare, nsenter, nft, ip, dbus-daemon.

#[path = "support/screen.rs"]
mod screen;
#[path = "../../engine/tests/units/stand_in.rs"]
#[allow(dead_code, reason = "only a part of the stand-in is needed here")]
mod stand_in;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use freehold_harness::world::{BoxWish, Pairing};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_protocol::screen::{Deed, Stage};
use freehold_verify::document::Settings as Document;
use screen::Screen;
use stand_in::{Habit, PrivateBus, serve};

/// A network namespace that lasts as long as this value.
struct Namespace(Child);

impl Namespace {
    /// `None` where this user may not make one.
    fn new() -> Option<Self> {
        let made = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().ok()?;
        let namespace = Self(made);
        let own = std::fs::read_link("/proc/self/ns/net").ok()?;
        let there = format!("/proc/{}/ns/net", namespace.0.id());
        wait_for("the namespace", Duration::from_secs(5), || {
            Ok(std::fs::read_link(&there).ok().filter(|link| *link != own))
        })
        .ok()?;
        Some(namespace)
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let enter = format!("--net=/proc/{}/ns/net", self.0.id());
        ["nsenter", &enter]
            .iter()
            .chain(words)
            .map(ToString::to_string)
            .collect()
    }

    fn run(&self, words: &[&str]) -> String {
        let words = self.words(words);
        let said = Command::new(&words[0])
            .args(&words[1..])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(said.status.success(), "{words:?}");
        String::from_utf8(said.stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn typed(address: &str, fleet_ca: &str) -> Deed {
    let values = serde_json::json!({
        "console": { "address": address, "fleet_ca": fleet_ca },
        "network": {
            "interface": "eth0", "addressing": { "static": { "address": "192.0.2.20/24" } },
            "clients": ["192.0.2.0/28"], "gateway_port": 8443
        },
        "time_zone": "UTC"
    });
    let serde_json::Value::Object(values) = values else {
        unreachable!("written as an object")
    };
    Deed::Settings {
        settings: Document {
            v: 1,
            fleet: String::new(),
            values,
        },
    }
}

// promise S-141
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_settings_load_the_filter_name_the_console_and_lock() {
    let Some(namespace) = Namespace::new() else {
        println!("skipped: this user cannot make network namespaces");
        return;
    };
    let world = tempfile::tempdir().unwrap();
    let run = world.path().join("run");
    for folder in ["freehold/network", "systemd/network"] {
        std::fs::create_dir_all(run.join(folder)).unwrap();
    }
    let bus = PrivateBus::start(world.path());
    let (_connection, shared) = serve(&bus.address, Habit::Start).await;
    let rules = run.join("freehold/network/rules.nft").display().to_string();
    shared.lock().unwrap().reload = vec!["false".to_owned()];
    let more = [
        "--screen",
        "--network",
        &run.display().to_string(),
        "--bus",
        &bus.address,
    ];
    let mut fleet = World::with(freehold_harness::world::Wish {
        one: BoxWish {
            engine: None,
            more: more.iter().map(ToString::to_string).collect(),
            pairing: Pairing::AtTheScreen,
            ..BoxWish::named("box1")
        },
        ..freehold_harness::world::Wish::default()
    })
    .unwrap();
    fleet.one.start().unwrap();
    let socket = fleet.one.folder().join("run/screen.sock");
    let mut screen = Screen::open(&socket);
    screen.until(|view| view.stage == Stage::Unpaired);

    // The filter is not loaded: nothing is opened, and it is tried again.
    let ca = fleet.fleet_ca().unwrap().to_hex();
    let console = format!("https://{}", fleet.boxes());
    let said = screen.ask(typed(&console, &ca));
    assert_eq!(said, "The settings are taken, and locked.");
    screen.until(|view| {
        view.refusals
            .iter()
            .any(|report| report.code == "settings.filter_not_loaded")
    });
    let link = run.join("systemd/network/05-freehold.network");
    assert!(!link.exists(), "no interface before its filter");
    namespace.run(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0"]);
    {
        let mut systemd = shared.lock().unwrap();
        systemd.reload = namespace.words(&["nft", "-f", &rules]);
        systemd.links = Some("networkd is not up".to_owned());
    }
    // Behind its filter the interface is offered to networkd, until that takes it.
    screen.until(|view| {
        view.refusals
            .iter()
            .any(|report| report.code == "settings.links_not_taken")
    });
    shared.lock().unwrap().links = None;

    // It asks the console that was typed for its keys, and shows them; nothing is ours yet.
    screen.until(|view| view.stage == Stage::Offered);
    assert_eq!(screen.view.console.fleet_ca, ca);
    wait_for("the link's file", PATIENCE, || Ok(link.exists().then_some(()))).unwrap();
    let loaded = namespace.run(&["nft", "list", "ruleset"]);
    assert!(loaded.contains("iifname != \"eth0\" drop"), "{loaded}");
    assert!(loaded.contains("192.0.2.0/28"), "{loaded}");
    wait_for("networkd to be asked", PATIENCE, || {
        Ok(shared.lock().unwrap().calls.contains(&"links".to_owned()).then_some(()))
    })
    .unwrap();
    assert_eq!(screen.ask(typed(&console, &ca)), "screen.settings_locked");
    let fingerprint = "0".repeat(64);
    assert_eq!(screen.ask(Deed::ConfirmConsole { fingerprint }), "screen.other_console");
    let fingerprint = ca.clone();
    assert!(
        screen
            .ask(Deed::ConfirmConsole { fingerprint })
            .contains("is now the console")
    );
    fleet
        .one
        .wait("the box to show itself to its console", |status| {
            status["enrolment"] == "waiting_for_approval" && status["network"] == "applied"
        })
        .unwrap();

    // After a start the filter is loaded anew, and the settings stay locked.
    fleet.one.kill();
    namespace.run(&["nft", "flush", "ruleset"]);
    fleet.one.start().unwrap();
    wait_for("the filter to be loaded again", PATIENCE, || {
        Ok(namespace
            .run(&["nft", "list", "ruleset"])
            .contains("eth0")
            .then_some(()))
    })
    .unwrap();
    let mut screen = Screen::open(&socket);
    assert_eq!(screen.ask(typed(&console, &ca)), "screen.settings_locked");
    // What it has to write down at its end publishes what it wrote before.
    fleet.one.stop().unwrap();
    let entries = fleet.one.entries().unwrap();
    for what in ["screen.settings_typed", "screen.console_confirmed"] {
        assert!(
            entries.iter().any(|(found, _)| found == what),
            "{what} is not in {entries:?}"
        );
    }
}

// promise S-142
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stick_is_mounted_only_while_it_is_read_and_its_settings_wait_for_the_comparison() {
    // The box runs without any network: what it would say to a console that is named so is not for this machine's.
    if Namespace::new().is_none() {
        println!("skipped: this user cannot make network namespaces");
        return;
    }
    let world = tempfile::tempdir().unwrap();
    let (run, stick) = (world.path().join("run"), world.path().join("stick"));
    for folder in ["run/freehold/network", "run/systemd/network", "stick"] {
        std::fs::create_dir_all(world.path().join(folder)).unwrap();
    }
    let bus = PrivateBus::start(world.path());
    let (_connection, shared) = serve(&bus.address, Habit::Start).await;
    let mut fleet = World::with(freehold_harness::world::Wish {
        one: BoxWish {
            engine: None,
            more: [
                "--screen",
                "--network",
                &run.display().to_string(),
                "--bus",
                &bus.address,
                "--stick",
                &stick.display().to_string(),
                "--stick-unit",
                "run-freehold-stick.mount",
            ]
            .iter()
            .map(ToString::to_string)
            .collect(),
            pairing: Pairing::AtTheScreen,
            under: ["unshare", "--net"].map(str::to_owned).to_vec(),
            ..BoxWish::named("box1")
        },
        ..freehold_harness::world::Wish::default()
    })
    .unwrap();
    fleet.one.start().unwrap();
    let mut screen = Screen::open(&fleet.one.folder().join("run/screen.sock"));
    screen.until(|view| view.stage == Stage::Unpaired);
    assert_eq!(screen.ask(Deed::Import {}), "screen.no_stick");

    // A box asks no names and no loopback: the console is named by the address at which boxes would reach it.
    let written = Command::new(freehold_harness::program::built("freehold-console").unwrap())
        .args([
            "settings",
            "--boxes-url",
            "https://192.0.2.10:7443",
            "--interface",
            "eth0",
        ])
        .args(["--network", "192.0.2.20/24", "--client", "192.0.2.0/28", "--state"])
        .arg(fleet.console_state())
        .arg("--to")
        .arg(&stick)
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let good = std::fs::read(stick.join("settings.json")).unwrap();
    let mut flipped = good.clone();
    let at = flipped.windows(9).position(|part| part == b"\"payload\"").unwrap() + 20;
    flipped[at] ^= 1;
    std::fs::write(stick.join("settings.json"), &flipped).unwrap();
    assert_eq!(screen.ask(Deed::Import {}), "screen.settings_malformed");
    std::fs::write(stick.join("settings.json"), &good).unwrap();
    // A link that leads out of the stick is no file of it.
    std::fs::rename(stick.join("pairing.json"), world.path().join("elsewhere.json")).unwrap();
    std::os::unix::fs::symlink(world.path().join("elsewhere.json"), stick.join("pairing.json")).unwrap();
    assert_eq!(screen.ask(Deed::Import {}), "screen.no_stick");
    std::fs::rename(world.path().join("elsewhere.json"), stick.join("pairing.json")).unwrap();

    let said = screen.ask(Deed::Import {});
    assert!(said.contains("eth0 192.0.2.20/24"), "{said}");
    let calls = std::mem::take(&mut shared.lock().unwrap().calls);
    let mounts = calls
        .iter()
        .filter(|call| *call == "start run-freehold-stick.mount")
        .count();
    let unmounts = calls
        .iter()
        .filter(|call| *call == "stop run-freehold-stick.mount")
        .count();
    assert_eq!((mounts, unmounts), (4, 4), "{calls:?}");
    let rules = run.join("freehold/network/rules.nft");
    assert!(
        !rules.exists(),
        "nothing is applied before a person compared the console's keys"
    );
    let fingerprint = fleet.fleet_ca().unwrap().to_hex();
    assert!(
        screen
            .ask(Deed::ConfirmConsole { fingerprint })
            .contains("is now the console")
    );
    wait_for("the filter's file", PATIENCE, || {
        Ok(std::fs::read_to_string(&rules)
            .ok()
            .filter(|text| text.contains("192.0.2.10 tcp dport 7443")))
    })
    .unwrap();
    wait_for("systemd to load both", PATIENCE, || {
        let calls = shared.lock().unwrap().calls.clone();
        let both = ["reload freehold-nftables.service", "links"];
        Ok(both
            .iter()
            .all(|call| calls.contains(&(*call).to_owned()))
            .then_some(()))
    })
    .unwrap();
}

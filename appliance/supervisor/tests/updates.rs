//! An operating system update as the supervisor carries it out: published, assigned, fetched, verified, handed on, restarted into;
//! then kept, or given up by itself. systemd is a stand-in on a private bus and the image's version is a bound file; console,
//! publisher, TPM, engine and the health check are the shipped ones. Boot loader and slots are in the image's own tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use freehold_harness::World;
use freehold_harness::program::{Said, built};
use freehold_harness::publisher::weights;
use freehold_harness::world::{BoxWish, engine};
use serde_json::Value;
use zbus::OwnedObjectPath;
use zbus::object_server::SignalEmitter;

/// What systemd was asked, and what lay ready when it was.
#[derive(Default)]
struct Asked {
    calls: Vec<String>,
    ready: BTreeMap<String, Vec<u8>>,
    fails: bool,
}

type Shared = Arc<Mutex<Asked>>;

struct Manager(Shared, PathBuf);

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {}

    async fn start_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let fails = {
            let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            asked.calls.push(format!("{mode} {name}"));
            asked.ready = listing(&self.1);
            asked.fails
        };
        let job = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
        let result = if fails { "failed" } else { "done" };
        Self::job_removed(&emitter, 7, job.clone(), name, result.to_owned()).await?;
        Ok(job)
    }

    fn reboot(&self) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.calls.push("reboot".to_owned());
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}

fn listing(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

/// A machine around a box: its bus, its image's version, its boots.
struct Machine {
    world: World,
    asked: Shared,
    daemon: Child,
    runtime: tokio::runtime::Runtime,
    _manager: zbus::Connection,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = &self.runtime;
    }
}

impl Machine {
    /// A machine whose image is `demo` 1.0.0; `with` an engine or without.
    fn new(engine: Option<PathBuf>) -> Option<Self> {
        // SAFETY of the machine, not of memory: files are bound over others in a mount namespace of the box alone.
        let may = Command::new("unshare").args(["-m", "true"]).output();
        if !may.is_ok_and(|said| said.status.success()) {
            println!("skipped: mount namespaces need root here");
            return None;
        }
        let mut world = World::new().unwrap();
        let (ready, bus) = (world.at("ready"), world.at("bus"));
        let configuration = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\
             <busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"*\"/></policy></busconfig>",
            bus.display()
        );
        fs::write(world.at("bus.conf"), configuration).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", world.at("bus.conf").display()))
            .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let address = address.trim().to_owned();
        let asked = Shared::default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let manager = Manager(asked.clone(), ready.clone());
        let connection = runtime
            .block_on(async {
                zbus::connection::Builder::address(address.as_str())
                    .serve_at("/org/freedesktop/systemd1", manager)
                    .name("org.freedesktop.systemd1")
                    .build()
                    .await
            })
            .unwrap();
        let test = world.at("self-test/files");
        fs::create_dir_all(&test).unwrap();
        fs::copy(weights(), test.join("self-test.gguf")).unwrap();
        // The kernel lets an engine's sandbox mount a /proc only where a whole one is to be seen; the usual one is covered in a place.
        fs::create_dir_all(world.at("whole-proc")).unwrap();
        let script = format!(
            "mount --bind '{os}' /usr/lib/os-release && mount --bind '{boot}' /proc/sys/kernel/random/boot_id && \
             mount -t proc proc '{proc}' && exec \"$@\" --system '{ready}' --bus '{address}' --self-test '{test}'",
            os = world.at("os-release").display(),
            boot = world.at("boot-id").display(),
            proc = world.at("whole-proc").display(),
            ready = ready.display(),
            test = world.at("self-test").display(),
        );
        let under = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        world.one.wish = BoxWish {
            under,
            engine,
            ..world.one.wish.clone()
        };
        let machine = Self {
            world,
            asked,
            daemon,
            runtime,
            _manager: connection,
        };
        machine.image("1.0.0", "first");
        Some(machine)
    }

    /// Which image runs from the next start on, and in which boot.
    fn image(&self, version: &str, boot: &str) {
        let text = format!("IMAGE_ID=demo\nIMAGE_VERSION={version}\n");
        fs::write(self.world.at("os-release"), text).unwrap();
        fs::write(self.world.at("boot-id"), format!("{boot}\n")).unwrap();
    }

    /// The machine starts again with that image.
    fn boots(&mut self, version: &str, boot: &str) {
        self.world.one.kill();
        self.image(version, boot);
        let run = self.world.one.folder().join("run");
        for left in ["healthy", "alive.json"] {
            let _ = fs::remove_file(run.join(left));
        }
        self.world.one.forget_status();
        self.world.one.start().unwrap();
    }

    fn calls(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).calls.clone()
    }

    /// Waits until systemd was asked so many things.
    fn wait_calls(&mut self, count: usize) -> Vec<String> {
        let asked = self.asked.clone();
        let look = move |_: &Value| asked.lock().unwrap_or_else(PoisonError::into_inner).calls.len() >= count;
        self.world.one.wait("what systemd is asked", look).unwrap();
        self.calls()
    }

    /// The box's own health check, as its unit runs it.
    fn check(&self, limit: u64) -> Said {
        let script = format!(
            "mount --bind '{}' /usr/lib/os-release && exec \"$@\"",
            self.world.at("os-release").display()
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script, "sh"]);
        command.arg(built("freehold-supervisor").unwrap()).arg("healthy");
        command.arg("--runtime").arg(self.world.one.folder().join("run"));
        command.arg("--system").arg(self.world.at("ready"));
        // Whatever is a mount stands for the sealed volume.
        command.args(["--volume", "/proc", "--limit", &limit.to_string()]);
        Said::of(&mut command).unwrap()
    }

    /// What the console heard about the system.
    fn health(&self) -> Vec<Value> {
        let id = self.world.one.id().unwrap();
        let said = self.world.operate(["box", "show", &id]).unwrap().yes().unwrap();
        let whole: Value = serde_json::from_str(&said.out).unwrap();
        whole["report"]["health"].as_array().cloned().unwrap_or_default()
    }
}

fn entries(machine: &Machine) -> Vec<(String, Option<String>)> {
    machine.world.one.entries().unwrap()
}

#[test]
fn a_root_that_cannot_be_read_is_said_so() {
    let world = tempfile::tempdir().unwrap();
    let mut command = Command::new(built("freehold-supervisor").unwrap());
    command
        .arg("read-root")
        .arg("--device")
        .arg(world.path().join("nothing"));
    let said = Said::of(command.arg("--progress").arg(world.path())).unwrap();
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("box.root_read"), "{said:?}");
}

// promise S-165
#[test]
fn an_update_is_written_restarted_into_and_kept_by_local_health_alone() {
    let Some(engine) = engine() else {
        println!("skipped: no engine in target/engine, `make engine` brings it");
        return;
    };
    let Some(mut machine) = Machine::new(Some(engine)) else {
        return;
    };
    machine.world.join().unwrap();
    let target = machine.world.publisher.system("1.1.0", 1, 0).unwrap();
    machine.world.import().unwrap();
    machine.world.assign(&[&target]).unwrap();
    let calls = machine.wait_calls(2);
    assert_eq!(calls, ["replace freehold-update@1.1.0.service", "reboot"]);
    // What lay ready for systemd-sysupdate: by its names, with the partitions' identifiers out of the root hash.
    let hash = freehold_trust::sha256(b"1.1.0").to_hex();
    let uuid = |at: usize| {
        let part = |from: usize, to: usize| &hash[at + from..at + to];
        format!(
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        )
    };
    let ready = machine.asked.lock().unwrap().ready.clone();
    let lies = |name: &str| ready.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(lies("demo_1.1.0.efi").as_deref(), Some("kernel 1.1.0"));
    assert_eq!(
        lies(&format!("demo_1.1.0_{}.root", uuid(0))).as_deref(),
        Some("root 1.1.0")
    );
    assert_eq!(
        lies(&format!("demo_1.1.0_{}.verity", uuid(32))).as_deref(),
        Some("hash tree 1.1.0")
    );

    // The new image, and the console is away: nobody is asked.
    machine.world.stop_console().unwrap();
    machine.boots("1.1.0", "second");
    machine
        .world
        .one
        .wait("the image on trial", |status| status["system"]["standing"] == "trying")
        .unwrap();
    let said = machine.check(80);
    assert_eq!(said.code, 0, "{said:?}");
    machine
        .world
        .one
        .wait("the image to stay", |status| {
            status["system"]["standing"] == "confirmed"
        })
        .unwrap();
    // The console hears of it when it is back, and the plan is achieved.
    machine.world.start_console().unwrap();
    machine
        .world
        .one
        .wait("the assignment", |status| {
            status["achieved"] == 1 && status["console"] == "ok"
        })
        .unwrap();
    let health = machine.health();
    assert!(
        health
            .iter()
            .any(|one| one["version"] == "1.1.0" && one["state"] == "confirmed" && one["name"] == "systems/demo"),
        "{health:?}"
    );
    machine.world.one.stop().unwrap();
    for what in ["update.stage", "update.write", "update.restart", "update.confirmed"] {
        assert!(entries(&machine).iter().any(|(found, _)| found == what), "{what}");
    }
    assert_eq!(
        machine.calls().len(),
        2,
        "nothing else was asked: {:?}",
        machine.calls()
    );
}

// promise S-166
#[test]
fn an_update_whose_engine_fails_goes_back_by_itself_and_says_why() {
    let Some(mut machine) = Machine::new(None) else { return };
    machine.world.join().unwrap();
    let target = machine.world.publisher.system("1.1.0", 1, 0).unwrap();
    machine.world.import().unwrap();
    machine.world.assign(&[&target]).unwrap();
    machine.wait_calls(2);
    machine.boots("1.1.0", "second");
    machine
        .world
        .one
        .wait("the image on trial", |status| status["system"]["standing"] == "trying")
        .unwrap();
    let said = machine.check(5);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("update.engine"), "{said:?}");
    // The boot loader has counted to three: the image before runs again.
    machine.boots("1.0.0", "third");
    let status = machine.world.one.wait_refusal("update.went_back").unwrap();
    let text = status["refusals"].to_string();
    assert!(text.contains("update.engine"), "{text}");
    machine
        .world
        .one
        .wait("the console to be told", |status| {
            status["console"] == "ok" && status["steps"] == serde_json::json!([])
        })
        .unwrap();
    let gone = |one: &Value| one["version"] == "1.1.0" && one["state"]["went_back"]["code"] == "update.went_back";
    let id = machine.world.one.id().unwrap();
    let found = machine.world.wait_seen("the report", |seen| {
        let health = seen["report"]["health"].as_array();
        health.is_some_and(|health| health.iter().any(gone))
    });
    assert!(found.is_ok() || machine.health().iter().any(gone), "{id}");
    // It is not tried again: systemd was asked nothing more.
    assert_eq!(machine.calls().len(), 2, "{:?}", machine.calls());
    // A slot that cannot be written is no restart.
    machine.asked.lock().unwrap().fails = true;
    let target = machine.world.publisher.system("1.2.0", 1, 0).unwrap();
    machine.world.import().unwrap();
    machine.world.assign(&[&target]).unwrap();
    machine.world.one.wait_refusal("update.write").unwrap();
    assert!(
        !machine.calls().iter().skip(2).any(|call| call == "reboot"),
        "{:?}",
        machine.calls()
    );
    machine.asked.lock().unwrap().fails = false;
    let asked = machine.asked.clone();
    let look = move |_: &Value| asked.lock().unwrap().calls.last().is_some_and(|call| call == "reboot");
    machine.world.one.wait("the next try", look).unwrap();
}

// promise S-167
#[test]
fn a_system_below_the_floor_is_not_written_and_the_floor_rises_when_both_slots_allow() {
    let Some(mut machine) = Machine::new(None) else { return };
    machine.world.join().unwrap();
    let run = machine.world.one.folder().join("run");
    // What the initial RAM disk says: the running image has level 2, and the floor is 2.
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("volume.json"), br#"{"v":1,"level":2,"floor":2}"#).unwrap();
    machine.boots("1.0.0", "first");
    let low = machine.world.publisher.system("1.1.0", 1, 0).unwrap();
    machine.world.import().unwrap();
    machine.world.assign(&[&low]).unwrap();
    machine.world.one.wait_refusal("update.below_floor").unwrap();
    assert!(machine.calls().is_empty(), "{:?}", machine.calls());

    // A release of level 3 that asks for floor 3: the other slot still holds level 2, so nothing rises yet.
    let higher = machine.world.publisher.system("1.2.0", 3, 3).unwrap();
    machine.world.import().unwrap();
    machine.world.assign(&[&higher]).unwrap();
    machine.wait_calls(2);
    fs::write(run.join("volume.json"), br#"{"v":1,"level":3,"floor":2}"#).unwrap();
    machine.boots("1.2.0", "second");
    let healthy = |machine: &Machine| fs::write(machine.world.one.folder().join("run/healthy"), b"").unwrap();
    healthy(&machine);
    machine
        .world
        .one
        .wait("the second image to stay", |status| {
            status["system"]["standing"] == "confirmed"
                && status["system"]["version"] == "1.2.0"
                && status["achieved"] == 2
        })
        .unwrap();
    assert_eq!(machine.calls().len(), 2, "{:?}", machine.calls());

    // The next one takes the older slot: now both hold level 3.
    let next = machine.world.publisher.system("1.3.0", 3, 3).unwrap();
    machine.world.import().unwrap();
    machine.world.assign(&[&next]).unwrap();
    machine.wait_calls(4);
    machine.boots("1.3.0", "third");
    healthy(&machine);
    let calls = machine.wait_calls(5);
    assert_eq!(
        calls.last().map(String::as_str),
        Some("replace freehold-floor@3.service")
    );
    machine
        .world
        .one
        .wait("rest", |status| {
            status["achieved"] == 3 && status["steps"] == serde_json::json!([])
        })
        .unwrap();
    assert_eq!(
        machine.calls().len(),
        5,
        "the floor is raised once: {:?}",
        machine.calls()
    );
}

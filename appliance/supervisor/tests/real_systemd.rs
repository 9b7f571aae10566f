//! The units of the image under the image's own systemd, in a container: settings typed at the screen become a filter and an address,
//! the console is found by its fingerprint, a client reaches the gateway, and the machine goes down when it is told.
//!
//! Refuses to touch this machine's own network: everything runs in network namespaces made here. Needs root, and the tree of the OS (as
//! `nix build .#os` makes it) in `FREEHOLD_OS_TREE`. What it cannot show, for want of a TPM and a device mapper: engines with
//! `RootImage=`, systemd-pcrextend. The image's tests in a virtual machine are for those.

#[path = "support/screen.rs"]
mod screen;

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use freehold_harness::world::{BoxWish, Pairing, Wish};
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_protocol::screen::{Deed, Stage};
use freehold_verify::document::Settings as Document;
use screen::Screen;

/// Where the console is; the box becomes 192.0.2.20.
const CONSOLE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// Makes the container and becomes its first process: the image's systemd. `$1` the tree, `$2` the folder of this test.
const CONTAINER: &str = r#"
set -eu
tree=$1 world=$2
mount --make-rprivate /
mkdir -p $world/{upper,work,root,run,var}
mount -t overlay overlay -o lowerdir=$tree,upperdir=$world/upper,workdir=$world/work $world/root
root=$world/root
cp -R $world/put/. $root/
mkdir -p $root/.old
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs -o mode=755 tmpfs $root/dev
for node in null zero full random urandom tty; do touch $root/dev/$node; mount --bind /dev/$node $root/dev/$node; done
touch $root/dev/console; mount --bind "$(tty)" $root/dev/console
mkdir -p $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts $root/dev/pts; ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
mount -t tmpfs tmpfs $root/dev/shm
mount -t tmpfs -o mode=1777 tmpfs $root/tmp
mount --bind $world/run $root/run
mount -t tmpfs -o mode=755 tmpfs $root/var
mkdir -p $root/var/lib; mount --bind $world/var $root/var/lib
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
ip link set lo up
nsenter --net=$world/outer ip link set eth0 netns 1
cd $root; pivot_root . .old
export container=freehold PATH=/usr/bin:/usr/sbin TERM=dumb
exec /usr/lib/systemd/systemd --system --log-target=console --log-level=info --show-status=no systemd.unit=multi-user.target
"#;

/// The unit's own line, without what this machine does not have.
const OVERRIDE: &str = "[Service]
ExecStart=
ExecStart=/usr/bin/freehold-supervisor run --state /var/lib/freehold/box --runtime /run/freehold --host systemd --screen \
--network /run --tcti device:/dev/tpmrm0 --engine-root /usr/lib/freehold/engines/llama-cpu.raw \
--engine-user freehold-engine:freehold-doors --gateway-address /var/lib/freehold-gateway/address.json --interval 0.5 \
--threads 1 --memory 512 --context 256 --slots 1
BindPaths=
";

fn sh(script: &str) {
    let said = Command::new("sh").args(["-euc", script]).output().unwrap();
    assert!(
        said.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
}

/// The container, ended with this value.
struct Container(Child);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tree() -> Option<PathBuf> {
    std::env::var_os("FREEHOLD_OS_TREE").map(PathBuf::from)
}

#[test]
#[ignore = "the body of `the_images_systemd_applies_settings_and_shuts_down_when_told`, which runs it in a namespace of its own"]
fn body() {
    let tree = tree().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    sh(
        "ip link set lo up; ip link add far0 type veth peer name eth0; ip address add 192.0.2.10/24 dev far0; ip link set far0 up",
    );
    sh(&format!(
        "touch {0}; mount --bind /proc/self/ns/net {0}",
        at("outer").display()
    ));

    let mut fleet = World::with(Wish {
        one: BoxWish {
            state: Some(at("var/freehold/box")),
            pairing: Pairing::AtTheScreen,
            engine: None,
            ..BoxWish::named("box1")
        },
        address: CONSOLE,
        ..Wish::default()
    })
    .unwrap();
    let put = at("put");
    let put = put.display();
    let programs = ["freehold-supervisor", "freehold-gateway", "freehold-screen"]
        .map(|name| freehold_harness::program::built(name).unwrap().display().to_string())
        .join(" ");
    let systemd = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    sh(&format!(
        "mkdir -p {put}/usr/bin {put}/usr/lib/systemd/system/freehold-supervisor.service.d {put}/usr/lib/systemd/network \
           {put}/usr/lib/tmpfiles.d
         cp {programs} {put}/usr/bin/
         cp -R {0}/system/. {put}/usr/lib/systemd/system/
         cp {0}/network/* {put}/usr/lib/systemd/network/
         cp {0}/tmpfiles.d/* {put}/usr/lib/tmpfiles.d/",
        systemd.display(),
    ));
    std::fs::write(
        at("put/usr/lib/systemd/system/freehold-supervisor.service.d/test.conf"),
        OVERRIDE,
    )
    .unwrap();
    let script = at("container");
    std::fs::write(&script, CONTAINER).unwrap();
    let inside = format!(
        "exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child bash {} {} {}",
        script.display(),
        tree.display(),
        folder.path().display()
    );
    let log = std::fs::File::create(at("console.txt")).unwrap();
    let _container = Container(
        Command::new("script")
            .args(["-qfec", &inside, "/dev/null"])
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .unwrap(),
    );
    let told = || std::fs::read_to_string(at("console.txt")).unwrap_or_default();

    let mut screen = Screen::open(&at("run/freehold/screen.sock"));
    screen.until(|view| view.stage == Stage::Unpaired);
    let port = fleet.boxes().port();
    let serde_json::Value::Object(values) = serde_json::json!({
        "console": { "address": format!("https://{CONSOLE}:{port}"), "fleet_ca": fleet.fleet_ca().unwrap().to_hex() },
        "network": {
            "interface": "eth0", "addressing": { "static": { "address": "192.0.2.20/24" } },
            "console": { "address": CONSOLE.to_string(), "port": port }, "clients": ["192.0.2.0/28"], "gateway_port": 8443
        }
    }) else {
        unreachable!("written as an object")
    };
    let settings = Document {
        v: 1,
        fleet: String::new(),
        values,
    };
    assert_eq!(
        screen.ask(Deed::Settings { settings }),
        "The settings are taken, and locked."
    );
    let view = std::cell::RefCell::new(String::new());
    screen.until(|now| {
        *view.borrow_mut() = format!("{now:?}");
        now.refusals.first().inspect(|report| println!("{report:?}"));
        now.stage == Stage::Offered
    });
    let fingerprint = fleet.fleet_ca().unwrap().to_hex();
    assert!(
        screen
            .ask(Deed::ConfirmConsole { fingerprint })
            .contains("is now the console")
    );
    let applied = |status: &serde_json::Value| status["network"] == "applied";
    let status = fleet
        .one
        .wait("the supervisor to go on with its console", applied)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", told()));
    assert!(
        status["host"].as_str().unwrap().starts_with("systemd 257"),
        "{status:#}"
    );
    let answer = TcpStream::connect_timeout(&(Ipv4Addr::new(192, 0, 2, 20), 8443).into(), PATIENCE);
    assert!(answer.is_ok(), "a client reaches the gateway through the filter");

    // The machine goes down when it is told, over D-Bus.
    assert_eq!(screen.ask(Deed::ShutDown {}), "The machine shuts down.");
    let mut container = _container;
    wait_for("the machine to go down", PATIENCE, || Ok(container.0.try_wait()?)).unwrap();
}

// promise S-148
#[test]
fn the_images_systemd_applies_settings_and_shuts_down_when_told() {
    if tree().is_none() {
        println!("skipped: FREEHOLD_OS_TREE names no tree of the OS (nix build .#os)");
        return;
    }
    let said = Command::new("timeout")
        .args([
            "--kill-after=5",
            "240",
            "unshare",
            "--net",
            "--mount",
            "--fork",
            "--kill-child",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "body", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(said.status.success(), "{}\n{}", text(&said.stdout), text(&said.stderr));
    assert!(text(&said.stdout).contains("1 passed"), "{}", text(&said.stdout));
}

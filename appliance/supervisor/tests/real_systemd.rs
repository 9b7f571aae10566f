//! The units of the image under the image's own systemd, in a container: settings typed at the screen become a filter and an address,
//! the console is found by its fingerprint, and a model's engine runs as a transient unit.
//!
//! Refuses to touch this machine's own network: everything runs in network namespaces made here. Needs root, the tree of the OS (as
//! `nix build .#os` makes it) in `FREEHOLD_OS_TREE`, and the engine of `make engine`. What it cannot show, for want of a device mapper:
//! `RootImage=`; for want of a TPM device: systemd-pcrextend. The image's tests in a virtual machine show those.

#[path = "support/screen.rs"]
mod screen;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use freehold_harness::world::{BoxWish, Pairing, Wish, engine};
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
mkdir -p $root/usr/lib/freehold/engines/unpacked $root/.old
mount --bind $world/engine $root/usr/lib/freehold/engines/unpacked
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
--network /run --tcti swtpm:path=/run/swtpm.sock --engine-root /usr/lib/freehold/engines/unpacked \
--engine-user freehold-engine:freehold-doors --gateway-address /var/lib/freehold-gateway/address.json --interval 0.5 \
--boot-log /usr/lib/freehold/test/boot.log --ek-chain /usr/lib/freehold/test/chain.pem --threads 1 --memory 512 --context 256 --slots 1
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

/// Passes what comes at a socket on to a port of loopback.
fn forward(socket: &Path, port: u16) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let Ok(near) = near else { return };
            let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                return;
            };
            let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = copy(&mut near_in, &mut far_out);
                let _ = far_out.shutdown(Shutdown::Both);
            });
            let (mut far_in, mut near_out): (TcpStream, UnixStream) = (far, near);
            std::thread::spawn(move || {
                let _ = copy(&mut far_in, &mut near_out);
                let _ = near_out.shutdown(Shutdown::Both);
            });
        }
    });
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

/// The container, ended with this value.
struct Container(Child);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn trees() -> Option<(PathBuf, PathBuf)> {
    let tree = PathBuf::from(std::env::var_os("FREEHOLD_OS_TREE")?);
    let library = Path::new("usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0");
    let stored = std::fs::read_dir("/nix/store").ok()?.flatten();
    let library = stored
        .map(|entry| entry.path().join(library))
        .find(|path| path.exists())?;
    Some((tree, library))
}

#[test]
#[ignore = "the body of `the_images_systemd_applies_settings_and_runs_an_engine_as_a_unit`, which runs it in a namespace of its own"]
fn body() {
    let (tree, library) = trees().unwrap();
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
            ..BoxWish::named("box1")
        },
        address: CONSOLE,
        ..Wish::default()
    })
    .unwrap();
    let tcti = fleet.one.tpm.tcti();
    let port: u16 = tcti.rsplit_once("port=").unwrap().1.parse().unwrap();
    std::fs::create_dir_all(at("run")).unwrap();
    forward(&at("run/swtpm.sock"), port);
    forward(&at("run/swtpm.sock.ctrl"), port + 1);

    let put = at("put");
    let put = put.display();
    let programs = ["freehold-supervisor", "freehold-gateway", "freehold-screen"]
        .map(|name| freehold_harness::program::built(name).unwrap().display().to_string())
        .join(" ");
    let systemd = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    sh(&format!(
        "mkdir -p {put}/usr/bin {put}/usr/lib/systemd/system/freehold-supervisor.service.d {put}/usr/lib/freehold/test \
           {put}/usr/lib/x86_64-linux-gnu {put}/usr/lib/systemd/network {put}/usr/lib/tmpfiles.d
         cp {programs} {put}/usr/bin/
         cp -R {0}/system/. {put}/usr/lib/systemd/system/
         cp {0}/network/* {put}/usr/lib/systemd/network/
         cp {0}/tmpfiles.d/* {put}/usr/lib/tmpfiles.d/
         cp -L {1} {put}/usr/lib/x86_64-linux-gnu/
         cp {2}/boot.log {2}/boot.manifest.json {put}/usr/lib/freehold/test/
         cp {3} {put}/usr/lib/freehold/test/chain.pem
         mkdir -p {4}",
        systemd.display(),
        library.display(),
        fleet.one.folder().display(),
        fleet.one.tpm.authority().intermediate_path().display(),
        at("engine").display(),
    ));
    std::fs::write(
        at("put/usr/lib/systemd/system/freehold-supervisor.service.d/test.conf"),
        OVERRIDE,
    )
    .unwrap();
    sh(&format!(
        "mount --bind {} {}",
        engine().unwrap().display(),
        at("engine").display()
    ));

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
    fleet.approve().unwrap();
    let verdict = |status: &serde_json::Value| status["verdict"] == "trusted_simulated";
    fleet
        .one
        .wait("the first verdict", verdict)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", told()));

    let (target, _) = fleet.publish("guide", "1.0.0").unwrap();
    fleet.assign(&[&target]).unwrap();
    let serves = |status: &serde_json::Value| status["models"][0]["phase"] == "serving";
    let status = fleet
        .one
        .wait("the model to serve", serves)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", told()));
    assert_eq!(status["network"], "applied");
    assert!(
        status["host"].as_str().unwrap().starts_with("systemd 257"),
        "{status:#}"
    );
    assert_eq!(status["models"][0]["memory_bound"], "systemd cgroup");

    // The engine, as the kernel sees it.
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let own = processes
        .filter(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == "llama-server"))
        .find(|path| std::fs::read_to_string(path.join("cgroup")).is_ok_and(|group| group.contains("freehold-engine-")))
        .expect("the engine runs in a unit of its own");
    let kernel = std::fs::read_to_string(own.join("status")).unwrap();
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(kernel.contains(line), "{line} is not in {kernel}");
    }
    let interfaces = std::fs::read_to_string(own.join("net/dev")).unwrap();
    assert!(!interfaces.contains("eth0"), "{interfaces}");
    let answer = TcpStream::connect_timeout(&(Ipv4Addr::new(192, 0, 2, 20), 8443).into(), PATIENCE);
    assert!(answer.is_ok(), "a client reaches the gateway through the filter");

    // The machine goes down when it is told, over D-Bus.
    assert_eq!(screen.ask(Deed::ShutDown {}), "The machine shuts down.");
    let mut container = _container;
    wait_for("the machine to go down", PATIENCE, || Ok(container.0.try_wait()?)).unwrap();
}

// promise S-148
#[test]
fn the_images_systemd_applies_settings_and_runs_an_engine_as_a_unit() {
    if trees().is_none() || engine().is_none() {
        println!(
            "skipped: FREEHOLD_OS_TREE names no tree of the OS (nix build .#os), or there is no engine (make engine)"
        );
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

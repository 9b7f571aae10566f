//! Engines as units of systemd: the D-Bus client against a stand-in on a private bus, and the properties that it gives.
//!
//! What systemd makes of the properties is shown in the image's tests; here: that each has the right type, that nothing that
//! bubblewrap is told is missing, and that every way to fail has its code.

mod stand_in;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use freehold_engine::launch::UserNamespace;
use freehold_engine::unit::{Bus, Root, UnitFault, UnitOptions, probe, properties, sweep, unit_name};
use freehold_engine::{EngineProcess, Exit, LaunchError, LaunchSpec, MemoryBound, ModelFile, Purpose};
use stand_in::{Habit, PrivateBus, serve, turn};

const LIMIT: Duration = Duration::from_secs(30);

fn spec(world: &Path) -> LaunchSpec {
    let root = world.join("root");
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::fs::write(root.join("usr/bin/llama-server"), b"").unwrap();
    std::fs::write(world.join("weights"), b"GGUF").unwrap();
    LaunchSpec {
        name: "abc-chat".to_owned(),
        root,
        files: vec![ModelFile {
            source: world.join("weights"),
            name: "guide.gguf".to_owned(),
        }],
        open: "guide.gguf".to_owned(),
        purpose: Purpose::Chat,
        socket_folder: world.join("engine"),
        context: 256,
        slots: 1,
        threads: 2,
        memory_bytes: 1 << 30,
        devices: vec![PathBuf::from("/dev/dri/renderD128")],
        log: world.join("log"),
    }
}

fn options(bus: &PrivateBus) -> UnitOptions {
    UnitOptions {
        address: Some(bus.address.clone()),
        user: Some(("root".to_owned(), "root".to_owned())),
        bound_to: Some("freehold-supervisor.service".to_owned()),
        version: 257,
    }
}

async fn start(spec: &LaunchSpec, options: &UnitOptions) -> Result<EngineProcess, LaunchError> {
    let (spec, options) = (spec.clone(), options.clone());
    tokio::task::spawn_blocking(move || EngineProcess::start_unit(&spec, &options))
        .await
        .unwrap()
}

// promise S-81
#[test]
fn what_bubblewrap_is_told_systemd_is_told_too() {
    let world = tempfile::tempdir().unwrap();
    let spec = spec(world.path());
    let options = UnitOptions {
        user: Some(("freehold-engine".to_owned(), "freehold-doors".to_owned())),
        version: 257,
        ..UnitOptions::default()
    };
    let filters = ["/a", "/b"].map(str::to_owned);
    let command = spec.command(UserNamespace::Own, &filters);
    let flags: Vec<String> = command
        .get_args()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let flags = flags.join(" ");
    let root = Root::find(&spec.root).unwrap();
    let given = properties(&spec, &root, &options).unwrap();
    let weights = world.path().join("weights").display().to_string();
    let sockets = spec.socket_folder.display().to_string();
    // Promise, what bubblewrap is told, systemd's property, a part of its value.
    for (promise, flag, property, value) in [
        ("no network", "--unshare-all", "PrivateNetwork", "true"),
        ("own IPC", "--unshare-all", "PrivateIPC", "true"),
        ("own processes", "--unshare-all", "PrivatePIDs", "yes"),
        ("own user namespace", "--unshare-user", "PrivateUsers", "true"),
        ("no further namespace", "--disable-userns", "RestrictNamespaces", "0"),
        ("nobody", "--uid 65534", "User", "freehold-engine"),
        ("no capability", "--cap-drop ALL", "CapabilityBoundingSet", "0"),
        ("no new privilege", "--cap-drop ALL", "NoNewPrivileges", "true"),
        ("own root, read only", "--ro-bind", "RootDirectory", "/root"),
        ("nothing writable", "--ro-bind", "ProtectSystem", "strict"),
        (
            "the listed files",
            &format!("--ro-bind {weights} /models/guide.gguf"),
            "BindReadOnlyPaths",
            &weights,
        ),
        (
            "and no others",
            "--remount-ro /models",
            "TemporaryFileSystem",
            "/models",
        ),
        ("one door", &format!("--bind {sockets} /sockets"), "BindPaths", &sockets),
        ("an empty /tmp", "--tmpfs /tmp", "TemporaryFileSystem", "/tmp"),
        ("own /dev", "--dev /dev", "PrivateDevices", "true"),
        (
            "given devices only",
            "--dev-bind /dev/dri/renderD128",
            "DeviceAllow",
            "/dev/dri/renderD128",
        ),
        ("its own /proc", "--proc /proc", "ProtectProc", "invisible"),
        ("own host name", "--hostname engine", "ProtectHostname", "true"),
        ("no growing file", "--fsize=1", "LimitFSIZE", "1"),
        ("no core dump", "--core=0", "LimitCORE", "0"),
        ("few descriptors", "--nofile=1024", "LimitNOFILE", "1024"),
        ("lower priority", "nice -n 5", "Nice", "5"),
        ("listed system calls", "--add-seccomp-fd 3", "SystemCallFilter", "futex"),
        (
            "Unix sockets only",
            "--add-seccomp-fd 3",
            "RestrictAddressFamilies",
            "AF_UNIX",
        ),
        (
            "refused, not killed",
            "--add-seccomp-fd 3",
            "SystemCallErrorNumber",
            "1",
        ),
        (
            "its own program",
            "/usr/bin/llama-server --host",
            "ExecStart",
            "/usr/bin/llama-server",
        ),
    ] {
        assert!(flags.contains(flag), "{promise}: bubblewrap is not told `{flag}`");
        let found = given.iter().find(|(name, _)| name == property);
        let (_, found) = found.unwrap_or_else(|| panic!("{promise}: systemd is not told `{property}`"));
        let found = format!("{:?}", &**found);
        assert!(found.contains(value), "{promise}: `{property}` is {found}");
    }
    // What bubblewrap has no flag for is bounded elsewhere (control groups, the launcher), and here.
    for property in [
        "MemoryMax",
        "MemorySwapMax",
        "CPUQuotaPerSecUSec",
        "TasksMax",
        "OOMPolicy",
        "TimeoutStopUSec",
    ] {
        assert!(given.iter().any(|(name, _)| name == property), "{property}");
    }
}

#[test]
fn every_property_has_systemds_own_type() {
    let world = tempfile::tempdir().unwrap();
    let mut spec = spec(world.path());
    for (name, bytes) in [("e.raw", "x"), ("e.verity", "x"), ("e.roothash", &"ab".repeat(32))] {
        std::fs::write(world.path().join(name), bytes).unwrap();
    }
    spec.root = world.path().join("e.raw");
    let root = Root::find(&spec.root).unwrap();
    let options = UnitOptions {
        bound_to: Some("freehold-supervisor.service".to_owned()),
        version: 257,
        ..UnitOptions::default()
    };
    let listed: String = properties(&spec, &root, &options)
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name} {}\n", value.value_signature()))
        .collect();
    insta::assert_snapshot!(listed);
}

#[test]
fn an_image_without_a_root_hash_is_refused() {
    let world = tempfile::tempdir().unwrap();
    let image = world.path().join("engine.raw");
    std::fs::write(&image, b"x").unwrap();
    assert_eq!(Root::find(&image).unwrap_err().code(), "engine.root_hash");
    std::fs::write(world.path().join("engine.verity"), b"x").unwrap();
    for bad in ["", "abcd", &"zz".repeat(32)] {
        std::fs::write(world.path().join("engine.roothash"), bad).unwrap();
        assert_eq!(Root::find(&image).unwrap_err().code(), "engine.root_hash", "{bad}");
    }
    std::fs::write(world.path().join("engine.roothash"), format!("{}\n", "0f".repeat(32))).unwrap();
    let Root::Image { root_hash, .. } = Root::find(&image).unwrap() else {
        panic!("a file is an image")
    };
    assert_eq!(root_hash, vec![0x0f; 32]);
}

#[tokio::test]
async fn a_unit_is_started_watched_and_ended_within_two_seconds() {
    let world = tempfile::tempdir().unwrap();
    let bus = PrivateBus::start(world.path());
    let (connection, shared) = serve(&bus.address, Habit::Start).await;
    let (spec, options) = (spec(world.path()), options(&bus));
    assert_eq!(probe(&options).await.unwrap(), 257);
    let unit = unit_name(&spec);

    let process = start(&spec, &options).await.unwrap();
    assert_eq!((process.pid(), process.bounds().memory), (4711, MemoryBound::Systemd));
    {
        let world = shared.lock().unwrap();
        let given = &world.units[&unit].properties;
        assert_eq!(given["MemoryMax"].downcast_ref::<u64>().unwrap(), 1 << 30);
        assert_eq!(given["CPUQuotaPerSecUSec"].downcast_ref::<u64>().unwrap(), 2_000_000);
        assert!(format!("{:?}", &*given["BindsTo"]).contains("freehold-supervisor.service"));
    }
    let told = Instant::now();
    assert_eq!(process.stop().await, Exit::Stopped);
    assert!(told.elapsed() < Duration::from_secs(2));
    assert!(shared.lock().unwrap().units.is_empty(), "its name is free again");

    // It ends by itself, for want of memory.
    let mut process = start(&spec, &options).await.unwrap();
    turn(&connection, &shared, &unit, "failed", ("oom-kill", 2, 9)).await;
    let ended = tokio::time::timeout(LIMIT, process.ended()).await.unwrap();
    assert_eq!(ended, Exit::MemoryBound { bound: 1 << 30 });
    assert_eq!(process.last_words(), ["words of the engine"]);
    assert!(shared.lock().unwrap().units.is_empty(), "a failed unit is cleaned up");

    // It does not end when it is told, and is killed.
    shared.lock().unwrap().habit = Habit::Stubborn;
    let process = start(&spec, &options).await.unwrap();
    let told = Instant::now();
    assert_eq!(process.stop().await, Exit::Stopped);
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    assert!(shared.lock().unwrap().calls.contains(&format!("kill {unit} all 9")));
}

#[tokio::test]
async fn what_an_earlier_supervisor_left_is_ended() {
    let world = tempfile::tempdir().unwrap();
    let bus = PrivateBus::start(world.path());
    let (_connection, shared) = serve(&bus.address, Habit::Start).await;
    let (spec, options) = (spec(world.path()), options(&bus));
    let left = start(&spec, &options).await.unwrap();
    assert_eq!(sweep(&options).await.unwrap(), [unit_name(&spec)]);
    assert!(shared.lock().unwrap().units.is_empty());
    drop(left);
    // A leftover that nobody swept does not keep the next from starting.
    let first = start(&spec, &options).await.unwrap();
    let second = start(&spec, &options).await.unwrap();
    assert_eq!(second.stop().await, Exit::Stopped);
    drop(first);
    assert!(sweep(&options).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_way_to_fail_has_its_code() {
    let world = tempfile::tempdir().unwrap();
    let mut bus = PrivateBus::start(world.path());
    let (spec, options) = (spec(world.path()), options(&bus));
    // Nobody is systemd on this bus.
    assert_eq!(probe(&options).await.unwrap_err().code(), "engine.bus_missing");
    let (connection, shared) = serve(&bus.address, Habit::Refuse).await;
    assert_eq!(start(&spec, &options).await.unwrap_err().code(), "engine.unit_refused");
    shared.lock().unwrap().habit = Habit::JobFails;
    let failed = start(&spec, &options).await.unwrap_err();
    assert_eq!(failed.code(), "engine.unit_failed");
    assert!(failed.to_string().contains("exit-code"), "{failed}");
    assert!(shared.lock().unwrap().units.is_empty(), "a failed unit is cleaned up");
    shared.lock().unwrap().habit = Habit::Immortal;
    assert_eq!(start(&spec, &options).await.unwrap_err().code(), "engine.unit_exists");
    // The bus goes away while the job is under way.
    shared.lock().unwrap().habit = Habit::Silent;
    let starting = tokio::spawn({
        let (spec, options) = (spec.clone(), options.clone());
        async move { start(&spec, &options).await }
    });
    let begun = Instant::now();
    while shared.lock().unwrap().units.is_empty() {
        assert!(begun.elapsed() < LIMIT, "the unit is asked for");
        tokio::task::yield_now().await;
    }
    bus.kill();
    assert_eq!(starting.await.unwrap().unwrap_err().code(), "engine.bus_gone");
    drop(connection);
    assert_eq!(probe(&options).await.unwrap_err().code(), "engine.bus_missing");
}

#[test]
fn every_fault_of_a_unit_has_its_code() {
    let text = String::new;
    let all = [
        UnitFault::BusMissing { reason: text() },
        UnitFault::BusGone {
            what: "x",
            reason: text(),
        },
        UnitFault::Silent {
            what: "x",
            limit: LIMIT,
        },
        UnitFault::Refused {
            unit: text(),
            name: text(),
            message: text(),
        },
        UnitFault::Exists { unit: text() },
        UnitFault::Failed {
            unit: text(),
            job: text(),
            result: text(),
        },
        UnitFault::NoRootHash {
            image: text(),
            reason: text(),
        },
    ];
    let codes: Vec<&str> = all.iter().map(UnitFault::code).collect();
    assert_eq!(codes, UnitFault::CODES);
    assert_eq!(codes.get(2), Some(&"engine.unit_silent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machine_itself_is_asked_unit_by_unit_and_a_job_that_fails_is_said() {
    let world = tempfile::tempdir().unwrap();
    let bus = PrivateBus::start(world.path());
    let (_connection, shared) = serve(&bus.address, Habit::Start).await;
    let asked = Bus::connect(Some(&bus.address)).await.unwrap();
    asked.reload_unit("freehold-nftables.service").await.unwrap();
    asked.reload_links().await.unwrap();
    asked.start_unit("run-freehold-stick.mount").await.unwrap();
    asked.stop_unit("run-freehold-stick.mount").await.unwrap();
    asked.reboot().await.unwrap();
    asked.power_off().await.unwrap();
    let calls = std::mem::take(&mut shared.lock().unwrap().calls);
    assert_eq!(
        calls,
        [
            "reload freehold-nftables.service",
            "links",
            "start run-freehold-stick.mount",
            "stop run-freehold-stick.mount",
            "reboot",
            "power off"
        ]
    );
    shared.lock().unwrap().habit = Habit::JobFails;
    let refused = asked.reload_unit("freehold-nftables.service").await.unwrap_err();
    assert_eq!(refused.code(), "engine.unit_failed");
    let refused = asked.start_unit("run-freehold-stick.mount").await.unwrap_err();
    assert_eq!(refused.code(), "engine.unit_failed");
}

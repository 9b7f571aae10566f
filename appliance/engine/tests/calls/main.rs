//! The filter of system calls, judged from inside: a program in the engine's own sandbox tries what an engine must not do.
//!
//! Refuses to believe a list: each answer comes from the kernel, and the same program without the filter gets another one.
//! That the engine itself works under the filter is shown by the other tests, which all start it so.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use freehold_engine::calls::Filters;
use freehold_engine::launch::probe_user_namespace;
use freehold_engine::{LaunchSpec, ModelFile, Purpose};

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

fn probe(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/calls/probe.c");
    let program = folder.join("probe");
    let made = Command::new("gcc")
        .args(["-static", "-O1", "-o"])
        .arg(&program)
        .arg(source)
        .status()
        .unwrap();
    assert!(made.success(), "gcc makes the probe");
    program
}

/// Runs the program, and answers what it was answered.
fn answers(mut command: Command) -> BTreeMap<String, i32> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"1").unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(
        said.status.success(),
        "{}: {}",
        said.status,
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let (name, error) = line.split_once(' ').unwrap();
            (name.to_owned(), error.parse().unwrap())
        })
        .collect()
}

// promise S-80
#[test]
fn calls_that_an_engine_must_not_make_are_refused_in_its_sandbox() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/engine/llama-cpu");
    if !root.join("usr/bin/llama-server").exists() {
        println!("skipped: {} is not here", root.display());
        return;
    }
    let world = tempfile::tempdir().unwrap();
    let program = probe(world.path());
    let spec = LaunchSpec {
        name: "probe".to_owned(),
        root,
        files: vec![ModelFile {
            source: program.clone(),
            name: "probe".to_owned(),
        }],
        open: "probe".to_owned(),
        purpose: Purpose::Chat,
        socket_folder: world.path().join("engine"),
        context: 1,
        slots: 1,
        threads: 1,
        memory_bytes: 1 << 30,
        devices: vec![],
        log: world.path().join("log"),
    };
    std::fs::create_dir(&spec.socket_folder).unwrap();
    let filters = Filters::make().unwrap();
    // The engine's own command line, to the letter, with another program at its end; then the same without the filters. The probe
    // never runs outside of the sandbox: what it tries would work there.
    let whole = spec.command(probe_user_namespace(), &filters.paths());
    let sandbox: Vec<OsString> = whole
        .get_args()
        .take_while(|part| *part != "/usr/bin/llama-server")
        .map(OsStr::to_owned)
        .collect();
    let run = |arguments: &[OsString], more: &[&str]| {
        let mut command = Command::new(whole.get_program());
        command.args(arguments).arg("/models/probe").args(more);
        answers(command)
    };
    let first = sandbox.iter().position(|part| part == "--add-seccomp-fd").unwrap();
    let bare = [&sandbox[..first], &sandbox[first + 4..]].concat();
    assert!(
        bare.iter().any(|part| part == "--unshare-all"),
        "the sandbox itself stays"
    );
    let (inside, outside) = (run(&sandbox, &[]), run(&bare, &["harmless"]));
    for (call, error) in &inside {
        let wanted = match call.as_str() {
            "socket-unix" | "getpid" => 0,
            "clone3" => ENOSYS,
            _ => EPERM,
        };
        assert_eq!(*error, wanted, "`{call}` inside the sandbox");
    }
    // It is the filter that says no: without it the kernel lets the same program in the same sandbox do these.
    for call in ["socket-inet", "keyctl", "personality", "symlink"] {
        assert_eq!(outside[call], 0, "`{call}` without the filter");
    }
}

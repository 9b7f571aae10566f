//! The screen as it ships, in a real terminal (tmux), against the supervisor as it ships: from the first start to a console.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use freehold_harness::{Program, wait_for};
use freehold_protocol::V1;
use freehold_protocol::enrol::Pairing;
use freehold_protocol::fingerprint::typed_blocks;
use freehold_trust::sha256;

const LIMIT: Duration = Duration::from_secs(60);

/// A terminal of 80 columns and 25 rows with the screen in it.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// `term` is what the screen believes to be connected to; everything that it sends is also written to `sent`.
    fn open(folder: &Path, term: &str, supervisor: &Path, sent: &Path) -> Self {
        let terminal = Self {
            socket: folder.join("tmux"),
        };
        let program = env!("CARGO_BIN_EXE_freehold-screen");
        // It waits for Enter, so that nothing is sent before somebody writes it down.
        let command = format!(
            "read x; TERM={term} exec {program} --supervisor {}",
            supervisor.display()
        );
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "25", &command]);
        terminal.tmux(&["pipe-pane", "-o", &format!("cat > {}", sent.display())]);
        terminal.tmux(&["send-keys", "Enter"]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(words)
            .output()
            .expect("tmux runs");
        assert!(
            output.status.success(),
            "tmux {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn shows(&self, what: &str) -> String {
        wait_for(&format!("the screen to show `{what}`"), LIMIT, || {
            let text = self.text();
            Ok(text.contains(what).then_some(text))
        })
        .unwrap_or_else(|error| panic!("{error}; it shows:\n{}", self.text()))
    }

    fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn key(&self, name: &str) {
        self.tmux(&["send-keys", name]);
    }

    fn pid(&self) -> String {
        self.tmux(&["list-panes", "-F", "#{pane_pid} #{pane_dead}"])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .output();
    }
}

fn supervisor(folder: &Path) -> Option<Program> {
    let program = Path::new(env!("CARGO_BIN_EXE_freehold-screen")).with_file_name("freehold-supervisor");
    if !program.exists() {
        println!("skipped: freehold-supervisor is not built");
        return None;
    }
    let mut command = Command::new(program);
    let at = |name: &str| folder.join(name);
    command
        .arg("run")
        .args(["--interval", "0.2", "--screen", "--tcti", "swtpm:host=127.0.0.1,port=1"]);
    command
        .arg("--state")
        .arg(at("state"))
        .arg("--runtime")
        .arg(at("runtime"))
        .arg("--stick")
        .arg(at("stick"));
    command
        .arg("--bus")
        .arg(format!("unix:path={}", at("no-bus").display()));
    command.args(["--host", "bubblewrap"]);
    Some(Program::start("freehold-supervisor", command, &folder.join("supervisor.log")).unwrap())
}

/// A name that is taken here: one of the machine's plugs, or any where it has none.
fn interface() -> String {
    let plugs = fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    let mut names: Vec<String> = plugs
        .iter()
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names.first().cloned().unwrap_or_else(|| "eno1".to_owned())
}

fn pairing(name: &str) -> Pairing {
    Pairing {
        v: V1,
        fleet: "ward".to_owned(),
        site: "north".to_owned(),
        // Nothing listens there.
        console: "https://127.0.0.1:1".to_owned(),
        fleet_ca: sha256(name.as_bytes()).to_hex(),
        tuf_root: sha256(b"root").to_hex(),
        director: sha256(b"director").to_hex(),
    }
}

fn record_has(folder: &Path, what: &str) -> bool {
    fn walk(folder: &Path, what: &[u8]) -> bool {
        fs::read_dir(folder).unwrap().flatten().any(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path(), what)
            } else {
                fs::read(entry.path())
                    .unwrap()
                    .windows(what.len())
                    .any(|part| part == what)
            }
        })
    }
    walk(&folder.join("state/record"), what.as_bytes())
}

// promise S-103
#[test]
fn a_person_pairs_a_box_at_its_own_screen_and_no_key_leads_out_of_it() {
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    fs::create_dir(folder.join("stick")).unwrap();
    let terminal = Terminal::open(
        folder,
        "linux",
        &folder.join("runtime/screen.sock"),
        &folder.join("sent"),
    );
    terminal.shows("The supervisor does not answer: its socket is not there");
    let Some(running) = supervisor(folder) else { return };
    terminal.shows("This box knows no console yet.");

    // No key leads out: the program is the same one, and shows the same.
    let before = terminal.pid();
    for key in [
        "C-c", "C-z", "C-\\", "C-d", "C-s", "C-]", "F1", "F12", "M-x", "Escape", "PageUp", "C-Left",
    ] {
        terminal.key(key);
    }
    terminal.types("!:$(reboot)`");
    terminal.key("C-l");
    // Among these letters is one of the menu.
    terminal.shows("Nothing was refused.");
    terminal.key("Escape");
    terminal.shows("This box knows no console yet.");
    assert_eq!(terminal.pid(), before);
    assert!(before.trim().ends_with(" 0"), "it ended: {before}");

    terminal.types("i");
    terminal.shows("screen.no_stick");

    // The settings, with the console's fingerprint typed in blocks; then they are locked.
    terminal.types("n");
    terminal.shows("Settings of this box.");
    terminal.types("https://192.0.2.1:8443");
    terminal.key("Enter");
    terminal.types(&typed_blocks(&sha256(b"fleet ca")).join(" "));
    terminal.key("Enter");
    // Whatever plugs this machine has: none that the supervisor sees may be left to guess.
    terminal.types(&interface());
    terminal.key("Enter");
    terminal.types("dhcp");
    for _ in 0..4 {
        terminal.key("Enter");
    }
    terminal.shows("This is what will be applied.");
    terminal.types("apply");
    terminal.key("Enter");
    terminal.shows("The settings are taken, and locked.");
    let typed: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("state/settings.json")).unwrap()).unwrap();
    let typed = &typed["document"];
    assert_eq!(typed["values"]["console"]["fleet_ca"], sha256(b"fleet ca").to_hex());
    assert_eq!(typed["values"]["network"]["addressing"], "dhcp");
    terminal.types("n");
    terminal.shows("The settings are locked");

    // Another console's stick is refused; the right one is compared and confirmed.
    let stick = |pairing: &Pairing| {
        fs::write(folder.join("stick/pairing.json"), serde_json::to_vec(pairing).unwrap()).unwrap();
    };
    stick(&pairing("another ca"));
    terminal.types("i");
    terminal.shows("screen.other_console");
    stick(&pairing("fleet ca"));
    terminal.types("i");
    terminal.shows("The stick names the console of fleet ward.");
    terminal.types("f");
    terminal.shows("A console was named.");
    assert!(!folder.join("state/pairing.json").exists(), "named is not confirmed");
    terminal.types("c");
    terminal.shows("Make this console the console of this box?");
    let hex = sha256(b"fleet ca").to_hex();
    terminal.types(&hex[60..]);
    terminal.key("Enter");
    terminal.shows("waits for approval");
    terminal.shows("tpm.");
    assert!(folder.join("state/pairing.json").exists());
    assert!(record_has(folder, "screen.console_confirmed") && record_has(folder, "screen.settings_typed"));

    // Shutting down goes to systemd; there is none here, and that is said.
    terminal.types("q");
    terminal.types("off");
    terminal.key("Enter");
    terminal.shows("screen.power");
    assert!(record_has(folder, "screen.shut_down"));
    terminal.key("Escape");
    terminal.shows("waits for approval");

    // A recovery key waits: it is shown until its last block was typed from the paper, then gone.
    let key = folder.join("runtime/recovery-key");
    fs::write(&key, "cbdefg-hijkln-rtuvcb-defghi-jklnrt-uvcbde-fghijk-lnrtuv\n").unwrap();
    terminal.shows("K recovery key");
    terminal.types("k");
    terminal.shows("8: lnrtuv");
    terminal.types("lnrtux");
    terminal.key("Enter");
    terminal.shows("screen.recovery_block");
    assert!(key.exists());
    terminal.types("lnrtuv");
    terminal.key("Enter");
    terminal.shows("on paper now");
    assert!(!key.exists());
    terminal.types("k");

    // The supervisor dies: that is said, and when it is back everything is as before.
    drop(running);
    terminal.shows("THE SUPERVISOR DOES NOT ANSWER");
    let _running = supervisor(folder);
    wait_for("the supervisor to be back", LIMIT, || {
        let text = terminal.text();
        Ok((!text.contains("DOES NOT ANSWER") && text.contains("waits for approval")).then_some(()))
    })
    .unwrap();
    assert_eq!(terminal.pid(), before);
    // Who serves clients cannot reach this socket.
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(folder.join("runtime/screen.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_line_that_knows_nothing_gets_plain_lines() {
    let world = tempfile::tempdir().unwrap();
    let folder = world.path();
    let sent = folder.join("sent");
    let terminal = Terminal::open(folder, "dumb", &folder.join("runtime/screen.sock"), &sent);
    terminal.shows("does not answer");
    let Some(_running) = supervisor(folder) else { return };
    terminal.shows("This box knows no console yet.");
    terminal.types("q");
    terminal.shows("Shut this machine down?");
    terminal.types("on");
    terminal.shows("or Esc: on");
    terminal.key("Enter");
    terminal.shows("This box knows no console yet.");
    let sent = fs::read(&sent).unwrap();
    assert!(!sent.contains(&0x1b), "an escape character went out");
    assert!(sent.iter().all(|byte| byte.is_ascii()), "more than seven bits went out");
}

//! One box: a TPM, a disk, firmware variables, an image with its signed policy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold_harness::{Swtpm, wait_for};
use freehold_seal::SealingTpm;
use freehold_sign::pcr_policy;
use freehold_trust::{KeyKind, Sha256Digest, SigningKey, sha256};
use freehold_verify::sealing::Level;
use freehold_verify::sealing::volume::{HEAD, TAIL};

/// How long anything here may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);
/// The disk: the head that is looked at, twice.
const DISK: u64 = 2 * HEAD as u64;

pub struct World {
    pub folder: tempfile::TempDir,
    pub swtpm: Swtpm,
    pub key: SigningKey,
    pub arguments: Vec<String>,
    pub cryptsetup: PathBuf,
    pub tcti: Option<String>,
}

/// What a run said.
pub struct Said {
    pub code: Option<i32>,
    pub console: String,
    pub log: String,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let swtpm = Swtpm::start(folder.path()).unwrap();
        let world = Self {
            swtpm,
            key: SigningKey::generate(KeyKind::P256).unwrap(),
            arguments: Vec::new(),
            cryptsetup: PathBuf::from("cryptsetup"),
            tcti: None,
            folder,
        };
        world.empty_disk();
        world.secure_boot(true);
        world
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn disk(&self) -> PathBuf {
        self.at("disk")
    }

    pub fn empty_disk(&self) {
        let _ = fs::remove_file(self.disk());
        fs::File::create(self.disk()).unwrap().set_len(DISK).unwrap();
    }

    pub fn secure_boot(&self, on: bool) {
        let namespace = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
        let folder = self.at("efivars");
        fs::create_dir_all(&folder).unwrap();
        for (name, value) in [("SecureBoot", u8::from(on)), ("SetupMode", 0)] {
            fs::write(folder.join(format!("{name}-{namespace}")), [6, 0, 0, 0, value]).unwrap();
        }
    }

    /// Two persons to whom the recovery key goes in escrow, so that nobody has to be at the console.
    pub fn with_escrow(&mut self) -> Vec<freehold_trust::hpke::OpeningKey> {
        ["ada", "grace"]
            .into_iter()
            .map(|name| {
                let key = freehold_trust::hpke::OpeningKey::generate().unwrap();
                let path = self.at(&format!("{name}.pem"));
                fs::write(&path, key.public().to_spki_pem()).unwrap();
                self.arguments.push(format!("--escrow-to={}", path.display()));
                key
            })
            .collect()
    }

    /// A power cycle up to the initrd: firmware and stub have measured, the runtime folder is empty.
    pub fn boot(&mut self, firmware: &str, image: &str, extra: &[(u8, &str)], level: u8) {
        self.swtpm.restart().unwrap();
        let _ = fs::remove_dir_all(self.at("run"));
        let mut tpm = SealingTpm::open(&self.swtpm.tcti()).unwrap();
        let word = |text: &str| sha256(text.as_bytes());
        tpm.extend(7, word(firmware)).unwrap();
        tpm.extend(11, word(image)).unwrap();
        // What the publisher signed is the image as it was built, whatever was slipped in beside it.
        let pcr11 = tpm.pcrs(&[11]).unwrap()[&11];
        for (pcr, text) in extra {
            tpm.extend(*pcr, word(text)).unwrap();
        }
        let policies = pcr_policy::sign(&self.key, Level::new(level).unwrap(), &[pcr11]).unwrap();
        fs::write(self.at("signature.json"), policies.to_json()).unwrap();
        fs::write(self.at("key.pem"), self.key.public().to_spki_pem()).unwrap();
    }

    pub fn plain_boot(&mut self) {
        self.boot("firmware", "image", &[], 1);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freehold-unseal"));
        command.args(["open", "--console=-", "--no-mapping", "--patience=30", "--limit=120"]);
        for (name, path) in [
            ("device", self.disk()),
            ("signature", self.at("signature.json")),
            ("public-key", self.at("key.pem")),
            ("efivars", self.at("efivars")),
            ("runtime", self.at("run")),
            ("log", self.at("run/measure.log")),
            ("cryptsetup", self.cryptsetup.clone()),
        ] {
            command.arg(format!("--{name}={}", path.display()));
        }
        command
            .arg(format!(
                "--tcti={}",
                self.tcti.clone().unwrap_or_else(|| self.swtpm.tcti())
            ))
            .args(&self.arguments);
        command
    }

    /// Runs with nobody at the console.
    pub fn run_alone(&self) -> Said {
        let output = self.command().stdin(Stdio::null()).output().unwrap();
        Said {
            code: output.status.code(),
            console: String::from_utf8_lossy(&output.stdout).into_owned(),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs with a person at the console.
    pub fn sit_down(&self) -> Person {
        self.sit_down_with(|_| {})
    }

    pub fn sit_down_with(&self, change: impl FnOnce(&mut Command)) -> Person {
        let mut command = self.command();
        change(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let (mut out, ear) = (child.stdout.take().unwrap(), heard.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = out.read(&mut buffer) {
                ear.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Person { child, heard, seen: 0 }
    }

    /// A box whose volume is made, and the recovery key that was shown.
    pub fn made() -> (Self, String) {
        let mut world = Self::new();
        world.plain_boot();
        let mut person = world.sit_down();
        let key = person.write_down_and_confirm();
        let said = person.leave();
        assert_eq!(said.code, Some(0), "{}{}", said.console, said.log);
        (world, key)
    }

    pub fn json(&self, name: &str) -> String {
        fs::read_to_string(self.at("run").join(name)).unwrap()
    }

    /// What was measured, as the running system is told.
    pub fn measured(&self) -> Sha256Digest {
        let text = self.json("volume.json");
        let start = text.find("\"measured\": \"").unwrap() + 13;
        text[start..start + 64].parse().unwrap()
    }

    pub fn opens_with(&self, key: &str) -> bool {
        opens(&self.disk(), key.as_bytes())
    }

    pub fn tool(&self, line: &str) {
        let mut words = line.split_whitespace();
        let output = Command::new(words.next().unwrap())
            .args(words)
            .env("TPM2TOOLS_TCTI", self.swtpm.tcti())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn disk_digest(&self) -> Sha256Digest {
        sha256(&fs::read(self.disk()).unwrap())
    }

    pub fn write_disk(&self, at: u64, bytes: &[u8]) {
        use std::io::{Seek as _, SeekFrom};
        let mut file = fs::OpenOptions::new().write(true).open(self.disk()).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
    }

    pub fn tail() -> u64 {
        DISK - TAIL as u64
    }
}

/// Whether cryptsetup alone opens the volume with that passphrase.
pub fn opens(disk: &Path, key: &[u8]) -> bool {
    let mut child = Command::new("cryptsetup")
        .args(["open", "--test-passphrase", "--key-file=-"])
        .arg(disk)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(key).unwrap();
    child.wait().unwrap().success()
}

/// Somebody who reads the console and types.
pub struct Person {
    child: Child,
    heard: Arc<Mutex<String>>,
    seen: usize,
}

impl Person {
    /// Reads on until `text` is there; everything since the last time.
    pub fn read_until(&mut self, text: &str) -> String {
        let (heard, seen) = (self.heard.clone(), self.seen);
        let end = wait_for(&format!("`{text}` on the console"), LIMIT, || {
            let all = heard.lock().unwrap();
            Ok(all[seen..].find(text).map(|at| seen + at + text.len()))
        });
        let end = end.unwrap_or_else(|error| panic!("{error}; it says: {}", self.heard.lock().unwrap()));
        self.seen = end;
        self.heard.lock().unwrap()[seen..end].to_owned()
    }

    pub fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads the recovery key off the screen and types the block that is asked for.
    pub fn write_down_and_confirm(&mut self) -> String {
        let shown = self.read_until("to go on:");
        let key = shown
            .lines()
            .map(str::trim)
            .find(|line| line.len() == 55 && line.matches('-').count() == 7)
            .unwrap()
            .to_owned();
        let asked = shown.rsplit("Type block ").next().unwrap();
        let number: usize = asked.split(' ').next().unwrap().parse().unwrap();
        let block = key.split('-').nth(number - 1).unwrap().to_owned();
        self.type_line(&block);
        key
    }

    /// Closes the keyboard and waits for the end.
    pub fn leave(mut self) -> Said {
        drop(self.child.stdin.take());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let code = self.child.wait().unwrap().code();
        let heard = self.heard.clone();
        // The last words are read by another thread.
        let _ = wait_for("the console's last words", LIMIT, || {
            Ok((Arc::strong_count(&heard) <= 2).then_some(()))
        });
        let console = self.heard.lock().unwrap().clone();
        Said { code, console, log }
    }
}

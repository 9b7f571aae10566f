//! LUKS2 through `cryptsetup`: one function for each thing that is asked of it.
//!
//! Refuses to put a key on a command line or into the environment: keys go through standard input and through memory that
//! has no name. Invariant: the program is waited for, and its words are kept for the message when it fails.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use freehold_verify::sealing::SealRejection;
use freehold_verify::sealing::volume::{LABEL, LABEL_MAKING, RECOVERY_TOKEN, SEAL_TOKEN, SUBSYSTEM};
use freehold_verify::sealing::{RecoverySlot, SealedKey};
use rustix::fs::{MemfdFlags, memfd_create};
use zeroize::Zeroizing;

use crate::stop::Stop;

/// Token of the seal, and of the recovery key.
const SEAL_ID: &str = "0";
const RECOVERY_ID: &str = "1";
/// Rounds of the key derivation. The keys are random (256 and 128 bits), so stretching adds nothing; this is the least that
/// the format takes, and opening stays fast.
const ROUNDS: &str = "1000";
/// Key slots that the format has room for.
const SLOTS: u8 = 8;
/// `cryptsetup`'s exit code for a key that opens nothing.
const NO_KEY: i32 = 2;

/// One volume, and the program.
pub struct Luks {
    program: PathBuf,
    device: PathBuf,
}

/// What the header says beside the keys.
pub struct Header {
    /// Key slots in use.
    pub slots: Vec<u8>,
    /// The seal, when it can be read.
    pub sealed: Result<SealedKey, SealRejection>,
    /// The recovery note, when it can be read.
    pub recovery: Result<RecoverySlot, SealRejection>,
}

impl Header {
    /// A free key slot.
    pub fn free(&self) -> u8 {
        (0..SLOTS).find(|slot| !self.slots.contains(slot)).unwrap_or(SLOTS)
    }
}

impl Luks {
    /// The volume on `device`.
    pub fn new(program: &Path, device: &Path) -> Self {
        Self {
            program: program.to_owned(),
            device: device.to_owned(),
        }
    }

    /// Runs `verb` on the device, then `after`.
    fn run(&self, verb: &[&str], input: &[u8], after: &[&str]) -> Result<Output, Stop> {
        let failed = |error: io::Error| self.fault(verb, error.to_string());
        let mut child = Command::new(&self.program)
            .args(verb)
            .args(["--batch-mode", "--"])
            .arg(&self.device)
            .args(after)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading says why by its exit code.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output().map_err(failed)
    }

    fn fault(&self, verb: &[&str], detail: String) -> Stop {
        Stop::Tool {
            program: self.program.display().to_string(),
            verb: verb.first().copied().unwrap_or_default().to_owned(),
            detail,
        }
    }

    fn failed(&self, verb: &[&str], output: &Output) -> Stop {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: String = said
            .trim()
            .lines()
            .last()
            .unwrap_or_default()
            .chars()
            .take(300)
            .collect();
        self.fault(verb, format!("{}: {last}", output.status))
    }

    /// Runs and wants success.
    fn must(&self, verb: &[&str], input: &[u8], after: &[&str]) -> Result<Zeroizing<Vec<u8>>, Stop> {
        let output = self.run(verb, input, after)?;
        if output.status.success() {
            Ok(Zeroizing::new(output.stdout))
        } else {
            Err(self.failed(verb, &output))
        }
    }

    /// Runs and wants to know whether the key was right.
    fn answer(&self, verb: &[&str], key: &[u8], after: &[&str]) -> Result<bool, Stop> {
        let output = self.run(verb, key, after)?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(NO_KEY) => Ok(false),
            _ => Err(self.failed(verb, &output)),
        }
    }

    /// Makes a volume whose slot 0 opens with `key`, labelled as being made.
    pub fn format(&self, key: &[u8]) -> Result<(), Stop> {
        let verb = [
            "luksFormat",
            "--type=luks2",
            "--cipher=aes-xts-plain64",
            "--key-size=512",
            "--sector-size=4096",
            "--pbkdf=pbkdf2",
            "--pbkdf-force-iterations",
            ROUNDS,
            "--luks2-metadata-size=64k",
            "--luks2-keyslots-size=8m",
            "--key-slot=0",
            "--key-file=-",
            "--label",
            LABEL_MAKING,
            "--subsystem",
            SUBSYSTEM,
        ];
        self.must(&verb, key, &[]).map(|_| ())
    }

    /// Says that the volume is made. The last step.
    pub fn finish(&self) -> Result<(), Stop> {
        let verb = ["config", "--label", LABEL, "--subsystem", SUBSYSTEM];
        self.must(&verb, &[], &[]).map(|_| ())
    }

    /// Adds `new` at `slot`; `key` is one that opens the volume already.
    pub fn add(&self, key: &[u8], new: &[u8], slot: u8) -> Result<(), Stop> {
        let memory = nameless(new).map_err(Stop::file(Path::new("memfd")))?;
        let slot = format!("--key-slot={slot}");
        let verb = [
            "luksAddKey",
            &slot,
            "--pbkdf=pbkdf2",
            "--pbkdf-force-iterations",
            ROUNDS,
            "--key-file=-",
        ];
        // Inherited: the memory has no name, only this number.
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        self.must(&verb, key, &[&path]).map(|_| ())
    }

    /// Takes a key slot away.
    pub fn kill(&self, slot: u8) -> Result<(), Stop> {
        self.must(&["luksKillSlot"], &[], &[&slot.to_string()]).map(|_| ())
    }

    /// Whether `key` opens the volume, by `slot` or by any.
    pub fn opens(&self, key: &[u8], slot: Option<u8>) -> Result<bool, Stop> {
        let slot = slot.map(|slot| format!("--key-slot={slot}"));
        let mut verb = vec!["open", "--type=luks2", "--test-passphrase", "--key-file=-"];
        verb.extend(slot.as_deref());
        self.answer(&verb, key, &[])
    }

    /// Maps the volume as `name`; false when the key does not open it.
    pub fn map(&self, key: &[u8], name: &str) -> Result<bool, Stop> {
        self.answer(&["open", "--type=luks2", "--key-file=-"], key, &[name])
    }

    /// Takes a mapping away.
    pub fn unmap(&self, name: &str) -> Result<(), Stop> {
        let verb = ["close", name];
        let output = Command::new(&self.program)
            .args(verb)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.fault(&verb, error.to_string()))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(self.failed(&verb, &output))
        }
    }

    /// The volume key itself, which never changes while the volume lives.
    pub fn volume_key(&self, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Stop> {
        let text = self.must(&["luksDump", "--dump-volume-key", "--key-file=-"], key, &[])?;
        let text = Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
        let dump = text.split_once("dump:").map_or("", |(_, dump)| dump);
        let digits: Zeroizing<String> =
            Zeroizing::new(dump.split_whitespace().take_while(|word| word.len() == 2).collect());
        let bytes = Zeroizing::new(hex::decode(digits.as_bytes()).unwrap_or_default());
        if bytes.len() < 32 {
            return Err(Stop::Tool {
                program: self.program.display().to_string(),
                verb: "luksDump".to_owned(),
                detail: "its dump of the volume key cannot be read".to_owned(),
            });
        }
        Ok(bytes)
    }

    /// UUID of the volume.
    pub fn uuid(&self) -> Result<String, Stop> {
        let text = self.must(&["luksUUID"], &[], &[])?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Key slots and our two notes.
    pub fn header(&self) -> Result<Header, Stop> {
        let json = self.must(&["luksDump", "--dump-json-metadata"], &[], &[])?;
        let unreadable = |detail: String| Stop::from(SealRejection::Seal(detail));
        let json: serde_json::Value = serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
        let names = |field: &str| -> Vec<String> {
            json.get(field)
                .and_then(serde_json::Value::as_object)
                .map(|object| object.keys().cloned().collect())
                .unwrap_or_default()
        };
        let token = |kind: &str| -> Result<Vec<u8>, SealRejection> {
            let tokens = json.get("tokens").and_then(serde_json::Value::as_object);
            let mut of_kind = tokens
                .into_iter()
                .flat_map(serde_json::Map::values)
                .filter(|token| token.get("type").and_then(serde_json::Value::as_str) == Some(kind));
            match (of_kind.next(), of_kind.next()) {
                (Some(token), None) => Ok(token.to_string().into_bytes()),
                (None, _) => Err(SealRejection::Seal(format!("there is no token `{kind}`"))),
                _ => Err(SealRejection::Seal(format!("there are several tokens `{kind}`"))),
            }
        };
        Ok(Header {
            slots: names("keyslots").iter().filter_map(|slot| slot.parse().ok()).collect(),
            sealed: token(SEAL_TOKEN).and_then(|bytes| SealedKey::parse(&bytes)),
            recovery: token(RECOVERY_TOKEN).and_then(|bytes| RecoverySlot::parse(&bytes)),
        })
    }

    /// Writes the note about the seal, in the place of an older one.
    pub fn put_sealed(&self, sealed: &SealedKey) -> Result<(), Stop> {
        self.put(SEAL_ID, &sealed.to_json())
    }

    /// Writes the note about the recovery key, in the place of an older one.
    pub fn put_recovery(&self, recovery: &RecoverySlot) -> Result<(), Stop> {
        self.put(RECOVERY_ID, &recovery.to_json())
    }

    fn put(&self, id: &str, json: &[u8]) -> Result<(), Stop> {
        // One write of the header: the old note is replaced as a whole.
        let verb = ["token", "import", "--token-id", id, "--token-replace", "--json-file=-"];
        self.must(&verb, json, &[]).map(|_| ())
    }
}

/// Memory without a name that a child can read as a file.
fn nameless(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("key", MemfdFlags::empty())?);
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    // Read back, so that a short write is found here and not by a wrong key.
    let mut again = Zeroizing::new(Vec::new());
    file.read_to_end(&mut again)?;
    if again.as_slice() != bytes {
        return Err(io::ErrorKind::WriteZero.into());
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

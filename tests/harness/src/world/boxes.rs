//! One process box: its folder, its TPM, its supervisor and its gateway.
//!
//! Refuses to start what needs the engine without saying so: [`engine`] answers whether it is there. Invariant: killing the
//! value kills both programs and the TPM.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use freehold_verify::boot::{BootDescription, generate};
use serde_json::Value;

use super::PATIENCE;
use crate::program::{Program, built};
use crate::publisher::{SYSTEM, repository_root};
use crate::swtpm::{Swtpm, TpmAuthority};
use crate::wait::wait_for;

/// The engine that `make engine` unpacks, when it is there.
#[must_use]
pub fn engine() -> Option<PathBuf> {
    let root = repository_root().join("target/engine/llama-cpu");
    root.join("usr/bin/llama-server").exists().then_some(root)
}

/// How a box is started.
#[derive(Debug, Clone)]
pub struct BoxWish {
    /// The name that people give it.
    pub label: String,
    /// Seconds between two looks.
    pub interval: f64,
    /// The state folder, when it is not the box's own: a small disk.
    pub state: Option<PathBuf>,
    /// The engine's root; `None` for a box without.
    pub engine: Option<PathBuf>,
    /// The TPM, when it is not the box's own.
    pub tcti: Option<String>,
    /// Before the supervisor's command line: a program that starts it, for example `faketime`.
    pub under: Vec<String>,
    /// More of the supervisor's command line.
    pub more: Vec<String>,
    /// Whether it is given its pairing document.
    pub pairing: Pairing,
}

/// How a box gets to know its console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// By the file that the console wrote.
    ByFile,
    /// By somebody at its screen.
    AtTheScreen,
}

impl BoxWish {
    /// A box with that label, the engine if there is one, and quick looks.
    #[must_use]
    pub fn named(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            interval: 0.1,
            state: None,
            engine: engine(),
            tcti: None,
            under: Vec::new(),
            more: Vec::new(),
            pairing: Pairing::ByFile,
        }
    }
}

/// One box.
#[derive(Debug)]
pub struct ProcessBox {
    folder: PathBuf,
    /// How it is started next.
    pub wish: BoxWish,
    /// Its TPM.
    pub tpm: Swtpm,
    /// The supervisor, while it runs.
    pub supervisor: Option<Program>,
    /// The gateway, while it runs.
    pub gateway: Option<Program>,
}

impl ProcessBox {
    /// A box in `folder` that is off; its TPM is on.
    ///
    /// # Errors
    /// When the TPM cannot be made.
    pub fn new(folder: &Path, authority: &TpmAuthority, wish: BoxWish) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (log, manifest) = generate(&BootDescription::demonstration(SYSTEM.0, SYSTEM.1));
        fs::write(folder.join("boot.log"), log)?;
        fs::write(folder.join("boot.manifest.json"), manifest.to_json())?;
        Ok(Self {
            folder: folder.to_owned(),
            wish,
            tpm: Swtpm::start_with(folder, authority)?,
            supervisor: None,
            gateway: None,
        })
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.wish.state.clone().unwrap_or_else(|| self.folder.join("state"))
    }

    /// The folder of everything of this box.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its pairing document lies.
    #[must_use]
    pub fn pairing(&self) -> PathBuf {
        self.folder.join("pairing.json")
    }

    /// Makes the box reach its console by another address, as through a wire.
    ///
    /// # Errors
    /// When the pairing document cannot be rewritten.
    pub fn reach_console_at(&self, address: SocketAddr) -> Result<()> {
        let mut pairing: Value = serde_json::from_slice(&fs::read(self.pairing())?)?;
        pairing["console"] = format!("https://{address}").into();
        fs::write(self.pairing(), serde_json::to_vec(&pairing)?)?;
        Ok(())
    }

    fn command(&self, verb: &str) -> Result<Command> {
        let program = built("freehold-supervisor")?;
        let mut words = self.wish.under.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).arg(verb);
        command.arg("--state").arg(self.state());
        command.arg("--runtime").arg(self.folder.join("run"));
        command
            .arg("--tcti")
            .arg(self.wish.tcti.clone().unwrap_or_else(|| self.tpm.tcti()));
        if self.wish.pairing == Pairing::ByFile {
            command.arg("--pairing").arg(self.pairing());
        }
        command.args(&self.wish.more);
        command.arg("--ek-chain").arg(self.tpm.authority().intermediate_path());
        command.arg("--boot-log").arg(self.folder.join("boot.log"));
        command
            .arg("--gateway-address")
            .arg(self.folder.join("gateway/address.json"));
        command.args([
            "--label",
            &self.wish.label,
            "--interval",
            &self.wish.interval.to_string(),
        ]);
        command.args(["--threads", "1", "--memory", "512", "--context", "256", "--slots", "1"]);
        if let Some(engine) = &self.wish.engine {
            command.arg("--engine-root").arg(engine);
        }
        Ok(command)
    }

    /// Starts the supervisor.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let log = self.folder.join("supervisor.log");
        self.supervisor = Some(Program::start("freehold-supervisor", self.command("run")?, &log)?);
        Ok(())
    }

    /// Starts the gateway and answers where it listens.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start_gateway(&mut self) -> Result<SocketAddr> {
        let state = self.folder.join("gateway");
        fs::create_dir_all(&state)?;
        let address = state.join("address.json");
        let _ = fs::remove_file(&address);
        let mut command = Command::new(built("freehold-gateway")?);
        command.arg("run").arg("--state").arg(&state);
        command.arg("--supervisor").arg(self.folder.join("run/supervisor.sock"));
        command.args(["--listen", "127.0.0.1:0"]);
        let mut gateway = Program::start("freehold-gateway", command, &self.folder.join("gateway.log"))?;
        let said = wait_for("the gateway to listen", PATIENCE, || {
            ensure!(gateway.ended()?.is_none(), "the gateway ended:\n{}", gateway.tail(15));
            let bytes = fs::read(&address).ok();
            Ok(bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()))
        })?;
        self.gateway = Some(gateway);
        let url = said["url"].as_str().context("no address")?;
        Ok(url.trim_start_matches("https://").trim_end_matches('/').parse()?)
    }

    /// SHA-256 of the gateway's key (SPKI), as it wrote it beside its address.
    ///
    /// # Errors
    /// Before it listens.
    pub fn gateway_key(&self) -> Result<freehold_trust::Sha256Digest> {
        let said: Value = serde_json::from_slice(&fs::read(self.folder.join("gateway/address.json"))?)?;
        Ok(said["spki"].as_str().context("no key")?.parse()?)
    }

    /// SIGKILL for the supervisor.
    pub fn kill(&mut self) {
        self.supervisor = None;
    }

    /// SIGTERM for the supervisor, and its end.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut supervisor) = self.supervisor.take() {
            let ended = supervisor.stop(Duration::from_secs(20))?;
            ensure!(ended.success(), "the supervisor ended with {ended}");
        }
        Ok(())
    }

    /// The end of the supervisor's log.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(self.folder.join("supervisor.log")).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// What the supervisor says about itself.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.state().join("status.json")).ok()?).ok()
    }

    /// Forgets what the supervisor said, so that what is read next was said since.
    pub fn forget_status(&self) {
        let _ = fs::remove_file(self.state().join("status.json"));
    }

    /// The box's identifier.
    ///
    /// # Errors
    /// Before it has one.
    pub fn id(&self) -> Result<String> {
        let status = self.status().context("no status yet")?;
        Ok(status["box"].as_str().context("no identifier yet")?.to_owned())
    }

    /// Waits until the supervisor's own status satisfies `look`: what the box's screen would show.
    ///
    /// # Errors
    /// When the limit is over or the supervisor ends; status and log are in the message.
    pub fn wait(&mut self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let path = self.state().join("status.json");
        let supervisor = &mut self.supervisor;
        let found = wait_for(what, PATIENCE, || {
            if let Some(status) = supervisor.as_mut().and_then(|program| program.ended().ok().flatten()) {
                bail!("the supervisor ended with {status}");
            }
            // Nothing said is no answer to anything.
            let said = fs::read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            last = said.unwrap_or_default();
            Ok((!last.is_null() && look(&last)).then(|| last.clone()))
        });
        found.with_context(|| format!("status {last:#}\nlog\n{}", self.tail(40)))
    }

    /// Waits until the box says that it refused something with that code.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_refusal(&mut self, code: &str) -> Result<Value> {
        self.wait(&format!("the refusal `{code}`"), |status| {
            let all = status["refusals"].as_array();
            all.is_some_and(|all| all.iter().any(|one| one["code"] == code))
        })
    }

    /// Entries of the box's record: what each says, and the code where it is about a refusal.
    ///
    /// # Errors
    /// When the record does not verify.
    pub fn entries(&self) -> Result<Vec<(String, Option<String>)>> {
        entries(&self.state().join("record"))
    }
}

/// Entries of a record's folder, verified.
fn entries(folder: &Path) -> Result<Vec<(String, Option<String>)>> {
    let reader = freehold_record_files::RecordReader::open(folder);
    let (_, checkpoint) = reader.checkpoint()?;
    let entries = reader.entries(0, checkpoint.size, checkpoint.size)?;
    let mut all = Vec::new();
    for bytes in &entries {
        let entry = freehold_record::EntryView::parse(bytes)?;
        all.push((entry.what, entry.refusal.map(|refusal| refusal.code)));
    }
    Ok(all)
}

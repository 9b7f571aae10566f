//! The demonstration's world: a publisher, a console, three boxes, an auditor, each in a namespace of its own.
//!
//! Invariant: everything lies in one folder and ends with this value.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use freehold_harness::{Program, Swtpm, TpmAuthority, wait_for};
use freehold_verify::boot::{BootDescription, generate};
use serde_json::Value;

use crate::acts::SYSTEM;

use crate::command::{Said, run};
use crate::network::{Network, address};
use crate::process::{CONSOLE, GATEWAY, ROOT, User, command};

/// How long a box may take to do one thing; generous, because a loaded machine is no fault of the product.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that runs.
pub struct World {
    /// The demonstration's folder, absolute.
    pub folder: PathBuf,
    /// Where the programs are.
    pub programs: PathBuf,
    /// The networks.
    pub network: Network,
    /// The authority of the software TPMs.
    pub authority: TpmAuthority,
    /// Namespace of the publisher: no interface at all.
    pub publisher: String,
    /// Namespace of the console.
    pub console: String,
    /// Namespace of an operator's machine.
    pub operator: String,
    /// Namespace of the auditor: no interface at all.
    pub auditor: String,
    /// The console's program, while it runs.
    pub console_program: Option<Program>,
    /// The boxes.
    pub boxes: Vec<DemoBox>,
    /// The box that no network reaches, once it is there.
    pub island: Option<DemoBox>,
}

/// The box whose engine has little room: 256 tokens of context, one conversation at a time.
pub const SMALL: usize = 2;

/// One process box.
pub struct DemoBox {
    /// `box1` and so on.
    pub label: String,
    /// Its namespace.
    pub namespace: String,
    /// Host number at the site.
    pub host: u8,
    /// Its folder.
    pub folder: PathBuf,
    /// Its TPM.
    pub tpm: Swtpm,
    /// The supervisor, while it runs.
    pub supervisor: Option<Program>,
    /// The gateway, while it runs.
    pub gateway: Option<Program>,
}

impl DemoBox {
    /// The supervisor's state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What the supervisor says about itself.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.state().join("status.json")).ok()?).ok()
    }

    /// The box's identifier, once it has one.
    pub fn id(&self) -> Option<String> {
        Some(self.status()?["box"].as_str()?.to_owned())
    }
}

impl World {
    /// Clears the folder and makes the networks; nothing runs yet.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("clearing `{}`", folder.display()))?;
        }
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let programs = std::env::current_exe()?
            .parent()
            .context("the tour has a folder")?
            .to_owned();
        let mut network = Network::new()?;
        let publisher = network.island("publisher")?;
        let auditor = network.island("auditor")?;
        let console = network.machine("console", 2)?;
        let operator = network.machine("operator", 3)?;
        for name in ["publisher", "console", "operator", "auditor", "wishes", "logs"] {
            fs::create_dir(folder.join(name))?;
        }
        fs::set_permissions(folder.join("publisher"), fs::Permissions::from_mode(0o700))?;
        chown(folder.join("console"), Some(CONSOLE.uid), Some(CONSOLE.gid))?;
        let authority = TpmAuthority::new(&folder.join("tpm-authority"))?;
        Ok(Self {
            folder,
            programs,
            network,
            authority,
            publisher,
            console,
            operator,
            auditor,
            console_program: None,
            boxes: Vec::new(),
            island: None,
        })
    }

    /// A program of ours.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A path of the demonstration as text.
    pub fn path(&self, relative: &str) -> String {
        self.folder.join(relative).display().to_string()
    }

    /// Runs `freehold` on the publisher's machine.
    pub fn publish(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        run(&self.publisher, ROOT, &self.program("freehold"), arguments)
    }

    /// Runs `freehold` on the operator's machine, signed in to the console.
    pub fn operate(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let profile = self.path("operator/profile.json");
        let mut all = vec!["--profile", profile.as_str()];
        all.extend_from_slice(arguments);
        run(&self.operator, ROOT, &self.program("freehold"), &all)
    }

    /// Runs `freehold` on the operator's machine as another person, whose profile lies there.
    pub fn as_person(&self, profile: &str, arguments: &[&str]) -> anyhow::Result<Said> {
        let mut all = vec!["--profile", profile];
        all.extend_from_slice(arguments);
        run(&self.operator, ROOT, &self.program("freehold"), &all)
    }

    /// Runs `freehold` as an operator with its output straight on the screen.
    pub fn operate_on_screen(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let profile = self.path("operator/profile.json");
        let mut program = command(&self.operator, ROOT, &self.program("freehold"));
        let status = program.args(["--profile", profile.as_str()]).args(arguments).status()?;
        ensure!(status.success(), "freehold {} said {status}", arguments.join(" "));
        Ok(())
    }

    /// Runs `freehold-inspect` on the auditor's machine, which has no interface at all.
    pub fn inspect(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        run(&self.auditor, ROOT, &self.program("freehold-inspect"), arguments)
    }

    /// Runs `freehold-console` once, as the console's user.
    pub fn console_once(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        run(&self.console, CONSOLE, &self.program("freehold-console"), arguments)
    }

    /// Where people reach the console.
    pub fn people_url(&self) -> String {
        format!("https://{}:8443", address(2))
    }

    /// SHA-256 of the fleet CA certificate, as the console's own machine shows it.
    pub fn fleet_ca(&self) -> anyhow::Result<String> {
        let pairing: Value = serde_json::from_slice(&fs::read(self.folder.join("console/state/pairing.json"))?)?;
        Ok(pairing["fleet_ca"]
            .as_str()
            .context("the pairing names no fleet CA")?
            .to_owned())
    }

    /// Events in a boot log.
    pub fn boot_events(&self, log: &[u8]) -> usize {
        freehold_verify::event_log::EventLog::parse(log)
            .map(|log| log.events().len())
            .unwrap_or_default()
    }

    /// Starts the console and waits until it listens.
    pub fn start_console(&mut self) -> anyhow::Result<()> {
        let state = self.path("console/state");
        let addresses = self.folder.join("console/state/addresses.json");
        let _ = fs::remove_file(&addresses);
        let mut program = command(&self.console, CONSOLE, &self.program("freehold-console"));
        program.args(["run", "--state", &state]);
        program.args([
            "--people",
            &format!("{}:8443", address(2)),
            "--boxes",
            &format!("{}:9443", address(2)),
        ]);
        let mut program = Program::start("freehold-console", program, &self.folder.join("logs/console.log"))?;
        wait_for("the console to listen", PATIENCE, || {
            alive(&mut program)?;
            Ok(addresses.exists().then_some(()))
        })?;
        self.console_program = Some(program);
        Ok(())
    }

    /// Stops the console.
    pub fn stop_console(&mut self) -> anyhow::Result<()> {
        if let Some(mut program) = self.console_program.take() {
            program.stop(std::time::Duration::from_secs(10))?;
        }
        Ok(())
    }

    /// Gives the console's files back to its user after root wrote among them.
    pub fn chown_console(&self) -> anyhow::Result<()> {
        let owner = format!("{}:{}", CONSOLE.uid, CONSOLE.gid);
        crate::command::here("chown", &["-R", &owner, &self.path("console")])?.yes()?;
        Ok(())
    }

    /// Makes a box: its namespace, its TPM with an EK certificate. Nothing of ours runs on it yet.
    pub fn make_box(&mut self, label: &str, host: u8) -> anyhow::Result<()> {
        let namespace = self.network.machine(label, host)?;
        let one = self.computer(label, namespace, host)?;
        self.boxes.push(one);
        Ok(())
    }

    /// Makes a box that no network reaches.
    pub fn make_island(&mut self) -> anyhow::Result<()> {
        let namespace = self.network.alone("island")?;
        self.island = Some(self.computer("island", namespace, 0)?);
        Ok(())
    }

    fn computer(&self, label: &str, namespace: String, host: u8) -> anyhow::Result<DemoBox> {
        let folder = self.folder.join(label);
        fs::create_dir_all(&folder)?;
        let prefix = [
            "ip",
            "netns",
            "exec",
            namespace.as_str(),
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
        ];
        let tpm = Swtpm::start_under(&folder, &self.authority, &prefix)?;
        Ok(DemoBox {
            label: label.to_owned(),
            namespace,
            host,
            folder,
            tpm,
            supervisor: None,
            gateway: None,
        })
    }

    /// Starts the supervisor and the gateway of a box.
    pub fn start_box(&mut self, index: usize) -> anyhow::Result<()> {
        self.start_supervisor(index)?;
        self.start_gateway(index)
    }

    /// Starts the supervisor of a box.
    pub fn start_supervisor(&mut self, index: usize) -> anyhow::Result<()> {
        let pairing = self.folder.join("console/state/pairing.json");
        let mut program = self.supervisor(&self.boxes[index], &pairing)?;
        if index == SMALL {
            program.args(["--context", "256", "--slots", "1"]);
        }
        let log = (self.folder.join("logs")).join(format!("{}-supervisor.log", self.boxes[index].label));
        self.boxes[index].supervisor = Some(Program::start("freehold-supervisor", program, &log)?);
        Ok(())
    }

    /// Starts the supervisor of the box that no network reaches; its console is known by sticks.
    pub fn start_island(&mut self) -> anyhow::Result<()> {
        let one = self.island.as_ref().context("there is no island yet")?;
        let program = self.supervisor(one, &one.folder.join("pairing.json"))?;
        let log = self.folder.join("logs/island-supervisor.log");
        if let Some(one) = &mut self.island {
            one.supervisor = Some(Program::start("freehold-supervisor", program, &log)?);
        }
        Ok(())
    }

    /// The command line of a box's supervisor.
    fn supervisor(&self, one: &DemoBox, pairing: &Path) -> anyhow::Result<Command> {
        let supervisor = self.program("freehold-supervisor");
        let engine = std::env::current_dir()?.join("target/engine/llama-cpu");
        ensure!(
            engine.exists(),
            "no engine in `{}`\nhint: make engine",
            engine.display()
        );
        let chain = self.authority.intermediate_path();
        let runtime = one.folder.join("runtime");
        fs::create_dir_all(&runtime)?;
        // The gateway's group may pass through to the socket, nobody else.
        chown(&runtime, Some(ROOT.uid), Some(GATEWAY.gid))?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o2750))?;
        let mut program = command(&one.namespace, ROOT, &supervisor);
        program
            .arg("run")
            .arg("--state")
            .arg(one.folder.join("state"))
            .arg("--runtime")
            .arg(&runtime);
        program
            .arg("--tcti")
            .arg(one.tpm.tcti())
            .arg("--pairing")
            .arg(pairing)
            .arg("--label")
            .arg(&one.label);
        program
            .arg("--engine-root")
            .arg(engine)
            .arg("--boot-log")
            .arg(one.folder.join("boot.log"));
        program
            .arg("--boot-manifest")
            .arg(one.folder.join("boot.manifest.json"))
            .arg("--ek-chain")
            .arg(&chain);
        program.args(["--interval", "0.5", "--threads", "1"]);
        Ok(program)
    }

    /// Starts the gateway of a box.
    pub fn start_gateway(&mut self, index: usize) -> anyhow::Result<()> {
        let gateway = self.program("freehold-gateway");
        let log = self
            .folder
            .join("logs")
            .join(format!("{}-gateway.log", self.boxes[index].label));
        let one = &mut self.boxes[index];
        let state = one.folder.join("gateway");
        fs::create_dir_all(&state)?;
        chown(&state, Some(GATEWAY.uid), Some(GATEWAY.gid))?;
        let socket = one.folder.join("runtime/supervisor.sock");
        let mut program = command(&one.namespace, GATEWAY, &gateway);
        program
            .arg("run")
            .arg("--state")
            .arg(&state)
            .arg("--supervisor")
            .arg(socket);
        program.arg("--listen").arg(format!("{}:8080", address(one.host)));
        one.gateway = Some(Program::start("freehold-gateway", program, &log)?);
        Ok(())
    }

    /// Cuts a box's power: supervisor, gateway, TPM.
    pub fn power_off(&mut self, index: usize) {
        let one = &mut self.boxes[index];
        for program in [one.gateway.take(), one.supervisor.take()].into_iter().flatten() {
            drop(program);
        }
        one.tpm.kill();
    }

    /// Turns a box's power off and on again.
    pub fn power_cycle(&mut self, index: usize) -> anyhow::Result<()> {
        self.power_off(index);
        self.boxes[index].tpm.power_on()?;
        self.start_box(index)
    }

    /// Changes one byte in a box's boot log, in the content of a measured event, and restarts the box. The digest is
    /// changed along with it, as malware in a boot loader would be measured as what it is.
    pub fn tamper(&mut self, index: usize) -> anyhow::Result<()> {
        let file = self.boxes[index].folder.join("boot.log");
        let mut boot = BootDescription::demonstration(SYSTEM.0, SYSTEM.1);
        let byte = boot.loader.first_mut().context("the boot loader is empty")?;
        *byte ^= 1;
        let (log, _) = generate(&boot);
        fs::write(&file, log)?;
        self.power_cycle(index)
    }

    /// Puts a box's boot log right again and restarts the box.
    pub fn restore(&mut self, index: usize) -> anyhow::Result<()> {
        let (log, _) = generate(&BootDescription::demonstration(SYSTEM.0, SYSTEM.1));
        fs::write(self.boxes[index].folder.join("boot.log"), log)?;
        self.power_cycle(index)
    }

    /// What the console says about a box.
    pub fn seen(&self, index: usize) -> anyhow::Result<Value> {
        let id = self.boxes[index].id().context("the box has no identifier yet")?;
        self.operate(&["--json", "box", "show", &id])?.yes()?.json()
    }

    /// Waits until the console's view of a box satisfies `look`; its last view is in the error.
    pub fn wait_seen(&self, index: usize, what: &str, look: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let result = wait_for(what, PATIENCE, || {
            if let Ok(seen) = self.seen(index) {
                last = seen;
                if look(&last) {
                    return Ok(Some(last.clone()));
                }
            }
            Ok(None)
        });
        result.with_context(|| {
            let log = self.boxes[index]
                .supervisor
                .as_ref()
                .map(|program| program.tail(8))
                .unwrap_or_default();
            format!(
                "{} says {}; its log ends with\n{log}",
                self.boxes[index].label,
                short(&last)
            )
        })
    }
}

/// An error with the end of its log when a program has ended.
pub fn alive(program: &mut Program) -> anyhow::Result<()> {
    if let Some(status) = program.ended()? {
        anyhow::bail!("ended with {status}; the end of its log:\n{}", program.tail(15));
    }
    Ok(())
}

/// The part of a box's description that says why.
pub fn short(seen: &Value) -> String {
    format!(
        "verdict {}, doing {}, because {}, refusals {}, box refusals {}",
        seen["verdict"], seen["doing"], seen["because"], seen["refusals"], seen["report"]["refusals"]
    )
}

/// Whether `user` can read `path`: asked of the kernel by trying.
pub fn readable_by(user: User, path: &str) -> anyhow::Result<bool> {
    let status = Command::new("setpriv")
        .args([
            "--reuid",
            &user.uid.to_string(),
            "--regid",
            &user.gid.to_string(),
            "--clear-groups",
            "--",
            "cat",
            path,
        ])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()?;
    Ok(status.success())
}

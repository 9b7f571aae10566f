//! A whole fleet of one in a folder: publisher, console, a box with its TPM, an operator; the programs as they ship.
//!
//! Refuses to reach into the programs: what a world knows, it learnt from their files, their doors and their command line.
//! Invariant: everything listens on loopback, on ports that the system chose, and ends with this value.

mod boxes;

pub use boxes::{BoxWish, Pairing, ProcessBox, engine};

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use freehold_trust::Sha256Digest;
use serde_json::Value;

use crate::program::{Program, Said, built, said_by};
use crate::publisher::Publishing;
use crate::swtpm::TpmAuthority;
use crate::wait::wait_for;

/// Generous: two cores may be shared with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The administrator's own password, once the one-time one is changed.
pub const PASSWORD: &str = "four plain words together";

/// What a world is made with.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The fleet's name.
    pub fleet: String,
    /// The site's name.
    pub site: String,
    /// The box.
    pub one: BoxWish,
    /// Where the console keeps its state instead of the world's own folder: a small disk.
    pub console_state: Option<PathBuf>,
    /// Models that are published from the start: name and version.
    pub models: Vec<(String, String)>,
    /// Before the console's command line: a program that starts it, for example `faketime`.
    pub console_under: Vec<String>,
    /// Where the console listens: loopback, or an address of a network namespace that a test made.
    pub address: Ipv4Addr,
    /// A name by which people reach the console, for example `localhost`: passkeys belong to names.
    pub people_name: Option<String>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            fleet: "ward".to_owned(),
            site: "here".to_owned(),
            one: BoxWish::named("box1"),
            console_state: None,
            models: Vec::new(),
            console_under: Vec::new(),
            address: Ipv4Addr::LOCALHOST,
            people_name: None,
        }
    }
}

/// Everything that runs.
#[derive(Debug)]
pub struct World {
    folder: tempfile::TempDir,
    wish: Wish,
    /// The publisher.
    pub publisher: Publishing,
    /// The authority of the software TPMs.
    pub authority: TpmAuthority,
    /// The console, while it runs.
    pub console: Option<Program>,
    /// The box.
    pub one: ProcessBox,
    people: SocketAddr,
    boxes: SocketAddr,
}

impl World {
    /// Everything but the box's programs: the console runs, system and policy are published, the operator is signed in.
    ///
    /// # Errors
    /// When a program is missing or fails; what it said is in the message.
    pub fn new() -> Result<Self> {
        Self::with(Wish::default())
    }

    /// The same with wishes.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(wish: Wish) -> Result<Self> {
        let mut world = Self::unattended(wish)?;
        world.sign_in()?;
        Ok(world)
    }

    /// The same, but nobody has signed in yet.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn unattended(wish: Wish) -> Result<Self> {
        freehold_channel::install_provider();
        let folder = tempfile::Builder::new().prefix("freehold-world-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let authority = TpmAuthority::new(&at("tpm-authority"))?;
        // The first TPM of an authority makes the authority's keys, which the console's set-up names.
        let one = ProcessBox::new(&at("box"), &authority, wish.one.clone())?;
        let state = wish.console_state.clone().unwrap_or_else(|| at("console"));
        let init: Vec<&OsStr> = vec![
            "init".as_ref(),
            "--state".as_ref(),
            state.as_os_str(),
            "--fleet".as_ref(),
            wish.fleet.as_ref(),
            "--site".as_ref(),
            wish.site.as_ref(),
            "--allow-simulated".as_ref(),
            "--ek-root-kind".as_ref(),
            "software".as_ref(),
        ];
        let (root, password) = (authority.root_path(), at("password"));
        let init = init.into_iter().chain([
            "--ek-root".as_ref(),
            root.as_os_str(),
            "--admin-password-file".as_ref(),
            password.as_os_str(),
        ]);
        said_by(&built("freehold-console")?, init)?.yes()?;
        let publisher = Publishing::new(&at("publisher"), &state.join("public/timestamp.pem"))?;
        for (name, version) in &wish.models {
            publisher.model(name, version)?;
        }
        let root = publisher.export(&at("export"))?;
        let export = at("export");
        let import = [
            "import".as_ref(),
            "--state".as_ref(),
            state.as_os_str(),
            "--repository".as_ref(),
            export.as_os_str(),
            "--root-sha256".as_ref(),
            root.as_ref(),
        ];
        said_by(&built("freehold-console")?, import)?.yes()?;
        let nowhere = SocketAddr::from((wish.address, 0));
        let mut world = Self {
            folder,
            wish,
            publisher,
            authority,
            console: None,
            one,
            people: nowhere,
            boxes: nowhere,
        };
        world.start_console()?;
        if world.wish.people_name.is_some() {
            // The name's port is known only now.
            world.stop_console()?;
            world.start_console()?;
        }
        Ok(world)
    }

    /// The address that people type.
    #[must_use]
    pub fn people_url(&self) -> String {
        match &self.wish.people_name {
            Some(name) => format!("https://{name}:{}", self.people.port()),
            None => format!("https://{}", self.people),
        }
    }

    /// A path of the world.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The console's state folder.
    #[must_use]
    pub fn console_state(&self) -> PathBuf {
        self.wish.console_state.clone().unwrap_or_else(|| self.at("console"))
    }

    /// Where people reach the console.
    #[must_use]
    pub fn people(&self) -> SocketAddr {
        self.people
    }

    /// Where boxes reach the console.
    #[must_use]
    pub fn boxes(&self) -> SocketAddr {
        self.boxes
    }

    /// Starts the console, on the same addresses again after a stop, and waits until it listens.
    ///
    /// # Errors
    /// When it ends instead; the end of its log is in the message.
    pub fn start_console(&mut self) -> Result<()> {
        let under = self.wish.console_under.clone();
        self.start_console_under(&under)
    }

    /// The same, started by another program, for example `faketime`.
    ///
    /// # Errors
    /// As [`Self::start_console`].
    pub fn start_console_under(&mut self, under: &[String]) -> Result<()> {
        let state = self.console_state();
        let addresses = state.join("addresses.json");
        let _ = fs::remove_file(&addresses);
        let program = built("freehold-console")?;
        let mut words = under.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).arg("run").arg("--state").arg(&state);
        command.args(["--people", &self.people.to_string(), "--boxes", &self.boxes.to_string()]);
        if self.wish.people_name.is_some() && self.people.port() != 0 {
            command.args(["--people-url", &self.people_url()]);
        }
        let mut console = Program::start("freehold-console", command, &self.at("console.log"))?;
        let said = wait_for("the console to listen", PATIENCE, || {
            ensure!(console.ended()?.is_none(), "the console ended:\n{}", console.tail(15));
            let bytes = fs::read(&addresses).ok();
            Ok(bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()))
        })?;
        let address = |name: &str| -> Result<SocketAddr> { Ok(said[name].as_str().context("no address")?.parse()?) };
        (self.people, self.boxes) = (address("people")?, address("boxes")?);
        self.console = Some(console);
        fs::copy(state.join("pairing.json"), self.one.pairing())?;
        Ok(())
    }

    /// Ends the console as its machine would when it is shut down.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop_console(&mut self) -> Result<()> {
        if let Some(mut console) = self.console.take() {
            console.stop(Duration::from_secs(20))?;
        }
        Ok(())
    }

    /// SHA-256 of the fleet CA certificate.
    ///
    /// # Errors
    /// When the console has written no pairing document.
    pub fn fleet_ca(&self) -> Result<Sha256Digest> {
        let pairing: Value = serde_json::from_slice(&fs::read(self.console_state().join("pairing.json"))?)?;
        Ok(pairing["fleet_ca"].as_str().context("no fleet CA")?.parse()?)
    }

    /// The one-time password.
    ///
    /// # Errors
    /// When the console wrote none.
    pub fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.at("password"))?.trim().to_owned())
    }

    /// Signs the operator in and changes the one-time password.
    ///
    /// # Errors
    /// When the console refuses.
    pub fn sign_in(&mut self) -> Result<()> {
        fs::write(self.at("own-password"), PASSWORD)?;
        let (url, ca) = (format!("https://{}", self.people), self.fleet_ca()?.to_hex());
        let (password, own) = (self.at("password"), self.at("own-password"));
        self.operate([
            OsStr::new("console"),
            "login".as_ref(),
            "--url".as_ref(),
            url.as_ref(),
            "--fleet-ca".as_ref(),
            ca.as_ref(),
            "--password-file".as_ref(),
            password.as_ref(),
            "--new-password-file".as_ref(),
            own.as_ref(),
        ])?
        .yes()?;
        Ok(())
    }

    /// Runs `freehold` as the operator, with `--json`.
    ///
    /// # Errors
    /// When it cannot be started; what it answers is the answer's own business.
    pub fn operate<'a, I, S>(&self, arguments: I) -> Result<Said>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr> + 'a,
    {
        let mut command = Command::new(built("freehold")?);
        command.arg("--profile").arg(self.at("profile.json")).arg("--json");
        Said::of(command.args(arguments))
    }

    /// Gives the publisher's repository, as it is now, to the running console.
    ///
    /// # Errors
    /// When the console refuses it.
    pub fn import(&self) -> Result<()> {
        let to = self.at("export");
        self.publisher.export(&to)?;
        self.operate(["console".as_ref(), "import".as_ref(), to.as_os_str()])?
            .yes()?;
        Ok(())
    }

    /// Publishes the demonstration's weights as `name`/`version` and imports them; answers target and root digest.
    ///
    /// # Errors
    /// When a program refuses.
    pub fn publish(&self, name: &str, version: &str) -> Result<(String, Sha256Digest)> {
        let published = self.publisher.model(name, version)?;
        self.import()?;
        Ok(published)
    }

    /// Says what the box should run.
    ///
    /// # Errors
    /// When the console refuses.
    pub fn assign(&self, targets: &[&str]) -> Result<()> {
        let id = self.one.id()?;
        let all = ["box", "assign", &id].into_iter().chain(targets.iter().copied());
        self.operate(all)?.yes()?;
        Ok(())
    }

    /// What the console says of the box.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn seen(&self) -> Result<Value> {
        self.operate(["box", "show", &self.one.id()?])?.yes()?.json()
    }

    /// Waits until what the console says of the box satisfies `look`.
    ///
    /// # Errors
    /// When the limit is over; what was said last is in the message.
    pub fn wait_seen(&self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let found = wait_for(what, PATIENCE, || {
            if let Ok(seen) = self.seen() {
                last = seen;
            }
            Ok(look(&last).then(|| last.clone()))
        });
        found.with_context(|| format!("the console says {last:#}\n{}", self.one.tail(20)))
    }

    /// Starts the box's supervisor, approves it as a person would, and waits for the first verdict.
    ///
    /// # Errors
    /// When it does not get that far.
    pub fn join(&mut self) -> Result<()> {
        self.one.start()?;
        self.approve()?;
        self.one
            .wait("the first verdict", |status| status["verdict"] == "trusted_simulated")?;
        Ok(())
    }

    /// Approves the waiting box, comparing what it shows on its own screen.
    ///
    /// # Errors
    /// When it does not ask, or the console refuses.
    pub fn approve(&mut self) -> Result<()> {
        let status = self.one.wait("the box to ask for approval", |status| {
            status["enrolment"] == "waiting_for_approval"
        })?;
        let shown = status["fingerprint"].as_str().context("no fingerprint")?;
        let hex = shown.rsplit(' ').next().unwrap_or_default().to_owned();
        let id = self.one.id()?;
        self.operate(["box", "approve", &id, "--fingerprint", &hex])?.yes()?;
        Ok(())
    }

    /// Every log that a program of this world has written.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn logs(&self) -> Result<Vec<PathBuf>> {
        let mut logs = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "log") {
                    logs.push(path);
                }
            }
        }
        Ok(logs)
    }

    /// The folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

//! Software TPMs: real swtpm processes with EK certificates of a certificate authority that belongs to the world.
//!
//! Refuses to share: every world has its own authority, so its root is a *named software root* and nothing else. The TPM
//! listens on two neighbouring ports of 127.0.0.1, because the client library speaks to swtpm over TCP only.
//! Invariant: the state folder outlives the process; [`Swtpm::restart`] is a power cycle and the reset count grows.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::program::{Program, output_of};
use crate::wait::wait_for;

/// How long a TPM may take to answer its sockets; a loaded two-core machine needs well under a second.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// Ports to choose from: below the range that the kernel gives to outgoing connections, so that none of those can take a
/// port between two power cycles.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// How many pairs of ports are tried; another process may take one between the look and the start.
const PORT_TRIES: usize = 50;

static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// The certificate authority that signs the EK certificates of a world's TPMs (`swtpm_localca`, root and intermediate).
#[derive(Debug, Clone)]
pub struct TpmAuthority {
    folder: PathBuf,
}

impl TpmAuthority {
    /// An authority that keeps its keys under `folder`; the keys are made when the first TPM is.
    ///
    /// # Errors
    /// When the folder or its configuration cannot be written.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
        let folder = folder.canonicalize()?;
        let at = |name: &str| folder.join(name).display().to_string();
        fs::write(
            folder.join("localca.conf"),
            format!(
                "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
                folder.display(),
                at("signkey.pem"),
                at("issuercert.pem"),
                at("certserial"),
            ),
        )?;
        fs::write(
            folder.join("localca.options"),
            "--platform-manufacturer Freehold\n--platform-version 2.1\n--platform-model swtpm\n",
        )?;
        fs::write(
            folder.join("setup.conf"),
            format!(
                "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\nactive_pcr_banks = sha256\n",
                at("localca.conf"),
                at("localca.options"),
            ),
        )?;
        Ok(Self { folder })
    }

    /// The root certificate (PEM): what a fleet names as its software root.
    ///
    /// # Errors
    /// Before the first TPM of this authority was made.
    pub fn root_pem(&self) -> Result<String> {
        let path = self.root_path();
        fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))
    }

    /// The intermediate certificate (PEM) between the root and the EK certificates.
    ///
    /// # Errors
    /// Before the first TPM of this authority was made.
    pub fn intermediate_pem(&self) -> Result<String> {
        let path = self.intermediate_path();
        fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))
    }

    /// Where [`Self::root_pem`] is read from.
    #[must_use]
    pub fn root_path(&self) -> PathBuf {
        self.folder.join("swtpm-localca-rootca-cert.pem")
    }

    /// Where [`Self::intermediate_pem`] is read from.
    #[must_use]
    pub fn intermediate_path(&self) -> PathBuf {
        self.folder.join("issuercert.pem")
    }
}

/// Makes a TPM in the folder `state`, with an EK certificate of `authority`; it is off.
///
/// # Errors
/// When swtpm's set-up tool is missing or fails; what it said is in `log`.
pub fn manufacture(state: &Path, authority: &TpmAuthority, log: &Path) -> Result<()> {
    let text = |path: &Path| path.display().to_string();
    let (state, config, log) = (text(state), text(&authority.folder.join("setup.conf")), text(log));
    output_of(
        "swtpm_setup",
        &[
            "--tpm2",
            "--tpmstate",
            &state,
            "--config",
            &config,
            "--create-ek-cert",
            "--lock-nvram",
            "--overwrite",
            "--logfile",
            &log,
        ],
    )
    .with_context(|| format!("making a TPM, see `{log}`"))?;
    Ok(())
}

/// A running software TPM.
#[derive(Debug)]
pub struct Swtpm {
    folder: PathBuf,
    authority: TpmAuthority,
    prefix: Vec<String>,
    port: Option<u16>,
    program: Option<Program>,
}

impl Swtpm {
    /// A TPM with an authority of its own in `folder/ca`.
    ///
    /// # Errors
    /// See [`Self::start_with`].
    pub fn start(folder: &Path) -> Result<Self> {
        let authority = TpmAuthority::new(&folder.join("ca"))?;
        Self::start_with(folder, &authority)
    }

    /// A TPM whose EK certificates are signed by `authority`; its state stays in `folder/tpm`. A folder that already
    /// holds a TPM is started as it is.
    ///
    /// # Errors
    /// When swtpm or its set-up tool is missing or fails; what they said is in the message.
    pub fn start_with(folder: &Path, authority: &TpmAuthority) -> Result<Self> {
        Self::start_under(folder, authority, &[])
    }

    /// The same, the process started by `prefix`, for example `["ip", "netns", "exec", NAME]`: the port is then one of
    /// that namespace.
    ///
    /// # Errors
    /// See [`Self::start_with`].
    pub fn start_under(folder: &Path, authority: &TpmAuthority, prefix: &[&str]) -> Result<Self> {
        let state = folder.join("tpm");
        fs::create_dir_all(&state).with_context(|| format!("making `{}`", state.display()))?;
        let folder = folder.canonicalize()?;
        let prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        let mut tpm = Self {
            folder,
            authority: authority.clone(),
            prefix,
            port: None,
            program: None,
        };
        if !tpm.state().join("tpm2-00.permall").exists() {
            manufacture(&tpm.state(), &tpm.authority, &tpm.folder.join("swtpm-setup.log"))?;
        }
        tpm.power_on()?;
        Ok(tpm)
    }

    fn state(&self) -> PathBuf {
        self.folder.join("tpm")
    }

    /// Starts the process again with the same state and port, as after a power cut.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn power_on(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..PORT_TRIES {
            let port = self.port.unwrap_or_else(free_pair);
            match self.listen(port) {
                Ok(program) => {
                    self.port = Some(port);
                    self.program = Some(program);
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no port was tried")?)
    }

    fn listen(&self, port: u16) -> Result<Program> {
        let pid_file = self.folder.join("swtpm.pid");
        let _ = fs::remove_file(&pid_file);
        let mut words = self.prefix.iter().map(String::as_str).chain(["swtpm"]);
        let mut command = Command::new(words.next().context("no program")?);
        command
            .args(words)
            .args([
                "socket",
                "--tpm2",
                "--flags",
                "not-need-init,startup-clear",
                "--tpmstate",
            ])
            .arg(format!("dir={}", self.state().display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1))
            .arg("--pid")
            .arg(format!("file={}", pid_file.display()));
        let mut program = Program::start("swtpm", command, &self.folder.join("swtpm.log"))?;
        // swtpm binds its ports while it reads its options and writes its process id afterwards.
        wait_for("swtpm to be ready", READY_LIMIT, || {
            if let Some(status) = program.ended()? {
                anyhow::bail!("swtpm ended with {status}: {}", program.tail(5));
            }
            Ok(fs::metadata(&pid_file).is_ok_and(|file| file.len() > 0).then_some(()))
        })?;
        Ok(program)
    }

    /// Cuts the power: SIGKILL. The state folder stays.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// A power cycle: the PCRs start again and the reset count grows.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.power_on()
    }

    /// Stops the process in its tracks (SIGSTOP): a TPM that does not answer.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> Result<()> {
        self.program
            .as_ref()
            .context("the TPM is off")?
            .signal(nix::sys::signal::Signal::SIGSTOP)
    }

    /// Lets it go on after [`Self::freeze`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> Result<()> {
        self.program
            .as_ref()
            .context("the TPM is off")?
            .signal(nix::sys::signal::Signal::SIGCONT)
    }

    /// The TCTI string to reach it: `swtpm:host=127.0.0.1,port=…`.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port.unwrap_or_default())
    }

    /// The authority of its EK certificates.
    #[must_use]
    pub fn authority(&self) -> &TpmAuthority {
        &self.authority
    }

    /// The process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.program.as_ref().map(Program::pid)
    }
}

/// Two neighbouring ports that nobody listens on right now.
fn free_pair() -> u16 {
    let span = PORTS.end - PORTS.start;
    loop {
        let step = NEXT_PORT.fetch_add(2, Ordering::Relaxed);
        // Spread by process, so that tests that start together look at different ports.
        let offset = (std::process::id().wrapping_mul(74) + step) % span;
        let Ok(port) = u16::try_from((PORTS.start + offset) & !1) else {
            continue;
        };
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) {
            return port;
        }
    }
}

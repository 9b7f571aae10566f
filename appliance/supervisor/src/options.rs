//! What the supervisor is told on its command line.
//!
//! Refuses to read the environment or a configuration file: what a box runs comes from signed documents, where it keeps
//! things comes from here. Invariant: nothing here can weaken a check.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use freehold_execute::VerityUse;

use crate::system::{HealthCheck, ReadRoot};

/// The supervisor of a box.
#[derive(Debug, Parser)]
#[command(name = "freehold-supervisor", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep the box as its assignment says, until told to stop.
    Run(Box<Settings>),
    /// Forget the salt of a request, so that nobody can show any more what was said: 0 when there was one, 1 when not.
    Forget {
        /// The state folder.
        #[arg(long)]
        state: PathBuf,
        /// The request's id, as the client got it.
        request: String,
    },
    /// One round, then exit: 0 when there is nothing left to do, 1 when something is.
    Once(Box<Settings>),
    /// Wait until this boot has shown that it works, after an update: 0 when it has, 1 when it has not within the limit.
    Healthy(HealthCheck),
    /// Read the whole verified root once, with the lowest claim on the disk.
    ReadRoot(ReadRoot),
}

/// Who starts engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum EngineHost {
    /// systemd, where the supervisor is itself one of its services and reaches it; else bubblewrap.
    #[default]
    Auto,
    /// systemd, over D-Bus; without it the supervisor does not start.
    Systemd,
    /// bubblewrap.
    Bubblewrap,
}

/// Where things are, and how much an engine may take.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Folder of everything that must survive a restart.
    #[arg(long)]
    pub state: PathBuf,
    /// Folder of sockets; its group may reach the gateway's one.
    #[arg(long)]
    pub runtime: PathBuf,
    /// The TPM: `device:/dev/tpmrm0`, or `swtpm:host=127.0.0.1,port=N` for a process box.
    #[arg(long, default_value = "device:/dev/tpmrm0")]
    pub tcti: String,
    /// A file with the TPM owner's authorisation value, hex; without it the TPM is one that nobody owns.
    #[arg(long)]
    pub tpm_owner: Option<PathBuf>,
    /// Certificates (PEM) between the EK's certificate and its root, when the TPM does not hold them.
    #[arg(long)]
    pub ek_chain: Option<PathBuf>,
    /// Which console is ours. Read once: what it says is then locked in the state folder.
    #[arg(long)]
    pub pairing: Option<PathBuf>,
    /// A name that people give the box.
    #[arg(long, default_value = "")]
    pub label: String,
    /// The unpacked root of the engine.
    #[arg(long)]
    pub engine_root: Option<PathBuf>,
    /// Who starts engines.
    #[arg(long, value_enum, default_value_t)]
    pub host: EngineHost,
    /// The D-Bus bus on which systemd is; without it the system's.
    #[arg(long)]
    pub bus: Option<String>,
    /// User and group of engines that systemd starts, as `user:group`. Without it each gets a user of its own while it runs.
    #[arg(long, value_parser = user_and_group)]
    pub engine_user: Option<(String, String)>,
    /// Serve the box's own screen at `screen.sock` in the runtime folder. A pairing is then taken only after somebody has
    /// compared the console's fingerprint there.
    #[arg(long)]
    pub screen: bool,
    /// Where a stick appears while it is read.
    /// This box is the operating system image: updates of it are laid ready in this folder, on the sealed volume.
    #[arg(long, value_name = "FOLDER")]
    pub system: Option<PathBuf>,
    /// A model folder (`files/NAME.gguf`) of the image, which the engine has to start after an update.
    #[arg(long, value_name = "FOLDER")]
    pub self_test: Option<PathBuf>,
    /// Where a stick is mounted, read-only, when one is in.
    #[arg(long)]
    pub stick: Option<PathBuf>,
    /// The unit that mounts it there, read-only. Without it the folder is read as it is.
    #[arg(long, requires = "stick")]
    pub stick_unit: Option<String>,
    /// Apply the network settings of this machine: rules and links are written below this folder (`/run` on the OS), and systemd
    /// loads them. Without it the network is left alone.
    #[arg(long)]
    pub network: Option<PathBuf>,
    /// Boot log to be replayed into a software TPM once a boot, and shown with the evidence.
    #[arg(long)]
    pub boot_log: Option<PathBuf>,
    /// The manifest of what was booted: names the release. Without it, `boot.manifest.json` beside the log.
    #[arg(long)]
    pub boot_manifest: Option<PathBuf>,
    /// The socket of systemd-pcrextend: settings, policy, engine and each model are measured into PCR 15 before they count. Without
    /// it nothing is measured: a box that is a process.
    #[arg(long)]
    pub pcrextend: Option<PathBuf>,
    /// Where systemd writes what user space measures (systemd-pcrextend(8)).
    #[arg(long, default_value = "/run/log/systemd/tpm2-measure.log")]
    pub runtime_log: PathBuf,
    /// Take no model that the kernel cannot hold by fs-verity.
    #[arg(long)]
    pub require_verity: bool,
    /// Where the gateway writes its address. Without it, `gateway/address.json` beside the state folder.
    #[arg(long)]
    pub gateway_address: Option<PathBuf>,
    /// Seconds between two looks when nothing happens. Without it, what the console wishes.
    #[arg(long)]
    pub interval: Option<f64>,
    /// Threads that an engine computes with.
    #[arg(long, default_value_t = 2)]
    pub threads: u32,
    /// MiB of memory that an engine may take.
    #[arg(long, default_value_t = 4096)]
    pub memory: u64,
    /// Tokens of context of each conversation.
    #[arg(long, default_value_t = 2048)]
    pub context: u32,
    /// Conversations at the same time.
    #[arg(long, default_value_t = 4)]
    pub slots: u32,
    /// Hardware classes of this box, as releases name them.
    #[arg(long = "hardware", default_value = "cpu")]
    pub hardware: Vec<String>,
}

impl Settings {
    /// The engine's name, as a policy names it: its root without an ending. Empty when there is no engine.
    #[must_use]
    pub fn engine_name(&self) -> &str {
        self.engine_root
            .as_deref()
            .and_then(std::path::Path::file_stem)
            .and_then(std::ffi::OsStr::to_str)
            .unwrap_or_default()
    }

    /// What is demanded of fs-verity.
    pub(crate) const fn verity(&self) -> VerityUse {
        if self.require_verity {
            VerityUse::Required
        } else {
            VerityUse::WherePossible
        }
    }
}

fn user_and_group(text: &str) -> Result<(String, String), String> {
    let (user, group) = text.split_once(':').ok_or("not of the form `user:group`")?;
    if user.is_empty() || group.is_empty() {
        return Err("not of the form `user:group`".to_owned());
    }
    Ok((user.to_owned(), group.to_owned()))
}

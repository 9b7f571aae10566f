//! Programs that the tour starts: in a namespace, as a user, with a log; ended with the tour.
//!
//! Invariant: only processes started here are ever signalled, each by its own id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Whom a program runs as: numeric user and group ids that own nothing else on this machine.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Root, for what has to make sandboxes.
pub const ROOT: User = User { uid: 0, gid: 0 };

/// A command in `namespace` as `user`; it ends when the tour does.
pub fn command(namespace: &str, user: User, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL"]);
    if user.uid != 0 {
        command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups", "--no-new-privs"]);
    }
    command.arg("--").arg(program);
    command
}

impl Program {
    /// Starts `command` with its output in `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log).with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id().try_into().ok()?)
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then SIGKILL after five seconds.
    pub fn stop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = wait_for("the end of a program", 5.0, || Ok(self.child.try_wait()?.map(|_| ())));
        if ended.is_err() {
            self.kill();
        }
    }

    /// An error with the end of the log when the program is not running any more.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n");
            bail!("{} ended with {status}; the end of its log:\n{tail}", self.name);
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks until `look` gives a value, `limit` seconds at most.
pub fn wait_for<T>(what: &str, limit: f64, mut look: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if began.elapsed().as_secs_f64() > limit {
            bail!("waited {limit} s for {what}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

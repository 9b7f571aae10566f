//! A program that a test or the tour started, with its output in a file, ended when the value is dropped.
//!
//! Refuses to end anything that it did not start: signals go to the child's own process id.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::wait_for;

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command`; standard output and error are appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started; the program's name is in the message.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening `{}`", log.display()))?;
        let err = out.try_clone()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("starting `{name}` ({})", command.get_program().to_string_lossy()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last `lines` lines of its output, for messages.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Its exit status when it has ended.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("sending {signal} to `{}`", self.name))
    }

    /// Waits for the end, at most for `limit`.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait_for(&format!("the end of `{name}`"), limit, || self.ended())
    }

    /// SIGTERM, then the wait; SIGKILL when it does not listen.
    ///
    /// # Errors
    /// When it had to be killed: a program of ours must end when it is told.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        match self.wait(limit) {
            Ok(status) => Ok(status),
            Err(error) => {
                self.kill();
                Err(error)
            }
        }
    }

    /// SIGKILL and the wait for it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of ours, built beside this test (`cargo build --workspace --bins`).
///
/// # Errors
/// When it was not built.
pub fn built(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    // A test lies in `target/PROFILE/deps`, a program in `target/PROFILE`.
    let path = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    path.with_context(|| format!("`{name}` is not built\nhint: cargo build --workspace --bins"))
}

/// What a program said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code: 0 yes, 1 no, 2 could not tell.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting `{name}`"))?;
        Ok(Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The answer when it is "yes".
    ///
    /// # Errors
    /// With what was said when it is not.
    pub fn yes(self) -> Result<Self> {
        anyhow::ensure!(self.code == 0, "exit code {}\n{}{}", self.code, self.out, self.err);
        Ok(self)
    }

    /// The output as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.out).with_context(|| format!("reading JSON from {:?}", self.out))
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started.
pub fn said_by<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Result<Said> {
    Said::of(Command::new(program).args(arguments))
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or fails; its standard error is in the message.
pub fn output_of(program: impl AsRef<OsStr>, args: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", program.to_string_lossy()))?;
    anyhow::ensure!(
        output.status.success(),
        "`{} {}` said {}: {}",
        program.to_string_lossy(),
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

//! Runs a program of the toolbox on the host: the very programs that Nix built with, from the store, without a network.
//!
//! Refuses to show it anything but the folders given. Invariant: what it writes, it writes below the work folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// A program of the toolbox failed or did not start.
#[derive(Debug, Error)]
#[error("`{program}` failed: {message}")]
pub struct ToolFailed {
    program: String,
    message: String,
}

/// The toolbox, with its folders.
#[derive(Debug, Clone)]
pub struct Toolbox {
    /// The unpacked packages.
    pub root: PathBuf,
    /// Seen as `/parts`, read only.
    pub parts: PathBuf,
    /// Seen as `/keys`, read only.
    pub keys: PathBuf,
    /// Seen as `/made`.
    pub work: PathBuf,
    /// `SOURCE_DATE_EPOCH`, so that what is written has no date of its own.
    pub epoch: String,
}

impl Toolbox {
    /// Runs and answers what was printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, ToolFailed> {
        let program = arguments.first().copied().unwrap_or_default().to_owned();
        let failed = |message: String| ToolFailed {
            program: program.clone(),
            message,
        };
        let mut command = Command::new("bwrap");
        command.args(["--unshare-all", "--die-with-parent", "--clearenv"]);
        for (from, to) in [("usr", "/usr"), ("etc", "/etc")] {
            command.arg("--ro-bind").arg(self.root.join(from)).arg(to);
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            command.args(["--symlink", &format!("usr/{name}"), &format!("/{name}")]);
        }
        let bind = |command: &mut Command, option: &str, from: &Path, to: &str| {
            command.arg(option).arg(from).arg(to);
        };
        bind(&mut command, "--ro-bind", Path::new("/nix/store"), "/nix/store");
        bind(&mut command, "--ro-bind", &self.parts, "/parts");
        bind(&mut command, "--ro-bind", &self.keys, "/keys");
        bind(&mut command, "--bind", &self.work, "/made");
        command.args([
            "--tmpfs", "/tmp", "--dir", "/var/tmp", "--proc", "/proc", "--dev", "/dev", "--chdir", "/made",
        ]);
        for (name, value) in [
            ("PATH", "/usr/bin:/usr/sbin:/usr/lib/systemd"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("SOURCE_DATE_EPOCH", &self.epoch),
        ] {
            command.args(["--setenv", name, value]);
        }
        let output = command
            .args(arguments)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let tail: Vec<&str> = said.lines().rev().take(3).collect();
        Err(failed(tail.into_iter().rev().collect::<Vec<_>>().join("; ")))
    }
}

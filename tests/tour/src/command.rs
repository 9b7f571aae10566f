//! Runs the shipped command line and reads its answer, as a person or a script would.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, bail};

use crate::process::{self, User};

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// Exit code: 0 yes, 1 no, 2 could not tell.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The answer when it is "yes", else an error with what was said.
    pub fn yes(self) -> anyhow::Result<Self> {
        if self.code != 0 {
            bail!("exit code {}\n{}{}", self.code, self.out, self.err);
        }
        Ok(self)
    }

    /// The code of a refusal, said with `--json`.
    pub fn code(&self) -> anyhow::Result<String> {
        let said = [&self.out, &self.err];
        let code = said.iter().find_map(|text| {
            let value: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
            Some(value["refused"]["code"].as_str()?.to_owned())
        });
        code.with_context(|| format!("no code in {:?} {:?}", self.out, self.err))
    }

    /// The output as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.out).with_context(|| format!("reading JSON from {:?}", self.out))
    }
}

/// Runs `program` with `arguments` in `namespace`.
pub fn run(namespace: &str, user: User, program: &Path, arguments: &[&str]) -> anyhow::Result<Said> {
    let output = process::command(namespace, user, program)
        .args(arguments)
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    Ok(Said::from(output))
}

/// Runs a program of this machine, outside the demonstration's networks.
pub fn here(program: &str, arguments: &[&str]) -> anyhow::Result<Said> {
    Ok(Said::from(
        Command::new(program)
            .args(arguments)
            .output()
            .with_context(|| format!("running {program}"))?,
    ))
}

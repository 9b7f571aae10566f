//! How much memory a process has taken at most.
//!
//! Refuses to guess: the kernel counts. Invariant: the mark is of this process only, since the last reset.

use anyhow::{Context as _, Result};

/// A mark from which growth is counted.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    pid: u32,
    before: u64,
}

fn field(pid: u32, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .context("no such field")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024)
}

impl Mark {
    /// Begins to count.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn set(pid: u32) -> Result<Self> {
        // 5 sets the peak back to what is resident now (proc(5), clear_refs).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let before = field(pid, "VmRSS")?;
        Ok(Self { pid, before })
    }

    /// Bytes by which the resident size has grown at most since then.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn growth(self) -> Result<u64> {
        Ok(field(self.pid, "VmHWM")?.saturating_sub(self.before))
    }
}

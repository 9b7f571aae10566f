//! What a process used, from `/proc`: proc_pid_stat(5), proc_pid_status(5).
//!
//! Invariant: processor time is user and system time of all threads, in seconds.

use std::path::Path;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Ticks of a second in these files: USER_HZ, 100 in the kernel's interface whatever its own clock is.
const TICKS: f64 = 100.0;

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Most that was resident.
    pub most: u64,
}

/// Seconds of processor time that a process has used.
pub fn spent(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in brackets and may hold anything; fields are counted behind it.
    let (_, rest) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |place: usize| -> anyhow::Result<f64> { Ok(fields.get(place).context("stat")?.parse::<f64>()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// Memory of a process.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name: &str| -> anyhow::Result<u64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .context("status")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    };
    Ok(Memory {
        resident: value("VmRSS:")?,
        most: value("VmHWM:")?,
    })
}

/// Bytes of all files below a folder.
pub fn folder_size(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Files come and go while the console runs.
        let Ok(about) = entry.metadata() else { continue };
        sum += if about.is_dir() {
            folder_size(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(sum)
}

/// Lets this process open as many files as the system allows: one connection a box.
pub fn raise_file_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

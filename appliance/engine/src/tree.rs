//! The processes below one process, from `/proc`.
//!
//! Refuses nothing: a process that ended while it was looked at is left out. Invariant: only descendants of the given
//! process are ever named, so that a signal reaches no other.

use rustix::process::{Pid, Signal, kill_process};

/// Deeper trees than bubblewrap, its init and an engine with a few children do not occur.
const MAX_PROCESSES: usize = 256;

/// Children, by way of `/proc/PID/task/*/children` (proc(5)).
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(Result::ok)
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .filter_map(|one| one.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

/// All descendants, parents before children, `pid` itself not among them.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(one) = found.get(next).copied() {
        next = next.saturating_add(1);
        if found.len() < MAX_PROCESSES {
            found.extend(children(one));
        }
    }
    found
}

/// Resident bytes of a process (`VmRSS` of `/proc/PID/status`, in kibibytes).
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes: Option<u64> = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|field| field.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

/// Sends a signal to each; one that is gone already is as good as told.
pub fn signal(pids: &[u32], signal: Signal) {
    for pid in pids {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// Whether a process is there and not merely waiting to be collected.
pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

//! How much memory and processor an engine gets, and who holds it to that.
//!
//! Refuses to pretend: where no control group can be written the answer is `Watched` or `Threads`, and the status says so.
//! Invariant: a control group that was made here is removed here.

mod cgroup;

pub use cgroup::{ControlGroups, Hierarchy};

use std::fmt;

/// Who bounds an engine's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryBound {
    /// The kernel, by the control group of a unit of systemd.
    Systemd,
    /// The kernel, by a memory control group.
    Cgroup,
    /// We do: the resident size of its processes is looked at ten times a second, and above the bound they are killed. A
    /// burst can exceed the bound for a tenth of a second.
    Watched,
}

/// Who bounds an engine's processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuBound {
    /// The kernel, by a control group's quota.
    Cgroup,
    /// The number of threads that it is started with, and a lower priority.
    Threads,
}

/// Both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Memory.
    pub memory: MemoryBound,
    /// Processor.
    pub cpu: CpuBound,
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "control group of systemd",
            Self::Cgroup => "memory control group",
            Self::Watched => "watched resident size",
        })
    }
}

impl fmt::Display for CpuBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "processor control group",
            Self::Threads => "number of threads",
        })
    }
}

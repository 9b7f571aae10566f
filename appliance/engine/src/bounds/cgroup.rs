//! Control groups of version 1 and 2, where they may be written.
//!
//! Refuses to change any group but its own. Invariant: [`ControlGroups::make`] either has a group whose limit reads back as
//! set, or has none and left nothing behind. Source: Linux, `Documentation/admin-guide/cgroup-v1/memory.rst`, `cgroup-v2.rst`.

use super::{Bounds, CpuBound, MemoryBound};
use std::path::{Path, PathBuf};

/// The length of a quota period in microseconds; the kernel's default.
const PERIOD_US: u64 = 100_000;

/// Processes and threads in one engine: compute and HTTP threads, with room; bounds a fork bomb.
const MAX_TASKS: u32 = 512;

/// Which version a controller is mounted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    /// One folder tree per controller.
    V1,
    /// One folder tree for all.
    V2,
}

/// The groups of one engine; removed when dropped.
#[derive(Debug, Default)]
pub struct ControlGroups {
    memory: Option<(Hierarchy, PathBuf)>,
    cpu: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

impl ControlGroups {
    /// Makes what this machine allows. `name` is unique on the machine.
    pub fn make(name: &str, memory_bytes: u64, threads: u32) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut groups = Self::default();
        let quota = u64::from(threads).saturating_mul(PERIOD_US);
        if let Some(parent) = find(&own, &mounts, "memory") {
            let folder = parent.1.join(name);
            let file = if parent.0 == Hierarchy::V1 {
                "memory.limit_in_bytes"
            } else {
                "memory.max"
            };
            if groups.folder(&folder) && set(&folder.join(file), memory_bytes) {
                // Swap would let it grow on disk instead; absent where the kernel does not count swap.
                let swap = if parent.0 == Hierarchy::V1 {
                    ("memory.memsw.limit_in_bytes", memory_bytes)
                } else {
                    ("memory.swap.max", 0)
                };
                let _ = write(&folder.join(swap.0), &swap.1.to_string());
                groups.memory = Some((parent.0, folder));
            }
        }
        if let Some((hierarchy, parent)) = find(&own, &mounts, "cpu") {
            let folder = parent.join(name);
            let done = groups.folder(&folder)
                && match hierarchy {
                    Hierarchy::V1 => {
                        let _ = write(&folder.join("cpu.cfs_period_us"), &PERIOD_US.to_string());
                        set(&folder.join("cpu.cfs_quota_us"), quota)
                    }
                    Hierarchy::V2 => write(&folder.join("cpu.max"), &format!("{quota} {PERIOD_US}")),
                };
            if done {
                groups.cpu = Some(folder);
            }
        }
        if let Some((_, parent)) = find(&own, &mounts, "pids") {
            let folder = parent.join(name);
            if groups.folder(&folder) {
                let _ = write(&folder.join("pids.max"), &MAX_TASKS.to_string());
            }
        }
        groups
    }

    /// Who bounds what.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            memory: if self.memory.is_some() {
                MemoryBound::Cgroup
            } else {
                MemoryBound::Watched
            },
            cpu: if self.cpu.is_some() {
                CpuBound::Cgroup
            } else {
                CpuBound::Threads
            },
        }
    }

    /// Moves a process into all groups. A group that refuses it is given up, so that the status stays true.
    pub fn take(&mut self, pid: u32) {
        let refused: Vec<PathBuf> = self
            .folders
            .iter()
            .filter(|folder| !write(&folder.join("cgroup.procs"), &pid.to_string()))
            .cloned()
            .collect();
        self.memory.take_if(|(_, folder)| refused.contains(folder));
        self.cpu.take_if(|folder| refused.contains(folder));
    }

    /// Whether the kernel killed something in the memory group for want of memory.
    pub fn out_of_memory(&self) -> bool {
        let Some((hierarchy, folder)) = &self.memory else {
            return false;
        };
        let file = if *hierarchy == Hierarchy::V1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    }

    fn folder(&mut self, folder: &Path) -> bool {
        if self.folders.iter().any(|known| known == folder) {
            return true;
        }
        let made = std::fs::create_dir(folder).is_ok();
        if made {
            self.folders.push(folder.to_owned());
        }
        made
    }
}

impl Drop for ControlGroups {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn write(path: &Path, value: &str) -> bool {
    std::fs::write(path, value).is_ok()
}

/// Writes a number and reads it back; the kernel rounds memory down to whole pages.
fn set(path: &Path, value: u64) -> bool {
    let read = |text: String| text.trim().parse::<u64>().ok();
    write(path, &value.to_string())
        && std::fs::read_to_string(path)
            .ok()
            .and_then(read)
            .is_some_and(|found| value.abs_diff(found) < 1 << 16)
}

/// The folder of a controller in which this process may make groups, by `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn find(own: &str, mounts: &str, controller: &str) -> Option<(Hierarchy, PathBuf)> {
    let path_of = |wanted: &str| {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers
                .split(',')
                .any(|one| one == wanted)
                .then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let mount_of = |kind: &str, option: Option<&str>| {
        mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut right = right.split(' ');
            let has = right.next()? == kind
                && option.is_none_or(|wanted| {
                    right
                        .next_back()
                        .is_some_and(|all| all.split(',').any(|one| one == wanted))
                });
            has.then(|| left.split(' ').nth(4).map(PathBuf::from))?
        })
    };
    if let (Some(path), Some(mount)) = (path_of(controller), mount_of("cgroup", Some(controller))) {
        // In a container the own path may be one of the host, and the mount itself the own group.
        return [mount.join(path), mount]
            .into_iter()
            .find(|folder| folder.is_dir())
            .map(|folder| (Hierarchy::V1, folder));
    }
    let folder = mount_of("cgroup2", None)?.join(path_of("")?);
    let given = std::fs::read_to_string(folder.join("cgroup.subtree_control")).ok()?;
    given
        .split_whitespace()
        .any(|one| one == controller)
        .then_some((Hierarchy::V2, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_one_is_found_by_its_controller() {
        let own = "4:memory:/none-such\n1:cpu,cpuacct:/\n0::/\n";
        let mounts = "30 25 0:26 / /proc rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                      31 25 0:27 / /sys rw,relatime - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(
            find(own, mounts, "memory"),
            Some((Hierarchy::V1, PathBuf::from("/proc")))
        );
        assert_eq!(find(own, mounts, "cpu"), Some((Hierarchy::V1, PathBuf::from("/sys"))));
        assert_eq!(find(own, mounts, "pids"), None);
    }

    #[test]
    fn what_was_made_is_removed_and_the_status_is_true() {
        let groups = ControlGroups::make(&format!("freehold-test-{}", std::process::id()), 64 << 20, 1);
        let folders = groups.folders.clone();
        assert_eq!(groups.bounds().memory == MemoryBound::Cgroup, groups.memory.is_some());
        assert!(!groups.out_of_memory());
        drop(groups);
        assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
    }
}

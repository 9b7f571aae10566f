//! The disks that could be written, with what a person needs to know one from another.
//!
//! Refuses loop devices, memory disks and mappings (the inventory leaves them out). Invariant: the disk that carries the
//! running system is marked, however deep it lies below verity and encryption.
//!
//! Model, size and "removable" come from the inventory. The serial number does not: an inventory travels to the console and
//! names no single machine; here it is the one thing that tells two equal disks apart, and it stays on this screen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use freehold_inventory::{Nvml, collect_with};
use serde::Serialize;

/// Largest file of the kernel that is read; bounds a file that never ends.
const LIMIT: usize = 256 * 1024;
/// How deep mappings may lie on each other; bounds a tree that leads into itself.
const DEEPEST: usize = 8;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name in the kernel, `nvme0n1`.
    pub name: String,
    /// What it calls itself.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Whether it can be taken out.
    pub removable: bool,
    /// What is on it, one line a partition: `nvme0n1p1  550 MiB  vfat ESP`.
    pub holds: Vec<String>,
    /// Whether the running system is on it.
    pub running: bool,
    /// What uses it, when something else does.
    pub used_by: Option<String>,
}

fn text(root: &Path, path: &str) -> Option<String> {
    let bytes = fs::read(root.join(path)).ok().filter(|bytes| bytes.len() < LIMIT)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn names(root: &Path, path: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root.join(path))
        .map(|entries| {
            (entries.take(4096).flatten())
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// One value of udev's database for a device, for example `ID_SERIAL_SHORT`.
fn udev(root: &Path, dev: &str, key: &str) -> Option<String> {
    let database = text(root, &format!("run/udev/data/b{dev}"))?;
    let value = database
        .lines()
        .find_map(|line| line.strip_prefix("E:")?.strip_prefix(key)?.strip_prefix('='))?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// What a disk calls its serial number: from NVMe and virtio by sysfs, else from page 80h of SCSI, else from udev.
fn serial(root: &Path, name: &str) -> Option<String> {
    let at = |rest: &str| format!("sys/block/{name}/{rest}");
    // SPC-5, 7.7.20 "Unit Serial Number VPD page": four bytes of head, then the number.
    let page = || {
        let bytes = fs::read(root.join(at("device/vpd_pg80"))).ok()?;
        let number = String::from_utf8_lossy(bytes.get(4..)?)
            .trim_matches(['\0', ' '])
            .to_owned();
        (!number.is_empty()).then_some(number)
    };
    let dev = text(root, &at("dev")).unwrap_or_default();
    text(root, &at("device/serial"))
        .or_else(|| text(root, &at("serial")))
        .or_else(page)
        .or_else(|| udev(root, &dev, "ID_SERIAL_SHORT"))
        .map(|serial| {
            serial
                .chars()
                .filter(|c| c.is_ascii_graphic() || *c == ' ')
                .collect::<String>()
        })
        .map(|serial| serial.trim().to_owned())
        .filter(|serial| !serial.is_empty())
}

/// Disks below a block device: itself, the disk of a partition, the disks of a mapping.
fn below(root: &Path, device: &str, depth: usize, found: &mut BTreeSet<String>) {
    if depth > DEEPEST {
        return;
    }
    let slaves = names(root, &format!("sys/class/block/{device}/slaves"));
    for slave in &slaves {
        below(root, slave, depth + 1, found);
    }
    if !slaves.is_empty() {
        return;
    }
    for disk in names(root, "sys/block") {
        if disk == device || root.join(format!("sys/block/{disk}/{device}")).exists() {
            found.insert(disk);
        }
    }
}

/// The name of the block device `major:minor`.
fn by_number(root: &Path, number: &str) -> Option<String> {
    (names(root, "sys/class/block").into_iter())
        .find(|name| text(root, &format!("sys/class/block/{name}/dev")).as_deref() == Some(number))
}

/// Where something is mounted, and the disks below it. proc(5), `mountinfo`: field 3 is the device, field 5 the place.
fn mounted(root: &Path) -> Vec<(String, BTreeSet<String>)> {
    let table = text(root, "proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let device = by_number(root, fields.nth(2)?)?;
            let mut disks = BTreeSet::new();
            below(root, &device, 0, &mut disks);
            Some((fields.nth(1)?.to_owned(), disks))
        })
        .collect()
}

/// The disks of the machine whose file system begins at `root`; `/` is this one.
#[must_use]
pub fn candidates(root: &Path) -> Vec<Candidate> {
    let mounts = mounted(root);
    let inventory = collect_with(root, &Nvml::not_asked());
    let found = inventory.disks.iter().filter_map(|disk| {
        let name = disk.name.value()?.clone();
        let on_it = |place: &str| mounts.iter().any(|(at, disks)| at == place && disks.contains(&name));
        let running = on_it("/") || on_it("/usr");
        let used_by = mounts
            .iter()
            .find(|(_, disks)| disks.contains(&name))
            .map(|(at, _)| format!("mounted at {at}"))
            .or_else(|| held(root, &name));
        Some(Candidate {
            model: disk.model.value().cloned(),
            serial: serial(root, &name),
            size: disk.size_bytes.value().copied().unwrap_or(0),
            removable: disk.removable.value().copied().unwrap_or(false),
            holds: holds(root, &name),
            running,
            used_by: if running { None } else { used_by },
            name,
        })
    });
    // An empty card reader is a disk without size.
    found.filter(|disk| disk.size > 0).collect()
}

fn partitions(root: &Path, disk: &str) -> Vec<String> {
    (names(root, &format!("sys/block/{disk}")).into_iter())
        .filter(|name| root.join(format!("sys/block/{disk}/{name}/partition")).exists())
        .collect()
}

fn held(root: &Path, disk: &str) -> Option<String> {
    let mut places = vec![format!("sys/block/{disk}/holders")];
    places.extend((partitions(root, disk).iter()).map(|part| format!("sys/block/{disk}/{part}/holders")));
    let holder = places.iter().flat_map(|place| names(root, place)).next()?;
    Some(format!("held by {holder}"))
}

fn holds(root: &Path, disk: &str) -> Vec<String> {
    let describe = |at: &str, name: &str| {
        let sectors: u64 = text(root, &format!("{at}/size"))
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let dev = text(root, &format!("{at}/dev")).unwrap_or_default();
        let words: Vec<String> = ["ID_FS_TYPE", "ID_PART_ENTRY_NAME", "ID_FS_LABEL"]
            .iter()
            .filter_map(|key| udev(root, &dev, key))
            .collect();
        let what = if words.is_empty() {
            "contents not known".to_owned()
        } else {
            words.join(" ")
        };
        format!("{name}  {}  {what}", crate::show::size(sectors.saturating_mul(512)))
    };
    (partitions(root, disk).iter())
        .map(|part| describe(&format!("sys/block/{disk}/{part}"), part))
        .collect()
}

//! Disks: block devices with a device behind them.
//!
//! Refuses to read serial numbers. Invariant: loop devices, memory disks and mappings are not disks.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::tree::Tree;

/// One disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Its name in the kernel.
    pub name: Reading<String>,
    /// Its model, as it names itself.
    pub model: Reading<String>,
    /// Its size, bytes.
    pub size_bytes: Reading<u64>,
    /// Whether it has turning plates.
    pub rotational: Reading<bool>,
    /// Whether it can be taken out.
    pub removable: Reading<bool>,
    /// What it does with writes: `write back` or `write through`.
    pub write_cache: Reading<String>,
}

/// Linux `Documentation/ABI/stable/sysfs-block`: `size` counts sectors of 512 bytes whatever the disk's own sector size is.
const SECTOR: u64 = 512;

pub(crate) fn read(tree: &Tree) -> Vec<Disk> {
    tree.names("/sys/block")
        .into_iter()
        .filter(|name| tree.has(&format!("/sys/block/{name}/device")))
        .map(|name| {
            let at = |rest: &str| format!("/sys/block/{name}/{rest}");
            let flag = |rest: &str| {
                tree.number(&at(rest)).then("0 or 1", |number| match number {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                })
            };
            Disk {
                model: tree.text(&at("device/model")),
                size_bytes: tree
                    .number(&at("size"))
                    .then("a size", |sectors| sectors.checked_mul(SECTOR)),
                rotational: flag("queue/rotational"),
                removable: flag("removable"),
                write_cache: tree.text(&at("queue/write_cache")),
                name: Reading::of(name.clone(), format!("/sys/block/{name}")),
            }
        })
        .collect()
}

//! Main memory.
//!
//! Refuses nothing. Invariant: bytes, although the kernel says kibibytes.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::tree::Tree;

/// Main memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Usable memory, bytes.
    pub total_bytes: Reading<u64>,
    /// Memory that programs could have without swapping, bytes, when it was read.
    pub available_bytes: Reading<u64>,
    /// Swap, bytes.
    pub swap_bytes: Reading<u64>,
}

const MEMINFO: &str = "/proc/meminfo";

pub(crate) fn read(tree: &Tree) -> Memory {
    // proc(5), /proc/meminfo: `MemTotal:       24684084 kB`; kB means KiB there.
    let field = |name: &'static str| {
        tree.text(MEMINFO).then(&format!("`{name}`"), move |text| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        })
    };
    Memory {
        total_bytes: field("MemTotal"),
        available_bytes: field("MemAvailable"),
        swap_bytes: field("SwapTotal"),
    }
}

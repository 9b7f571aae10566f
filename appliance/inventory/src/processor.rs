//! The processor, and those of its features that engines choose their code by.
//!
//! Refuses to benchmark. Invariant: a feature is listed under the kernel's own name for it.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::tree::Tree;

/// Flags of `/proc/cpuinfo` that llama.cpp and other engines choose code by (Linux `arch/x86/include/asm/cpufeatures.h`;
/// `arch/arm64/kernel/cpuinfo.c` for the last ones).
pub const ENGINE_FEATURES: &[&str] = &[
    "sse4_2",
    "avx",
    "f16c",
    "fma",
    "avx2",
    "bmi2",
    "avx_vnni",
    "avx512f",
    "avx512dq",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx512vbmi",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "sme",
];

/// The processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Processor {
    /// Its model name.
    pub model: Reading<String>,
    /// Its vendor, as it names itself.
    pub vendor: Reading<String>,
    /// How many logical processors are online.
    pub logical_processors: Reading<u32>,
    /// How many memory nodes there are.
    pub memory_nodes: Reading<u32>,
    /// Those of [`ENGINE_FEATURES`] that it has, in that order.
    pub engine_features: Reading<Vec<String>>,
}

const CPUINFO: &str = "/proc/cpuinfo";

pub(crate) fn read(tree: &Tree) -> Processor {
    let field = |name: &'static str| {
        tree.text(CPUINFO)
            .then(&format!("`{name}`"), move |text| line(&text, name))
    };
    Processor {
        // proc(5): the names of the fields differ by architecture; x86 says `flags`, arm64 `Features`.
        model: field("model name").or(|| field("CPU part")),
        vendor: field("vendor_id").or(|| field("CPU implementer")),
        logical_processors: tree
            .text("/sys/devices/system/cpu/online")
            .then("a list of numbers", |text| count(&text)),
        memory_nodes: tree
            .text("/sys/devices/system/node/online")
            .then("a list of numbers", |text| count(&text)),
        engine_features: field("flags").or(|| field("Features")).then("features", |flags| {
            let flags: Vec<&str> = flags.split_ascii_whitespace().collect();
            Some(
                ENGINE_FEATURES
                    .iter()
                    .filter(|name| flags.contains(name))
                    .map(|name| (*name).to_owned())
                    .collect(),
            )
        }),
    }
}

fn line(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// Counts a list such as `0-3,8` (Linux `Documentation/core-api/kernel-api`, bitmap list format).
fn count(list: &str) -> Option<u32> {
    let mut total = 0_u32;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        total = total.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(total)
}

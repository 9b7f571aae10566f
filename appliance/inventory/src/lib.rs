//! What is in this box: processor, memory, accelerators, disks; each value with its source, each missing one with the reason.
//!
//! Refuses to guess, to start programs, and to read what names a person or a machine (serial numbers, host names, hardware
//! addresses). The root of the tree is a parameter, so that a folder recorded elsewhere reads the same way.
//! Invariant: [`collect`] always answers; what cannot be read is [`Reading::Missing`] and says why.

mod accelerator;
mod disk;
mod memory;
mod nvml;
mod processor;
mod reading;
mod tree;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use accelerator::Accelerator;
pub use disk::Disk;
pub use memory::Memory;
pub use nvml::{Nvml, NvmlDevice};
pub use processor::{ENGINE_FEATURES, Processor};
pub use reading::Reading;

use crate::tree::Tree;

/// Version of the document.
pub const VERSION: u32 = 1;

/// Everything found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Version of this document, [`VERSION`].
    pub v: u32,
    /// The processor.
    pub processor: Processor,
    /// Main memory.
    pub memory: Memory,
    /// Graphics cards and other accelerators, by PCI address.
    pub accelerators: Vec<Accelerator>,
    /// Disks, by name.
    pub disks: Vec<Disk>,
}

/// Reads the machine whose file system begins at `root`. NVML is asked only when `root` is `/`: its library speaks about this
/// machine, not about a folder.
#[must_use]
pub fn collect(root: &Path) -> Inventory {
    let nvml = if root == Path::new("/") {
        nvml::ask()
    } else {
        Nvml::not_asked()
    };
    collect_with(root, &nvml)
}

/// Like [`collect`], with an answer of NVML that was obtained before.
#[must_use]
pub fn collect_with(root: &Path, nvml: &Nvml) -> Inventory {
    let tree = Tree::at(root);
    Inventory {
        v: VERSION,
        processor: processor::read(&tree),
        memory: memory::read(&tree),
        accelerators: accelerator::read(&tree, nvml),
        disks: disk::read(&tree),
    }
}

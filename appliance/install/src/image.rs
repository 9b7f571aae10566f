//! What is written: a raw disk image, or the medium that the installer runs from.
//!
//! Refuses an image without a partition table of ours or without a boot and a root partition. Invariant: only the system's
//! partitions are taken; the data partition of a medium that was booted before stays on that medium.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::gpt::{HEAD, Table};
use crate::rejection::InstallRejection;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where it is read from.
    pub path: PathBuf,
    /// Bytes of the medium.
    pub size: u64,
    /// The partitions that are copied.
    pub table: Table,
}

/// Reads the table of an image or a medium.
///
/// # Errors
/// `install.image`, `install.device`.
pub fn read_image(path: &Path) -> Result<Image, InstallRejection> {
    let fault = |source| InstallRejection::device(format!("the image `{}` cannot be read", path.display()), source);
    let file = std::fs::File::open(path).map_err(fault)?;
    let size = crate::execute::length(&file).map_err(fault)?;
    let wrong = |why: &str| InstallRejection::Image { why: why.to_owned() };
    if size < HEAD {
        return Err(wrong("it is shorter than a partition table"));
    }
    let mut head = vec![0; usize::try_from(HEAD).unwrap_or(0)];
    file.read_exact_at(&mut head, 0).map_err(fault)?;
    let whole = Table::read(&head, size).map_err(|bad| wrong(&bad.to_string()))?;
    let table = whole.system();
    for needed in ["boot", "root"] {
        if !(table.partitions.iter()).any(|partition| partition.kind.purpose() == Some(needed)) {
            return Err(wrong(&format!("it has no {needed} partition")));
        }
    }
    Ok(Image {
        path: path.to_owned(),
        size,
        table,
    })
}

//! What the firmware's variables say: whether Secure Boot is on, and from which partition the machine started.
//!
//! Refuses to take a missing variable for a good one. Invariant: what is said here only ever adds a reason to refuse; PCR 7 is
//! what the TPM goes by.

use std::fs;
use std::path::Path;

/// The specification's namespace of global variables.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// The boot loader interface's namespace.
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// A variable's value, without its four bytes of attributes.
fn variable(efivars: &Path, name: &str, namespace: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(efivars.join(format!("{name}-{namespace}"))).ok()?;
    bytes.get(4..).map(<[u8]>::to_vec)
}

/// Whether Secure Boot is on and its keys are locked.
pub fn secure_boot(efivars: &Path) -> bool {
    let is = |name, value: u8| variable(efivars, name, GLOBAL).is_some_and(|bytes| bytes == [value]);
    is("SecureBoot", 1) && is("SetupMode", 0)
}

/// Identifier of the partition that the boot loader was read from, in lower case.
pub fn boot_partition(efivars: &Path) -> Option<String> {
    let bytes = variable(efivars, "LoaderDevicePartUUID", LOADER)?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .filter_map(|pair| pair.first_chunk::<2>().map(|pair| u16::from_le_bytes(*pair)))
        .take_while(|unit| *unit != 0)
        .collect();
    Some(String::from_utf16_lossy(&units).to_ascii_lowercase())
}

//! What an operating system release says about itself beside its files: which partitions, which level, which floor.
//!
//! Refuses a release without every file that a slot needs, and one whose version, root hash or level does not fit. Invariant:
//! the names under which the files are handed on are made here, from checked parts only.

use freehold_trust::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::descriptor::{ReleaseDescriptor, ReleaseKind};
use super::rejection::ReleaseRejection;
use crate::json::{self, JsonFault};
use crate::sealing::Level;
use crate::text::shown;

/// File name of this document within its release.
pub const SYSTEM_NAME: &str = "system.json";
/// The kernel image within its release.
pub const SYSTEM_KERNEL: &str = "kernel.efi";
/// The root within its release.
pub const SYSTEM_ROOT: &str = "root.erofs";
/// The root's hash tree within its release.
pub const SYSTEM_VERITY: &str = "root.verity";
/// Bounds the document.
pub const MAX_SYSTEM: usize = 4096;
/// Every file of a system release that goes into a slot.
pub const SYSTEM_FILES: [&str; 3] = [SYSTEM_KERNEL, SYSTEM_ROOT, SYSTEM_VERITY];

/// `system.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemRelease {
    /// Major version, 1.
    pub v: u32,
    /// The image's name, `IMAGE_ID` of its os-release.
    pub name: String,
    /// Its version, `IMAGE_VERSION` of its os-release.
    pub version: String,
    /// dm-verity's root hash: the kernel finds the partitions by it.
    pub root_hash: Sha256Digest,
    /// The image's level, as in its signed PCR policy.
    pub level: Level,
    /// Images below this level must never run again, once both slots hold one at or above it.
    pub floor: Level,
}

impl SystemRelease {
    /// Reads the document and compares it with the descriptor that it belongs to.
    ///
    /// # Errors
    /// [`ReleaseRejection::Malformed`], [`ReleaseRejection::TooLarge`] or [`ReleaseRejection::Kind`].
    pub fn parse(bytes: &[u8], descriptor: &ReleaseDescriptor) -> Result<Self, ReleaseRejection> {
        if descriptor.kind != ReleaseKind::Os {
            return Err(ReleaseRejection::Kind {
                expected: ReleaseKind::Os.word().to_owned(),
                found: descriptor.kind.word().to_owned(),
            });
        }
        let system: Self = json::typed(bytes, MAX_SYSTEM).map_err(|fault| match fault {
            JsonFault::TooLong { limit } => ReleaseRejection::TooLarge {
                what: SYSTEM_NAME.to_owned(),
                limit,
            },
            JsonFault::Form(detail) => ReleaseRejection::malformed(SYSTEM_NAME, detail),
        })?;
        let fault = |detail: String| Err(ReleaseRejection::malformed(SYSTEM_NAME, detail));
        if system.v != 1 {
            return fault(format!("version {} of the form", system.v));
        }
        if system.name != descriptor.name || system.version != descriptor.version {
            return fault(format!(
                "it calls itself `{} {}`",
                shown(&system.name),
                shown(&system.version)
            ));
        }
        // Between the wildcards of systemd-sysupdate's patterns nothing else is told apart (sysupdate.d(5)).
        if !system
            .version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'~'))
        {
            return fault(format!("the version `{}` is no image version", shown(&system.version)));
        }
        if system.floor > system.level {
            return fault(format!(
                "a floor of {} above its own level {}",
                system.floor, system.level
            ));
        }
        if let Some(missing) = SYSTEM_FILES
            .iter()
            .find(|name| !descriptor.files.iter().any(|file| file.path == **name))
        {
            return fault(format!("the release lacks `{missing}`"));
        }
        Ok(system)
    }

    /// The document's bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Under which name a file of the release is handed to systemd-sysupdate (`image/os`, sysupdate.d): the partitions' unique
    /// identifiers are the two halves of the root hash, which is how the kernel finds them.
    #[must_use]
    pub fn handed_name(&self, file: &str) -> Option<String> {
        let (name, version) = (&self.name, &self.version);
        let hash = self.root_hash.to_hex();
        let (root, verity) = hash.split_at(32);
        match file {
            SYSTEM_KERNEL => Some(format!("{name}_{version}.efi")),
            SYSTEM_ROOT => Some(format!("{name}_{version}_{}.root", uuid(root))),
            SYSTEM_VERITY => Some(format!("{name}_{version}_{}.verity", uuid(verity))),
            _ => None,
        }
    }
}

/// 32 hex digits as a UUID is written.
fn uuid(hex: &str) -> String {
    let cut = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        cut(0, 8),
        cut(8, 12),
        cut(12, 16),
        cut(16, 20),
        cut(20, 32)
    )
}

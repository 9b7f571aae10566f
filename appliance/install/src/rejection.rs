//! Why an installation does not take place, or did not end well.
//!
//! Refuses nothing itself. Invariant: after each of these either nothing was written, or the disk does not boot.

use std::io;

use freehold_verify::rejection::Refusal;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum InstallRejection {
    /// There is no disk that could be written.
    #[error("there is no disk to install on")]
    NoDisk,
    /// No disk has this name.
    #[error("there is no disk `{found}`")]
    UnknownDisk {
        /// What was named.
        found: String,
    },
    /// The disk says no serial number, so nobody can confirm which one it is.
    #[error("the disk `{name}` says no serial number")]
    NoSerial {
        /// Its name.
        name: String,
    },
    /// What was typed is not the disk's serial number.
    #[error("this is not the serial number of `{name}`")]
    SerialMismatch {
        /// The disk's name.
        name: String,
        /// What was typed.
        typed: String,
    },
    /// The image does not fit.
    #[error("the disk `{name}` is too small")]
    DiskTooSmall {
        /// Its name.
        name: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        there: u64,
    },
    /// The installer runs from this disk.
    #[error("the installer runs from `{name}`")]
    RunningFromIt {
        /// Its name.
        name: String,
    },
    /// Something on it is mounted or held.
    #[error("`{name}` is in use: {by}")]
    InUse {
        /// Its name.
        name: String,
        /// By what.
        by: String,
    },
    /// The image is none.
    #[error("the image cannot be used: {why}")]
    Image {
        /// What is wrong with it.
        why: String,
    },
    /// The image has another SHA-256 than was asked for.
    #[error("the image is not the one that was asked for")]
    OtherImage {
        /// Asked for.
        expected: String,
        /// Read.
        found: String,
    },
    /// What was read back is not what was written.
    #[error("the disk gave back other bytes than were written, near byte {at}")]
    ReadBack {
        /// Where.
        at: u64,
    },
    /// The disk or the medium does not do its part.
    #[error("{what}")]
    Device {
        /// While doing what.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Everything is written, but the machine does not restart by itself.
    #[error("the machine does not restart by itself: {why}")]
    Restart {
        /// What was said.
        why: String,
    },
}

impl InstallRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "install.no_disk",
        "install.unknown_disk",
        "install.no_serial",
        "install.serial_mismatch",
        "install.disk_too_small",
        "install.running_from_it",
        "install.in_use",
        "install.image",
        "install.other_image",
        "install.read_back",
        "install.device",
        "install.restart",
    ];

    pub(crate) fn device(what: impl Into<String>, source: io::Error) -> Self {
        Self::Device {
            what: what.into(),
            source,
        }
    }
}

impl Refusal for InstallRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NoDisk => "install.no_disk",
            Self::UnknownDisk { .. } => "install.unknown_disk",
            Self::NoSerial { .. } => "install.no_serial",
            Self::SerialMismatch { .. } => "install.serial_mismatch",
            Self::DiskTooSmall { .. } => "install.disk_too_small",
            Self::RunningFromIt { .. } => "install.running_from_it",
            Self::InUse { .. } => "install.in_use",
            Self::Image { .. } => "install.image",
            Self::OtherImage { .. } => "install.other_image",
            Self::ReadBack { .. } => "install.read_back",
            Self::Device { .. } => "install.device",
            Self::Restart { .. } => "install.restart",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::DiskTooSmall { needed, .. } => Some(format!("at least {needed} bytes")),
            Self::OtherImage { expected, .. } => Some(expected.clone()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::DiskTooSmall { there, .. } => Some(format!("{there} bytes")),
            Self::SerialMismatch { typed, .. } => Some(typed.clone()),
            Self::OtherImage { found, .. } => Some(found.clone()),
            Self::UnknownDisk { found } => Some(found.clone()),
            _ => None,
        }
    }
}

//! Why a volume stays closed, or is not made.
//!
//! Refuses to leave a person without a next step: every variant has a code with a sentence for it. Invariant: nothing here
//! carries a secret, not even a wrong one.

use freehold_trust::Sha256Digest;

use super::floor::Level;
use crate::rejection::Refusal;

/// A reason to refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealRejection {
    /// No partition of our type.
    #[error("no data partition was found")]
    NoPartition,
    /// More than one, and nothing tells them apart.
    #[error("{0} data partitions were found, and nothing says which is this box's")]
    ManyPartitions(usize),
    /// The partition holds something that we did not make.
    #[error("the data partition holds `{0}`, which this box did not make")]
    Foreign(String),
    /// The volume's own notes cannot be read.
    #[error("the volume's seal cannot be read: {0}")]
    Seal(String),
    /// Secure Boot is off.
    #[error("secure boot is off")]
    SecureBoot,
    /// The image's signed policies cannot be used.
    #[error("the image's signed policy cannot be used: {0}")]
    Signature(String),
    /// PCR 11 is not one that was signed.
    #[error("the running image is not one that was signed")]
    Image {
        /// Values that were signed.
        expected: Vec<Sha256Digest>,
        /// PCR 11.
        found: Sha256Digest,
    },
    /// The image is older than the floor.
    #[error("the running image has level {level}, the floor is {floor}")]
    Floor {
        /// The image's level.
        level: Level,
        /// The floor.
        floor: Level,
    },
    /// The index of the floor is missing or not ours.
    #[error("the floor's index in the TPM is {0}")]
    FloorIndex(&'static str),
    /// PCR 7 is not what it was when the volume was sealed.
    #[error("the firmware's secure boot settings are not those that the volume was sealed to")]
    Firmware {
        /// PCR 7 then.
        expected: Sha256Digest,
        /// PCR 7 now.
        found: Sha256Digest,
    },
    /// PCR 12 is not zero.
    #[error("something beside the signed image changed the command line or brought credentials")]
    CommandLine {
        /// PCR 12.
        found: Sha256Digest,
    },
    /// PCR 13 is not zero.
    #[error("something beside the signed image was added to the system")]
    Extension {
        /// PCR 13.
        found: Sha256Digest,
    },
    /// The sealed key was made by another TPM, or this one was cleared.
    #[error("the volume was sealed by another tpm, or this one was cleared")]
    OtherTpm,
    /// The TPM refused although nothing that can be seen is wrong.
    #[error("the tpm refused to open the seal ({0})")]
    Refused(String),
    /// The TPM's key does not open the volume.
    #[error("the tpm gave a key, but it does not open this volume")]
    OtherVolume,
    /// The TPM's owner authorisation is set and not known here.
    #[error("the tpm has an owner that this box does not know")]
    Owned,
    /// A PIN is needed and none was typed.
    #[error("a pin is needed")]
    PinMissing,
    /// The PIN was wrong.
    #[error("the pin is wrong, {tries_left} tries are left")]
    PinWrong {
        /// Before the TPM locks itself.
        tries_left: u32,
    },
    /// The TPM takes no PIN for a while.
    #[error("the tpm takes no pin now; one more try every {recovery_s} s")]
    Lockout {
        /// Seconds until one try is given back.
        recovery_s: u32,
    },
    /// Blocks of a typed key that do not check.
    #[error("mistyped: block {}", list(.0))]
    Blocks(Vec<u8>),
    /// Not as many blocks as there should be.
    #[error("{found} blocks were typed, there are {expected}")]
    BlockCount {
        /// How many there are.
        expected: usize,
        /// How many were typed.
        found: usize,
    },
    /// A share where a key was asked for, or the other way round.
    #[error("this is a {found}, a {expected} is needed")]
    BlockKind {
        /// What was asked for.
        expected: &'static str,
        /// What was typed.
        found: &'static str,
    },
    /// A well-typed key of something else.
    #[error("the recovery key is well typed, but it is not this volume's")]
    RecoveryWrong,
    /// Nobody typed the recovery key in time.
    #[error("the recovery key was not typed")]
    RecoveryMissing,
    /// Nobody said that the recovery key was written down, and there is no escrow.
    #[error("nobody confirmed that the recovery key was written down, and it is not in escrow")]
    Unconfirmed,
    /// The escrow cannot be read.
    #[error("the escrow cannot be read: {0}")]
    Escrow(String),
    /// The escrow is not for this person, or not with that one.
    #[error("the escrow has no share for this key")]
    EscrowPerson,
    /// Two shares that do not make the key.
    #[error("these two shares do not make the recovery key")]
    EscrowShares,
}

fn list(blocks: &[u8]) -> String {
    let words: Vec<String> = blocks.iter().map(u8::to_string).collect();
    words.join(", ")
}

impl SealRejection {
    /// Every code of this area.
    pub const CODES: &'static [&'static str] = &[
        "seal.no_partition",
        "seal.many_partitions",
        "seal.foreign_partition",
        "seal.seal",
        "seal.secure_boot",
        "seal.signature",
        "seal.image",
        "seal.floor",
        "seal.floor_index",
        "seal.firmware",
        "seal.command_line",
        "seal.extension",
        "seal.other_tpm",
        "seal.refused",
        "seal.other_volume",
        "seal.owned",
        "seal.pin_missing",
        "seal.pin_wrong",
        "seal.lockout",
        "seal.recovery_block",
        "seal.recovery_length",
        "seal.recovery_kind",
        "seal.recovery_wrong",
        "seal.recovery_missing",
        "seal.unconfirmed",
        "seal.escrow",
        "seal.escrow_person",
        "seal.escrow_shares",
    ];

    /// Whether a typed recovery key may open the volume all the same. It may not where the volume is not ours, where the
    /// image is below the floor, or where something was slipped in beside the signed image.
    #[must_use]
    pub const fn recoverable(&self) -> bool {
        matches!(
            self,
            Self::Firmware { .. }
                | Self::OtherTpm
                | Self::Refused(_)
                | Self::FloorIndex(_)
                | Self::OtherVolume
                | Self::PinMissing
                | Self::PinWrong { .. }
                | Self::Lockout { .. }
                | Self::Seal(_)
        )
    }
}

impl Refusal for SealRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NoPartition => "seal.no_partition",
            Self::ManyPartitions(_) => "seal.many_partitions",
            Self::Foreign(_) => "seal.foreign_partition",
            Self::Seal(_) => "seal.seal",
            Self::SecureBoot => "seal.secure_boot",
            Self::Signature(_) => "seal.signature",
            Self::Image { .. } => "seal.image",
            Self::Floor { .. } => "seal.floor",
            Self::FloorIndex(_) => "seal.floor_index",
            Self::Firmware { .. } => "seal.firmware",
            Self::CommandLine { .. } => "seal.command_line",
            Self::Extension { .. } => "seal.extension",
            Self::OtherTpm => "seal.other_tpm",
            Self::Refused(_) => "seal.refused",
            Self::OtherVolume => "seal.other_volume",
            Self::Owned => "seal.owned",
            Self::PinMissing => "seal.pin_missing",
            Self::PinWrong { .. } => "seal.pin_wrong",
            Self::Lockout { .. } => "seal.lockout",
            Self::Blocks(_) => "seal.recovery_block",
            Self::BlockCount { .. } => "seal.recovery_length",
            Self::BlockKind { .. } => "seal.recovery_kind",
            Self::RecoveryWrong => "seal.recovery_wrong",
            Self::RecoveryMissing => "seal.recovery_missing",
            Self::Unconfirmed => "seal.unconfirmed",
            Self::Escrow(_) => "seal.escrow",
            Self::EscrowPerson => "seal.escrow_person",
            Self::EscrowShares => "seal.escrow_shares",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Image { expected, .. } => {
                Some(expected.iter().map(Sha256Digest::to_hex).collect::<Vec<_>>().join(", "))
            }
            Self::Firmware { expected, .. } => Some(expected.to_hex()),
            Self::CommandLine { .. } | Self::Extension { .. } => Some(Sha256Digest::default().to_hex()),
            Self::Floor { floor, .. } => Some(format!("level {floor} or more")),
            Self::BlockCount { expected, .. } => Some(expected.to_string()),
            Self::BlockKind { expected, .. } => Some((*expected).to_owned()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Image { found, .. }
            | Self::Firmware { found, .. }
            | Self::CommandLine { found }
            | Self::Extension { found } => Some(found.to_hex()),
            Self::Floor { level, .. } => Some(format!("level {level}")),
            Self::BlockCount { found, .. } => Some(found.to_string()),
            Self::BlockKind { found, .. } => Some((*found).to_owned()),
            Self::ManyPartitions(count) => Some(count.to_string()),
            _ => None,
        }
    }
}

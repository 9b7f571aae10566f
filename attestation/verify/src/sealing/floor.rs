//! The floor: which images no longer open the volume, kept in a TPM index whose bits can be set and never cleared.
//!
//! Refuses levels beyond 63 and patterns that are no floor. Invariant: floor F has exactly bits 0 to F−1 set, so setting
//! bits only ever raises it, and an image of level L opens only while bits L to 63 are clear.

use freehold_trust::sha256;
use serde::{Deserialize, Serialize};

use crate::tpm::algorithm;

/// The index: in the range that owners may define (0x0180_0000 to 0x01bf_ffff). The same on every box, because its Name is
/// part of the policy that is signed once for all of them.
pub const FLOOR_INDEX: u32 = 0x0182_f100;

/// Bytes of a bits index: always eight (TPM 2.0 Library, Part 2, TPM_NT_BITS).
pub const FLOOR_SIZE: u16 = 8;

/// Highest level: the index has 64 bits, and floor 63 must leave one level that still opens.
const HIGHEST: u8 = 63;

/// Owner writes (sets bits); owner, and anybody without a secret, reads; wrong guesses do not count.
const OWNER_WRITE: u32 = 1 << 1;
const TYPE_BITS: u32 = 2 << 4;
const OWNER_READ: u32 = 1 << 17;
const AUTH_READ: u32 = 1 << 18;
const NO_DA: u32 = 1 << 25;
const WRITTEN: u32 = 1 << 29;

/// TPMA_NV of the index when it is defined.
pub const FLOOR_ATTRIBUTES: u32 = OWNER_WRITE | TYPE_BITS | OWNER_READ | AUTH_READ | NO_DA;

/// The level of an image: a small number that the publisher raises when an older image must never run again. Not the
/// version: most releases keep the level of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Level(u8);

impl Level {
    /// A level, 0 to 63.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= HIGHEST { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The bits that must be clear in the index for an image of this level: this one and all above it.
    #[must_use]
    pub const fn forbidden(self) -> u64 {
        u64::MAX << self.0
    }

    /// The bits that are set when the floor is this level.
    #[must_use]
    pub const fn bits(self) -> u64 {
        !(u64::MAX << self.0)
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl TryFrom<u8> for Level {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::new(number).ok_or("levels go from 0 to 63")
    }
}

/// What the index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// There is no index: a new TPM, or one that was cleared.
    Missing,
    /// There is an index at that number which is not ours, or whose bits are no floor.
    Foreign,
    /// Images below this level do not open.
    At(Level),
}

impl Floor {
    /// Reads the bits of the index.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let count = bits.trailing_ones();
        match u8::try_from(count).ok().and_then(Level::new) {
            Some(level) if level.bits() == bits => Self::At(level),
            _ => Self::Foreign,
        }
    }

    /// TPMS_NV_PUBLIC of the index with the given attributes.
    #[must_use]
    pub fn public(attributes: u32) -> Vec<u8> {
        let mut out = FLOOR_INDEX.to_be_bytes().to_vec();
        out.extend_from_slice(&algorithm::SHA256.to_be_bytes());
        out.extend_from_slice(&attributes.to_be_bytes());
        out.extend_from_slice(&0_u16.to_be_bytes());
        out.extend_from_slice(&FLOOR_SIZE.to_be_bytes());
        out
    }

    /// TPMS_NV_PUBLIC once it was written, as every box must have it.
    #[must_use]
    pub fn written() -> Vec<u8> {
        Self::public(FLOOR_ATTRIBUTES | WRITTEN)
    }

    /// The Name of the index once it was written.
    #[must_use]
    pub fn name() -> Vec<u8> {
        let mut name = algorithm::SHA256.to_be_bytes().to_vec();
        name.extend_from_slice(sha256(&Self::written()).as_bytes());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_only_ever_shuts_out_lower_levels() {
        for floor in 0..=HIGHEST {
            let bits = Level(floor).bits();
            assert_eq!(Floor::from_bits(bits), Floor::At(Level(floor)));
            for level in 0..=HIGHEST {
                assert_eq!(bits & Level(level).forbidden() == 0, level >= floor, "{floor} {level}");
            }
            // Raising sets bits and clears none.
            for higher in floor..=HIGHEST {
                assert_eq!(bits | Level(higher).bits(), Level(higher).bits());
            }
        }
        assert_eq!(Level::new(64), None);
        for bits in [0b10, 0b101, u64::MAX, 1 << 63] {
            assert_eq!(Floor::from_bits(bits), Floor::Foreign, "{bits:b}");
        }
    }
}

//! Which PCRs: TPML_PCR_SELECTION as a TPM writes it, and [`PcrSet`] as we ask for it.
//!
//! Refuses more banks than a TPM can have and bitmaps beyond PCR 31. Invariant: a [`PcrSet`] lists each PCR once, in
//! ascending order, which is the order of the quoted digest.

use serde::{Deserialize, Serialize};

use super::reader::{Reader, TpmParseError};

/// Most banks in a selection: TPMs have up to five; bounds the list of a hostile structure.
const MAX_BANKS: u64 = 16;
/// Longest bitmap: 4 bytes for 32 PCRs; PC clients have 24.
const MAX_BITMAP: u64 = 4;
/// PCRs on a PC client platform.
pub const PCRS: u8 = 24;

/// A set of PCRs, 0 to 23. Serialised as an ascending list of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct PcrSet(u32);

impl PcrSet {
    /// The set of `indices`; numbers from 24 upwards are left out.
    #[must_use]
    pub fn of(indices: &[u8]) -> Self {
        Self(indices.iter().filter(|i| **i < PCRS).fold(0, |bits, i| bits | (1 << i)))
    }

    /// Whether `index` is in the set.
    #[must_use]
    pub const fn contains(self, index: u8) -> bool {
        index < 32 && self.0 & (1 << index) != 0
    }

    /// The PCRs, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |index| self.contains(*index))
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<PcrSet> for Vec<u8> {
    fn from(set: PcrSet) -> Self {
        set.iter().collect()
    }
}

impl TryFrom<Vec<u8>> for PcrSet {
    type Error = &'static str;
    fn try_from(list: Vec<u8>) -> Result<Self, Self::Error> {
        let set = Self::of(&list);
        let same = list.len() == set.len() && set.iter().eq(list.iter().copied());
        if same {
            Ok(set)
        } else {
            Err("PCRs are listed once each, ascending, 0 to 23")
        }
    }
}

impl std::fmt::Display for PcrSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, index) in self.iter().enumerate() {
            write!(f, "{}{index}", if position == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// One bank's part of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrSelection {
    /// TPM_ALG_ID of the bank.
    pub hash: u16,
    /// The PCRs; bits above 23 are kept, so that a comparison sees them.
    pub pcrs: PcrSet,
}

/// Reads a TPML_PCR_SELECTION. Empty lists, empty bitmaps and repeated banks parse; whoever compares refuses them.
///
/// # Errors
/// [`TpmParseError`].
pub fn parse_selections(reader: &mut Reader<'_>) -> Result<Vec<PcrSelection>, TpmParseError> {
    let count = reader.u32("pcrSelect.count")?;
    if u64::from(count) > MAX_BANKS {
        return Err(TpmParseError::TooMany {
            what: "pcrSelect.count",
            found: count.into(),
            limit: MAX_BANKS,
        });
    }
    let mut out = Vec::new();
    for _ in 0..count {
        let hash = reader.u16("pcrSelect.hash")?;
        let size = reader.u8("pcrSelect.sizeofSelect")?;
        if u64::from(size) > MAX_BITMAP {
            return Err(TpmParseError::TooMany {
                what: "pcrSelect.sizeofSelect",
                found: size.into(),
                limit: MAX_BITMAP,
            });
        }
        let bitmap = reader.take(usize::from(size), "pcrSelect.bitmap")?;
        let bits = bitmap
            .iter()
            .rev()
            .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        out.push(PcrSelection {
            hash,
            pcrs: PcrSet(bits),
        });
    }
    Ok(out)
}
